/** JSON Schema as a grammar. What can be followed, and what is narrowed, is in the package's README. */
import { type Choice, type Conjunction, References, selfReference } from './conjunction.js';
import { SchemaError } from './error.js';
import { exclude } from './exclusive.js';
import { finish } from './finish.js';
import { type Grammar, GrammarBuilder, type Piece, sequence } from './grammar.js';
import { JsonRules, type JsonStyle } from './json-rules.js';
import { checkSize, isObject, type Located, type Schema, type SchemaObject } from './keywords.js';
import { numberRule } from './numbers.js';
import { remember } from './remember.js';
import { automatonOf, patternAt, type Shape, shapeOf } from './shape.js';
import { stringRule } from './strings.js';

/** Combinations of choices in one place; each is written out. */
const MAX_COMBINATIONS = 1_000;
/** Branches of one oneOf, which are compared each with each. */
const MAX_EXCLUSIVE = 100;

/**
 * Texts that are JSON and valid for a schema.
 *
 * @throws SchemaError naming the place, by its JSON pointer, of what cannot be followed or be fulfilled
 */
export function compileSchema(schema: unknown, style: JsonStyle = {}): Grammar {
  const builder = new GrammarBuilder();
  return finish(builder, documentOf(new JsonRules(builder, style), schema));
}

/** JSON that is valid for a schema, as a whole text. @throws SchemaError as `compileSchema` does */
export function documentOf(json: JsonRules, schema: unknown): Piece {
  return sequence([json.gap, json.builder.call(new SchemaRules(json, schema).root)]);
}

/** The rules of one schema, among those of a grammar. */
export class SchemaRules {
  /** of the schema's values */
  readonly root: number;
  private readonly references: References;
  private readonly builder: GrammarBuilder;
  /** by the schemas that a value has to fulfil */
  private readonly rules = new Map<string, number>();
  private readonly ids = new Map<Schema, number>();
  private readonly pending: { rule: number; schemas: readonly Located[] }[] = [];
  /** choices whose branches are known to exclude each other, with what stands beside */
  private readonly compared = new Set<string>();

  /**
   * @param base what pointers begin with
   * @param also more that the values have to fulfil
   * @throws SchemaError as `compileSchema` does
   */
  constructor(
    private readonly json: JsonRules,
    schema: unknown,
    base = '',
    also: readonly Located[] = [],
  ) {
    this.builder = json.builder;
    if (typeof schema !== 'boolean' && !isObject(schema))
      throw new SchemaError(base, 'must be an object, true or false');
    checkSize(schema);
    this.references = new References(schema, base);
    this.root = this.ruleOf([{ schema, pointer: base }, ...also]);
    // Rules are built one after the other, not within each other: schemas may be long chains.
    for (let next = this.pending.pop(); next !== undefined; next = this.pending.pop()) {
      this.builder.define(next.rule, this.value(next.schemas));
    }
    this.builder.promised.push({ rule: this.root, pointer: base });
  }

  private ruleOf(schemas: readonly Located[]): number {
    const asking = schemas.filter(({ schema }) => schema !== true);
    if (asking.length === 0) return this.json.any;
    const key = [...new Set(asking.map(({ schema }) => this.idOf(schema)))].sort((a, b) => a - b).join();
    return remember(this.rules, key, () => {
      const rule = this.builder.declare();
      this.builder.places.set(rule, asking[0]!.pointer);
      this.pending.push({ rule, schemas: asking });
      return rule;
    });
  }

  private idOf(schema: Schema): number {
    return remember(this.ids, schema, () => this.ids.size);
  }

  /** Values that fulfil all of some schemas. */
  private value(schemas: readonly Located[]): Piece {
    const whole = this.references.expand(schemas);
    const [choice] = whole.choices;
    const says = [...whole.plain.values()].some(({ schema }) => saysSomething(schema as SchemaObject));
    const alone = whole.choices.length === 1 && !says;
    const beside = [...whole.plain.values()];
    for (const each of whole.choices) this.checkExclusive(each, beside, whole.choices.length === 1);
    // Nothing but one choice: its branches stand for themselves.
    if (choice !== undefined && alone) {
      return this.builder.oneOf(choice.branches.map((branch) => this.builder.call(this.ruleOf([branch]))));
    }
    const combinations: Located[][] = [];
    this.combine(whole, [], combinations);
    return this.builder.oneOf(combinations.map((plain) => this.shaped(shapeOf(plain))));
  }

  /** Decides one choice after the other in all ways. */
  private combine({ plain, choices, never }: Conjunction, made: readonly Choice['of'][], out: Located[][]): void {
    if (never) return;
    const [choice, ...others] = choices;
    if (choice === undefined) {
      if (out.length >= MAX_COMBINATIONS) {
        const at = [...plain.values()][0]?.pointer ?? '';
        throw new SchemaError(
          at,
          `combines anyOf and oneOf in more than ${MAX_COMBINATIONS} ways: have fewer in one place`,
        );
      }
      out.push([...plain.values()]);
      return;
    }
    for (const branch of choice.branches) {
      const chosen = this.references.expand([branch]);
      const again = chosen.choices.find(({ of }) => of === choice.of || made.includes(of));
      if (again !== undefined) throw selfReference(branch.pointer);
      const fresh = chosen.choices.filter(({ of }) => !others.some((other) => other.of === of));
      for (const inner of fresh) this.checkExclusive(inner, [], false);
      this.combine(
        {
          plain: new Map([...plain, ...chosen.plain]),
          choices: [...others, ...fresh],
          never: chosen.never,
        },
        [...made, choice.of],
        out,
      );
    }
  }

  private checkExclusive({ keyword, branches, pointer }: Choice, beside: readonly Located[], alone: boolean): void {
    if (keyword === 'anyOf') return;
    const key = [pointer, alone, ...beside.map((l) => l.pointer)].join(' ');
    if (this.compared.has(key)) return;
    this.compared.add(key);
    if (branches.length > MAX_EXCLUSIVE) {
      throw new SchemaError(pointer, `has more than ${MAX_EXCLUSIVE} branches: write anyOf`);
    }
    for (const [i, a] of branches.entries()) {
      const j = branches.findIndex((b, k) => k > i && !exclude(a, b, beside, this.references, alone));
      if (j < 0) continue;
      throw new SchemaError(
        pointer,
        `has branches ${i} and ${j} that one value may fulfil both: tell them apart by type or by a required property with a const, or write anyOf`,
      );
    }
  }

  private shaped(shape: Shape): Piece {
    const { builder, json } = this;
    if (shape.values !== null) return this.listed(shape, shape.values);
    const pieces: Piece[] = [];
    for (const type of shape.types) {
      if (type === 'null') pieces.push(builder.text('null'));
      else if (type === 'boolean') pieces.push(builder.text('true'), builder.text('false'));
      else if (type === 'string') pieces.push(...this.string(shape));
      else if (type === 'object') pieces.push(...this.object(shape));
      else if (type === 'array') pieces.push(...this.array(shape));
      else {
        const rule = isFree(shape) ? json.number : numberRule(builder, shape.number);
        if (rule === null)
          this.builder.unfulfilled.push({ pointer: shape.pointer, reason: 'has no number within its limits' });
        else pieces.push(builder.call(rule));
      }
    }
    if (shape.types.size === 0)
      this.builder.unfulfilled.push({ pointer: shape.pointer, reason: 'asks for types that exclude each other' });
    return builder.oneOf(pieces);
  }

  private listed({ pointer }: Shape, values: readonly unknown[]): Piece {
    if (values.length === 0)
      this.builder.unfulfilled.push({ pointer, reason: 'lists no value that fulfils the rest of it' });
    const compound = (value: unknown): boolean => typeof value === 'object' && value !== null;
    const utf8 = new TextEncoder();
    const plain = values.filter((value) => !compound(value)).map((value) => utf8.encode(JSON.stringify(value)));
    const pieces = values.filter(compound).map((value) => this.json.literal(value));
    return this.builder.oneOf(plain.length > 0 ? [this.builder.words(plain), ...pieces] : pieces);
  }

  private string({ string, pointer }: Shape): Piece[] {
    const { builder, json } = this;
    const { minLength, maxLength, patterns } = string;
    if (minLength > maxLength) {
      this.builder.unfulfilled.push({ pointer, reason: 'has minLength above maxLength' });
      return [];
    }
    if (minLength === 0 && maxLength === Number.POSITIVE_INFINITY && patterns.length === 0) {
      return [builder.call(json.string)];
    }
    const at = patterns[0]?.pointer ?? pointer;
    const automata = patterns.map(automatonOf);
    return [builder.call(patternAt(at, () => stringRule(builder, { minLength, maxLength, patterns: automata })))];
  }

  private object({ object, pointer }: Shape): Piece[] {
    const { names, required, others, minProperties, maxProperties } = object;
    if (required.size > maxProperties || minProperties > maxProperties) {
      this.builder.unfulfilled.push({ pointer, reason: 'has fewer maxProperties than it requires' });
      return [];
    }
    const properties = names.flatMap((name) => {
      const schemas = object.property(name);
      const forbidden = schemas.some(({ schema }) => schema === false);
      if (forbidden && !required.has(name)) return [];
      if (forbidden)
        this.builder.unfulfilled.push({
          pointer,
          reason: `requires the property ${JSON.stringify(name)}, but forbids it`,
        });
      return [{ name, rule: this.ruleOf(schemas), required: required.has(name) }];
    });
    const most = maxProperties - names.length;
    const least = Math.max(0, minProperties - required.size);
    return [
      this.json.object({
        properties,
        others: others === null || most <= 0 ? null : { rule: this.ruleOf(others), min: least, max: most },
        taken: names,
      }),
    ];
  }

  private array({ array, pointer }: Shape): Piece[] {
    const { first, rest, minItems, maxItems } = array;
    const forbidden = first.findIndex((schemas) => schemas.some(({ schema }) => schema === false));
    const known = forbidden < 0 ? first : first.slice(0, forbidden);
    const open = forbidden < 0 && rest !== null;
    const max = open ? maxItems : Math.min(maxItems, known.length);
    if (minItems > max) {
      this.builder.unfulfilled.push({ pointer, reason: `allows at most ${max} items, but asks for ${minItems}` });
      return [];
    }
    return [
      this.json.array({
        first: known.slice(0, max).map((schemas) => this.ruleOf(schemas)),
        rest: open && max > known.length ? this.ruleOf(rest) : null,
        min: minItems,
        max,
      }),
    ];
  }
}

function saysSomething(schema: SchemaObject): boolean {
  return Object.keys(schema).some((word) => !SILENT.has(word) && !word.startsWith('x-'));
}

const SILENT = new Set([
  '$ref',
  'allOf',
  'anyOf',
  'oneOf',
  '$defs',
  'definitions',
  'title',
  'description',
  'default',
  'discriminator',
  '$schema',
  '$id',
  '$comment',
  'examples',
]);

function isFree({ number }: Shape): boolean {
  const bounded = number.min > Number.NEGATIVE_INFINITY || number.max < Number.POSITIVE_INFINITY;
  return !number.integer && !bounded && number.multipleOf === null;
}
