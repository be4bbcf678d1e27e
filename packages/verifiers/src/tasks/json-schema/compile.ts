import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { GraderConfigError, GraderRuntimeError } from '../../grader.js';
import { compileLinearRegex } from '../../linear-regex.js';
import { canonicalJson } from '../../sample.js';
import {
  isObject,
  readSchema,
  type Schema,
  type SchemaObject,
  SchemaProblem,
  schemasUnder,
  withEach,
} from './read-schema.js';

/** A schema that can be checked against. */
export interface CompiledSchema {
  /** its parts by pointer */
  readonly parts: ReadonlyMap<string, Schema>;
  /** @throws GraderRuntimeError where finding out takes too long */
  accepts(value: unknown): boolean;
}

/** Compiled schemas that are kept. */
const KEPT = 256;

const known = new WeakMap<object, CompiledSchema>();
const byText = new Map<string, CompiledSchema>();

/**
 * Compiles a schema of draft 2020-12; once for those that are the same but for the order of their keys.
 *
 * Neither schema nor value can hang the process or run out of the value: patterns have RE2's syntax and take linear time, repeated
 * items are found by their text, and every step is counted, because small schemas may ask for exponentially many.
 *
 * @throws SchemaProblem
 */
export function compileSchema(schema: unknown): CompiledSchema {
  const before = isObject(schema) ? known.get(schema) : undefined;
  if (before !== undefined) return before;
  const parts = readSchema(schema);
  const text = canonicalJson(schema);
  let compiled = byText.get(text);
  if (compiled === undefined) {
    compiled = compile(schema as Schema, parts);
    if (byText.size >= KEPT) byText.delete(byText.keys().next().value!);
    byText.set(text, compiled);
  }
  if (isObject(schema)) known.set(schema, compiled);
  return compiled;
}

// Formats are annotations, as in the draft. `strict` is about style, and what it says on keywords `readSchema` does.
const OPTIONS = { strict: false, strictNumbers: true, validateFormats: false, logger: false } as const;

let ofDraft: Ajv2020 | undefined;

function compile(schema: Schema, parts: ReadonlyMap<string, Schema>): CompiledSchema {
  ofDraft ??= new Ajv2020(OPTIONS);
  if (ofDraft.validateSchema(schema) !== true) {
    const [error] = ofDraft.errors ?? [];
    throw new SchemaProblem(`What stands at #${error?.instancePath ?? ''} ${error?.message ?? 'is no schema'}.`);
  }
  let check: ValidateFunction;
  try {
    // One compiler a schema, as they remember what they compiled. References are called, not copied in, which could take much room.
    const compiler = new Ajv2020({
      ...OPTIONS,
      ...{ meta: false, validateSchema: false, inlineRefs: false, ownProperties: true, messages: false },
      code: { regExp: linearRegExp },
    });
    compiler.addKeyword({ keyword: STEPS, before: '$ref', schemaType: 'number', errors: false, validate: countSteps });
    compiler.removeKeyword('uniqueItems');
    compiler.addKeyword({
      ...{ keyword: 'uniqueItems', before: 'prefixItems', type: 'array', schemaType: 'boolean', errors: false },
      validate: areUnique,
    });
    check = compiler.compile(withEach(schema, (part) => ({ ...containsApart(part), [STEPS]: weightOf(part) })));
  } catch (error) {
    if (error instanceof GraderConfigError) throw new SchemaProblem(error.message);
    if (error instanceof RangeError) throw new SchemaProblem('Its references lead on and on; use fewer.');
    throw new SchemaProblem(`It cannot be compiled: ${error instanceof Error ? error.message : error}.`);
  }
  return {
    parts,
    accepts(value) {
      stepsLeft = MOST_STEPS;
      try {
        return check(value);
      } catch (error) {
        // The other way to take too long is to call too deeply.
        if (!(error instanceof TooManySteps) && !(error instanceof RangeError)) throw error;
        throw new GraderRuntimeError(
          'Checking the answer against the schema takes too many steps. Simplify the schema.',
          'other_error',
          { cause: error },
        );
      }
    },
  };
}

/**
 * `contains` once more, in an `allOf`: where an array is too short for `prefixItems`, Ajv 8.20 skips what comes after it, and
 * takes [] for an array that contains something. It stays where it was for those who refer to it.
 */
function containsApart({ prefixItems, contains, minContains, maxContains, allOf = [] }: SchemaObject): SchemaObject {
  if (prefixItems === undefined || contains === undefined) return {};
  const apart = {
    contains,
    ...(minContains !== undefined && { minContains }),
    ...(maxContains !== undefined && { maxContains }),
  };
  return { allOf: [...(allOf as Schema[]), apart] };
}

/** Steps that checking one value may take; some tens of nanoseconds each at worst. */
const MOST_STEPS = 1_000_000;

/** A keyword of our own that each part of a schema has, with the part's weight. */
const STEPS = '_steps';

/** Characters that one step goes over. */
const CHARACTERS = 32;

class TooManySteps extends Error {}

// Checking is synchronous, so there is one at a time.
let stepsLeft = 0;

function spend(steps: number): void {
  stepsLeft -= steps;
  if (stepsLeft < 0) throw new TooManySteps();
}

/** What a part of a schema costs a value of size 1, the parts below it not counted. */
function weightOf(part: SchemaObject): number {
  let weight = 1;
  for (const [keyword, value] of Object.entries(part)) {
    // Names and values that may have to be compared one by one.
    weight +=
      schemasUnder(keyword, value) ?? (typeof value === 'object' ? JSON.stringify(value).length / CHARACTERS : 1);
  }
  return Math.ceil(weight);
}

function countSteps(weight: number, value: unknown): boolean {
  let size = 1;
  if (typeof value === 'string') size += value.length / CHARACTERS;
  else if (Array.isArray(value)) size += value.length;
  else if (isObject(value)) size += Object.keys(value).length;
  spend(weight * size);
  return true;
}

function areUnique(wanted: boolean, items: readonly unknown[]): boolean {
  if (!wanted) return true;
  const texts = items.map(canonicalJson);
  spend(texts.reduce((sum, text) => sum + 1 + text.length / CHARACTERS, 0));
  return new Set(texts).size === texts.length;
}

/** Ajv tells patterns apart by what `toString` returns. */
function linearRegExp(pattern: string): { test(text: string): boolean; toString(): string } {
  const compiled = compileLinearRegex(pattern, 'schema');
  const size = compiled.programSize();
  return {
    test(text) {
      spend(1 + (size * text.length) / CHARACTERS);
      return compiled.matcher(text).find();
    },
    toString: () => pattern,
  };
}
linearRegExp.code = 'linearRegExp';
