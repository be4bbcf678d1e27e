import { canonicalJson } from '../../sample.js';
import type { CompiledSchema } from './compile.js';
import { isObject, pointerOf, type Schema, type SchemaObject } from './read-schema.js';

/** Values and branches that may be looked at. */
const MOST_STEPS = 500_000;

/** Levels of a value; a schema that refers to itself has values of any depth. */
const DEEPEST = 40;

/**
 * Every value that a schema accepts, as canonical JSON in code unit order.
 *
 * First come candidates, some too many: keywords that say which values there are (`enum`, `const`, `type`, bounds of integers,
 * items, properties) are followed into `allOf`, `$ref` and each branch of `anyOf`, `oneOf` and `if`. The others only rule values
 * out, and that is left to the compiled schema.
 *
 * @throws RangeError where there are infinitely many, as of strings without `enum`, or more than can be looked at
 */
export function acceptedValues({ parts, accepts }: CompiledSchema): string[] {
  const candidates = new Candidates(parts).of([parts.get('')!], '');
  return [...new Set(candidates.filter(accepts).map(canonicalJson))].sort();
}

const TYPES = ['null', 'boolean', 'integer', 'number', 'string', 'array', 'object'] as const;
type Type = (typeof TYPES)[number];

/** A schema without what has been followed of it. */
class Part {
  constructor(
    readonly keywords: SchemaObject,
    /** of a schema that accepts no unevaluated properties: those that may be evaluated; null where that is any */
    readonly evaluated: ReadonlyMap<string, readonly Schema[]> | null,
  ) {}
}

class Candidates {
  #steps = 0;

  constructor(readonly parts: ReadonlyMap<string, Schema>) {}

  /**
   * A superset of the values that all the schemas accept.
   *
   * @param path of the value, as in `.a[0]`, for errors
   */
  of(schemas: readonly (Schema | Part)[], path: string, depth = 0): unknown[] {
    this.#spend(1);
    if (depth > DEEPEST) throw new RangeError(`The schema accepts values of any depth, as at ${shown(path)}.`);
    const all = this.#followed(schemas);
    if (all === null) return [];
    const listed = all.flatMap(({ keywords }) => [
      ...('const' in keywords ? [[keywords.const]] : []),
      ...(Array.isArray(keywords.enum) ? [keywords.enum as unknown[]] : []),
    ]);
    if (listed.length > 0) {
      const shortest = listed.reduce((a, b) => (b.length < a.length ? b : a));
      this.#spend(shortest.length);
      return shortest;
    }
    for (const part of all) {
      const branches = branchesOf(part);
      if (branches === null) continue;
      const others = all.filter((one) => one !== part);
      return distinct(branches.flatMap((branch) => this.of([...others, ...branch], path, depth)));
    }
    if (all.every(({ keywords }) => keywords.type === undefined)) return endless('values', 'type, enum or const', path);
    return TYPES.filter((type) => all.every(({ keywords }) => allows(keywords, type))).flatMap((type) =>
      this.#ofType(type, all, path, depth),
    );
  }

  /** With what `$ref` and `allOf` add. @returns null when one of them accepts nothing */
  #followed(schemas: readonly (Schema | Part)[]): Part[] | null {
    const found: Part[] = [];
    const left = [...schemas];
    for (let schema = left.pop(); schema !== undefined; schema = left.pop()) {
      if (schema === false) return null;
      if (schema === true) continue;
      this.#spend(1);
      if (schema instanceof Part) {
        found.push(schema);
        continue;
      }
      const { $ref, allOf, ...keywords } = schema;
      if (typeof $ref === 'string') left.push(this.#target($ref));
      if (Array.isArray(allOf)) left.push(...(allOf as Schema[]));
      found.push(new Part(keywords, keywords.unevaluatedProperties === false ? this.#evaluatedBy(schema) : null));
    }
    return found;
  }

  #target(ref: unknown): Schema {
    return this.parts.get(pointerOf(String(ref))!)!;
  }

  /**
   * Properties by name, with the schemas that any part gives them which applies to the same value. All branches count, taken or
   * not: if an object passes several, each evaluates its own properties.
   *
   * @returns null when some part evaluates any property
   */
  #evaluatedBy(whole: SchemaObject): ReadonlyMap<string, readonly Schema[]> | null {
    const named = new Map<string, Schema[]>();
    const seen = new Set<Schema>();
    const visit = (schema: Schema): boolean => {
      if (typeof schema === 'boolean' || seen.has(schema)) return true;
      seen.add(schema);
      this.#spend(1);
      const { additionalProperties = false, unevaluatedProperties = false, patternProperties, properties } = schema;
      if (additionalProperties !== false || unevaluatedProperties !== false || hasKeys(patternProperties)) return false;
      for (const [name, one] of Object.entries((properties ?? {}) as Record<string, Schema>)) {
        named.set(name, [...(named.get(name) ?? []), one]);
      }
      const { $ref, allOf, anyOf, oneOf, dependentSchemas } = schema;
      const lists = [allOf, anyOf, oneOf, Object.values(dependentSchemas ?? {})];
      const single = [schema.if, schema.then, schema.else, $ref === undefined ? undefined : this.#target($ref)];
      const applied = [...lists.flatMap((list) => (list ?? []) as Schema[]), ...single] as (Schema | undefined)[];
      return applied.every((one) => one === undefined || visit(one));
    };
    return visit(whole) ? named : null;
  }

  #ofType(type: Type, all: readonly Part[], path: string, depth: number): unknown[] {
    switch (type) {
      case 'null':
        return [null];
      case 'boolean':
        return [false, true];
      case 'integer':
        return this.#integers(all, path);
      case 'number':
        return fractions(all, path);
      case 'string':
        return least(all, 'maxLength') === 0 ? [''] : endless('strings', 'enum or const', path);
      case 'array':
        return this.#arrays(all, path, depth);
      case 'object':
        return this.#objects(all, path, depth);
    }
  }

  #integers(all: readonly Part[], path: string): number[] {
    const above = numbersOf(all, 'exclusiveMinimum').map((limit) => Math.floor(limit) + 1);
    const below = numbersOf(all, 'exclusiveMaximum').map((limit) => Math.ceil(limit) - 1);
    const from = Math.max(most(all, 'minimum'), ...above);
    const to = Math.min(least(all, 'maximum'), ...below);
    if (from > to) return [];
    if (!Number.isFinite(from) || !Number.isFinite(to)) return endless('numbers', 'minimum and maximum', path);
    const step = Math.max(1, ...numbersOf(all, 'multipleOf').filter(Number.isSafeInteger));
    const first = Math.ceil(from / step) * step;
    const last = Math.floor(to);
    // Where integers are not told apart any more, there are too many in any case.
    this.#spend(
      Number.isSafeInteger(first) && Number.isSafeInteger(last) ? Math.max(0, (last - first) / step) : MOST_STEPS,
    );
    const found: number[] = [];
    // Adding zero makes a zero of −0.
    for (let value = first; value <= last; value += step) found.push(value + 0);
    return found;
  }

  #arrays(all: readonly Part[], path: string, depth: number): unknown[][] {
    const closed = all.flatMap(({ keywords: { items, prefixItems } }) =>
      items === false ? [Array.isArray(prefixItems) ? prefixItems.length : 0] : [],
    );
    const longest = Math.min(least(all, 'maxItems'), ...closed);
    if (longest === Number.POSITIVE_INFINITY) return endless('arrays', 'maxItems', path);
    const shortest = most(all, 'minItems');
    const unique = all.some(({ keywords }) => keywords.uniqueItems === true);
    const found: unknown[][] = [];
    let arrays: { items: unknown[]; texts: string[] }[] = [{ items: [], texts: [] }];
    for (let length = 0; arrays.length > 0; length++) {
      if (length >= shortest) for (const { items } of arrays) found.push(items);
      if (length >= longest) break;
      const here = all.flatMap(({ keywords: { items, prefixItems } }): Schema[] => {
        const own = Array.isArray(prefixItems) ? (prefixItems[length] as Schema | undefined) : undefined;
        const schema = own ?? (items as Schema | undefined);
        return schema === undefined ? [] : [schema];
      });
      const values = this.of(here, `${path}[${length}]`, depth + 1).map((value) => ({
        value,
        text: canonicalJson(value),
      }));
      this.#spend(arrays.length * values.length);
      arrays = arrays.flatMap(({ items, texts }) =>
        values
          .filter(({ text }) => !unique || !texts.includes(text))
          .map(({ value, text }) => ({ items: [...items, value], texts: [...texts, text] })),
      );
    }
    return found;
  }

  #objects(all: readonly Part[], path: string, depth: number): object[] {
    const closed = all.flatMap(({ keywords, evaluated }) => {
      if (keywords.additionalProperties === false && !hasKeys(keywords.patternProperties)) {
        return [Object.keys(keywords.properties ?? {})];
      }
      return keywords.unevaluatedProperties === false && evaluated !== null ? [[...evaluated.keys()]] : [];
    });
    const [first, ...others] = closed;
    if (first === undefined) return endless('objects', 'additionalProperties: false', path);
    const names = first.filter((name) => others.every((more) => more.includes(name)));
    const required = new Set(all.flatMap(({ keywords }) => (keywords.required ?? []) as string[]));
    if ([...required].some((name) => !names.includes(name))) return [];
    let found: [string, unknown][][] = [[]];
    for (const name of names) {
      const values = this.#property(name, all, `${path}.${name}`, depth + 1);
      this.#spend(found.length * (values.length + 1));
      found = found.flatMap((fields) => [
        ...(required.has(name) ? [] : [fields]),
        ...values.map((value): [string, unknown][] => [...fields, [name, value]]),
      ]);
    }
    return found.map((fields) => Object.fromEntries(fields));
  }

  #property(name: string, all: readonly Part[], path: string, depth: number): unknown[] {
    const here = all.flatMap(({ keywords }) => schemaOfProperty(name, keywords));
    if (here.length > 0) return this.of(here, path, depth);
    // It is a property of branches that were not taken. One of them has to accept it all the same.
    const elsewhere = all.map(({ evaluated }) => evaluated?.get(name)).find((schemas) => schemas !== undefined);
    return distinct((elsewhere ?? [true]).flatMap((schema) => this.of([schema], path, depth)));
  }

  #spend(steps: number): void {
    this.#steps += steps;
    if (this.#steps > MOST_STEPS) throw new RangeError('The schema accepts too many values to list.');
  }
}

/** What is to be followed instead of a part, one or another; null when there are no branches in it. */
function branchesOf({ keywords, evaluated }: Part): (Schema | Part)[][] | null {
  for (const keyword of ['oneOf', 'anyOf']) {
    const { [keyword]: branches, ...rest } = keywords;
    if (Array.isArray(branches)) return branches.map((branch: Schema) => [new Part(rest, evaluated), branch]);
  }
  const { if: condition, then = true, else: otherwise = true, ...rest } = keywords;
  if (condition === undefined) return null;
  const left = new Part(rest, evaluated);
  return [
    [left, condition as Schema, then as Schema],
    [left, otherwise as Schema],
  ];
}

/** The schema that a part has for a property, if it has one for sure. */
function schemaOfProperty(
  name: string,
  { properties, patternProperties, additionalProperties }: SchemaObject,
): Schema[] {
  if (isObject(properties) && Object.hasOwn(properties, name)) return [properties[name] as Schema];
  // A pattern might match it, and then it is no additional one.
  return additionalProperties === undefined || hasKeys(patternProperties) ? [] : [additionalProperties as Schema];
}

function allows({ type }: SchemaObject, one: Type): boolean {
  if (type === undefined) return true;
  const types: unknown[] = Array.isArray(type) ? type : [type];
  return types.includes(one) || (one === 'integer' && types.includes('number'));
}

/** Numbers that are no integers. A `multipleOf` does not end them: which of them are multiples is a matter of rounding. */
function fractions(all: readonly Part[], path: string): number[] {
  const [from, to] = [most(all, 'minimum'), least(all, 'maximum')];
  if (from > to) return [];
  return from === to ? [from] : endless('fractions', 'type integer, enum or const', path);
}

/** The strictest of the lower bounds; −∞ where there is none. */
function most(all: readonly Part[], keyword: string): number {
  return Math.max(Number.NEGATIVE_INFINITY, ...numbersOf(all, keyword));
}

/** The strictest of the upper bounds; ∞ where there is none. */
function least(all: readonly Part[], keyword: string): number {
  return Math.min(Number.POSITIVE_INFINITY, ...numbersOf(all, keyword));
}

function numbersOf(all: readonly Part[], keyword: string): number[] {
  return all.map(({ keywords }) => keywords[keyword]).filter((value): value is number => typeof value === 'number');
}

function hasKeys(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length > 0;
}

function distinct(values: readonly unknown[]): unknown[] {
  return [...new Map(values.map((value) => [canonicalJson(value), value])).values()];
}

function endless(what: string, remedy: string, path: string): never {
  throw new RangeError(
    `The schema's ${what} at ${shown(path)} cannot be listed: without ${remedy} there are too many, or infinitely many.`,
  );
}

function shown(path: string): string {
  return `$${path}`;
}
