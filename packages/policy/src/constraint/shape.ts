/** What schemas that a value has to fulfil all at once ask of it, type by type. */
import { pointerTo, SchemaError } from './error.js';
import { FORMATS } from './formats.js';
import { type Located, type Schema, type SchemaObject, TYPES, type Type } from './keywords.js';
import type { NumberLimits } from './numbers.js';
import { type Automaton, PatternError, patternAutomaton } from './pattern.js';
import { remember } from './remember.js';

export interface Shape {
  readonly pointer: string;
  readonly types: ReadonlySet<Type>;
  /** the only values, of these types and within the limits of numbers and strings; null for any */
  readonly values: readonly unknown[] | null;
  readonly number: NumberLimits;
  readonly string: StringShape;
  readonly object: ObjectShape;
  readonly array: ArrayShape;
}

export interface StringShape {
  readonly minLength: number;
  readonly maxLength: number;
  /** where each stands, and its regular expression */
  readonly patterns: readonly { readonly pointer: string; readonly source: string }[];
}

export interface ObjectShape {
  /** in the order in which they are first named; those that are only required come last */
  readonly names: readonly string[];
  readonly required: ReadonlySet<string>;
  /** schemas of a property's value */
  readonly property: (name: string) => readonly Located[];
  /** schemas of properties that have no name here; null where there may be none */
  readonly others: readonly Located[] | null;
  /** additionalProperties is false: none may be, and not only none is written */
  readonly shut: boolean;
  readonly minProperties: number;
  readonly maxProperties: number;
}

export interface ArrayShape {
  /** schemas of each of the first items */
  readonly first: readonly (readonly Located[])[];
  /** schemas of the others; null where there may be none */
  readonly rest: readonly Located[] | null;
  readonly minItems: number;
  readonly maxItems: number;
}

const OBJECT_WORDS = ['properties', 'required', 'additionalProperties', 'minProperties', 'maxProperties'];
const ARRAY_WORDS = ['items', 'prefixItems', 'additionalItems', 'minItems', 'maxItems', 'uniqueItems'];
const STRING_WORDS = ['minLength', 'maxLength', 'pattern', 'format'];
const NUMBER_WORDS = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'];

interface Plain {
  readonly schema: SchemaObject;
  readonly pointer: string;
}

/**
 * @param literal without the narrowing of what is written: no types are told from other keywords
 * @throws SchemaError for what cannot be followed
 */
export function shapeOf(located: readonly Located[], literal = false): Shape {
  const schemas = located.filter((l): l is Plain => typeof l.schema !== 'boolean');
  const pointer = schemas[0]?.pointer ?? '';
  const types = typesOf(schemas, literal);
  const number = numberLimits(schemas, types);
  const string = stringShape(schemas);
  return {
    pointer,
    types,
    values: valuesOf(schemas, types, number, string),
    number,
    string,
    object: objectShape(schemas, types),
    array: arrayShape(schemas, types),
  };
}

/** Types that all declare, or, where none does, those that the other keywords speak of; else all. */
function typesOf(schemas: readonly Plain[], literal: boolean): Set<Type> {
  const declared = schemas.filter(({ schema }) => schema.type !== undefined);
  if (declared.length > 0) {
    const has = (schema: SchemaObject, type: Type): boolean => {
      const own = [schema.type].flat() as Type[];
      return own.includes(type) || (type === 'integer' && own.includes('number'));
    };
    const types = new Set(TYPES.filter((type) => declared.every(({ schema }) => has(schema, type))));
    if (types.has('number')) types.delete('integer');
    return types;
  }
  const speaks = (words: readonly string[]): boolean =>
    schemas.some(({ schema }) => words.some((word) => schema[word] !== undefined));
  const types = new Set<Type>();
  if (speaks(OBJECT_WORDS)) types.add('object');
  if (speaks(ARRAY_WORDS)) types.add('array');
  if (speaks(STRING_WORDS)) types.add('string');
  if (speaks(NUMBER_WORDS)) types.add('number');
  const all = TYPES.filter((type) => type !== 'integer');
  return types.size > 0 && !literal && !speaks(['enum', 'const']) ? types : new Set(all);
}

const least = (schemas: readonly Plain[], word: string, otherwise: number): number =>
  schemas.reduce((n, { schema }) => Math.min(n, (schema[word] as number | undefined) ?? otherwise), otherwise);
const most = (schemas: readonly Plain[], word: string, otherwise: number): number =>
  schemas.reduce((n, { schema }) => Math.max(n, (schema[word] as number | undefined) ?? otherwise), otherwise);

/** Larger ones take a step for each remainder. */
const MAX_MULTIPLE = 1000;

function numberLimits(schemas: readonly Plain[], types: ReadonlySet<Type>): NumberLimits {
  const min = most(schemas, 'minimum', Number.NEGATIVE_INFINITY);
  const max = least(schemas, 'maximum', Number.POSITIVE_INFINITY);
  const above = most(schemas, 'exclusiveMinimum', Number.NEGATIVE_INFINITY);
  const below = least(schemas, 'exclusiveMaximum', Number.POSITIVE_INFINITY);
  let multipleOf: number | null = null;
  for (const { schema, pointer } of schemas) {
    const own = schema.multipleOf as number | undefined;
    if (own === undefined) continue;
    multipleOf = leastCommonMultiple(multipleOf ?? 1, own);
    if (!Number.isInteger(own) || multipleOf > MAX_MULTIPLE) {
      throw new SchemaError(pointerTo(pointer, 'multipleOf'), `must be a whole number up to ${MAX_MULTIPLE}`);
    }
  }
  return {
    integer: types.has('integer'),
    min: Math.max(min, above),
    max: Math.min(max, below),
    aboveMin: above >= min && above > Number.NEGATIVE_INFINITY,
    belowMax: below <= max && below < Number.POSITIVE_INFINITY,
    multipleOf,
  };
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y > 0) [x, y] = [y, x % y];
  return (a / x) * b;
}

function stringShape(schemas: readonly Plain[]): StringShape {
  const patterns = schemas.flatMap(({ schema, pointer }) => {
    const found: { pointer: string; source: string }[] = [];
    if (schema.pattern !== undefined) {
      found.push({ pointer: pointerTo(pointer, 'pattern'), source: schema.pattern as string });
    }
    if (schema.format !== undefined) {
      const source = FORMATS.get(schema.format as string);
      const at = pointerTo(pointer, 'format');
      if (source === undefined) {
        const known = [...FORMATS.keys()].join(', ');
        throw new SchemaError(at, `is ${JSON.stringify(schema.format)}, but must be one of ${known}, or left out`);
      }
      found.push({ pointer: at, source });
    }
    return found;
  });
  const unique = new Map(patterns.map((pattern) => [pattern.source, pattern]));
  return {
    minLength: most(schemas, 'minLength', 0),
    maxLength: least(schemas, 'maxLength', Number.POSITIVE_INFINITY),
    patterns: [...unique.values()],
  };
}

const SOURCES = new Set(FORMATS.values());
/** Automata of formats, which many schemas have. */
const formats = new Map<string, Automaton>();

/** @throws SchemaError where the pattern stands */
export function automatonOf({ pointer, source }: StringShape['patterns'][number]): Automaton {
  return patternAt(pointer, () =>
    SOURCES.has(source) ? remember(formats, source, () => patternAutomaton(source)) : patternAutomaton(source),
  );
}

/** What `make` makes; a failure of a pattern is one of the schema. */
export function patternAt<T>(pointer: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof PatternError) throw new SchemaError(pointer, error.message);
    throw error;
  }
}

function valuesOf(
  schemas: readonly Plain[],
  types: ReadonlySet<Type>,
  number: NumberLimits,
  string: StringShape,
): unknown[] | null {
  const words = (['enum', 'const'] as const).flatMap((word) =>
    schemas
      .filter(({ schema }) => schema[word] !== undefined)
      .map(({ schema, pointer }) => ({
        own: word === 'enum' ? (schema.enum as unknown[]) : [schema.const],
        word,
        pointer,
      })),
  );
  const [first, ...others] = words.map(({ own }) => new Map(own.map((value) => [canonical(value), value])));
  if (first === undefined) return null;
  const compound = words.find(({ own }) => own.some((value) => typeof value === 'object' && value !== null));
  const beside = [...OBJECT_WORDS, ...ARRAY_WORDS].find((word) =>
    schemas.some(({ schema }) => schema[word] !== undefined),
  );
  if (compound !== undefined && beside !== undefined) {
    const at = pointerTo(compound.pointer, compound.word);
    throw new SchemaError(at, `lists objects or arrays beside ${beside}: leave that out`);
  }
  const values = [...first].filter(([key]) => others.every((other) => other.has(key))).map(([, value]) => value);
  const patterns = string.patterns.map((pattern) => {
    automatonOf(pattern);
    return new RegExp(pattern.source, 'u');
  });
  return values.filter((value) => {
    if (![...types].some((type) => isOfType(value, type))) return false;
    if (typeof value === 'number') return fitsNumber(value, number);
    if (typeof value !== 'string') return true;
    const length = [...value].length;
    return length >= string.minLength && length <= string.maxLength && patterns.every((p) => p.test(value));
  });
}

export function isOfType(value: unknown, type: Type): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  if (type === 'integer') return Number.isInteger(value);
  return typeof value === type;
}

function fitsNumber(x: number, { min, max, aboveMin, belowMax, multipleOf }: NumberLimits): boolean {
  const inside = (aboveMin ? x > min : x >= min) && (belowMax ? x < max : x <= max);
  return inside && (multipleOf === null || x % multipleOf === 0);
}

/** Text that equal values share. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([name, inner]) => `${JSON.stringify(name)}:${canonical(inner)}`).join()}}`;
}

function objectShape(schemas: readonly Plain[], types: ReadonlySet<Type>): ObjectShape {
  const propertiesOf = (schema: SchemaObject): SchemaObject => (schema.properties ?? {}) as SchemaObject;
  const declared = schemas.flatMap(({ schema }) => Object.keys(propertiesOf(schema)));
  const required = new Set(schemas.flatMap(({ schema }) => (schema.required ?? []) as string[]));
  const names = [...new Set([...declared, ...required])];
  const open = schemas.filter(({ schema }) => schema.additionalProperties !== undefined);
  const other = ({ schema, pointer }: Plain): Located => ({
    schema: schema.additionalProperties as Schema,
    pointer: pointerTo(pointer, 'additionalProperties'),
  });
  const others = open.map(other);
  // Properties that a schema does not name are for it to allow; where nothing is said, only named ones are written.
  const shut = others.some(({ schema }) => schema === false);
  const closed = open.length === 0 ? declared.length > 0 : shut;
  const minProperties = most(schemas, 'minProperties', 0);
  const maxProperties = least(schemas, 'maxProperties', Number.POSITIVE_INFINITY);
  if (types.has('object')) {
    const at = (word: string): string =>
      pointerTo(schemas.find(({ schema }) => schema[word] !== undefined)?.pointer ?? '', word);
    if (minProperties > Math.max(required.size, closed || names.length > 0 ? 0 : 1)) {
      throw new SchemaError(
        at('minProperties'),
        'must not be more than the properties that are required: add them to required',
      );
    }
    if (maxProperties < names.length && maxProperties >= required.size) {
      throw new SchemaError(at('maxProperties'), 'must not be less than the properties that are named: leave it out');
    }
  }
  return {
    names,
    required,
    property: (name) =>
      schemas.flatMap((plain): Located[] => {
        const own = propertiesOf(plain.schema);
        if (Object.hasOwn(own, name)) {
          return [{ schema: own[name] as Schema, pointer: pointerTo(plain.pointer, 'properties', name) }];
        }
        return plain.schema.additionalProperties === undefined ? [] : [other(plain)];
      }),
    others: closed ? null : others,
    shut,
    minProperties,
    maxProperties,
  };
}

function arrayShape(schemas: readonly Plain[], types: ReadonlySet<Type>): ArrayShape {
  const views = schemas.map(({ schema, pointer }) => {
    // Lists of items are how drafts before 2020-12 wrote prefixItems.
    const old = Array.isArray(schema.items);
    const [firstWord, restWord] = old ? ['items', 'additionalItems'] : ['prefixItems', 'items'];
    const first = (schema[firstWord!] ?? []) as readonly Schema[];
    const rest = schema[restWord!] as Schema | undefined;
    return {
      first: first.map((inner, i): Located => ({ schema: inner, pointer: pointerTo(pointer, firstWord!, i) })),
      rest: rest === undefined ? null : { schema: rest, pointer: pointerTo(pointer, restWord!) },
    };
  });
  const known = Math.max(0, ...views.map(({ first }) => first.length));
  const rests = views.flatMap(({ rest }) => (rest === null ? [] : [rest]));
  const minItems = most(schemas, 'minItems', 0);
  const maxItems = least(schemas, 'maxItems', Number.POSITIVE_INFINITY);
  const unique = schemas.find(({ schema }) => schema.uniqueItems === true);
  if (types.has('array') && unique !== undefined && maxItems > 1) {
    throw new SchemaError(pointerTo(unique.pointer, 'uniqueItems'), 'cannot be followed: leave it out');
  }
  const never = rests.some(({ schema }) => schema === false);
  // As with properties: items of which nothing is said are written only where there have to be more than are named.
  const closed = never || (rests.length === 0 && known > 0 && minItems <= known);
  return {
    first: Array.from({ length: known }, (_, i) => views.flatMap(({ first, rest }) => first[i] ?? rest ?? [])),
    rest: closed ? null : rests,
    minItems,
    maxItems,
  };
}
