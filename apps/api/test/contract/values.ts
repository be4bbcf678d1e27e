import fc, { type Arbitrary } from 'fast-check';
import type { ApiDocument, JsonSchema } from './document.js';

/** Text that servers, databases, paths and logs have tripped over. */
export const hostileText: Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '\0',
    'a\0b',
    '\ud800',
    '\udfff\ud800',
    '\u202e\u0000',
    '\ufeff',
    '🦆'.repeat(40),
    'e\u0301',
    'ﷺ',
    "'; DROP TABLE fine_tuning_jobs; --",
    '%',
    '_',
    '\\',
    '../../../../etc/passwd',
    '..%2f..%2f',
    '%00',
    '%',
    '%zz',
    '{{item.x}}',
    '{{',
    '<script>',
    'null',
    'undefined',
    'NaN',
    'true',
    '0',
    '-1',
    '1e400',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'auto',
    '\r\nx-injected: 1',
    'a,b',
    '[]',
    '{}',
    'ft:polymode-tiny:acme::xxxxxxxx:ckpt-step-1',
    '0'.repeat(300),
    'x'.repeat(5000),
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.string({ maxLength: 20 }),
);

export const hostileNumber: Arbitrary<number> = fc.oneof(
  fc.constantFrom(
    0,
    -0,
    -1,
    0.5,
    1e-320,
    1e308,
    -1e308,
    2 ** 31,
    2 ** 31 - 1,
    2 ** 32,
    2 ** 53,
    2 ** 53 - 1,
    -(2 ** 63),
    2 ** 64,
    1e21,
  ),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);

/** Any JSON, of any type. */
export const hostileJson: Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(null, true, false, [], {}, [[]], [null], { '': '' }, { length: 1 }, { type: 1 }, { type: 'multi' }),
  hostileText,
  hostileNumber,
  fc.jsonValue({ maxDepth: 3 }),
  fc.constant(null).map(() => nested(60)),
);

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

/** Values for a property of that name, when the test has real ones. */
export type Known = (name: string) => readonly unknown[];

/** Values that a schema allows, mostly: lengths and depths are kept small, and known names often have real values. */
export function fromSchema(document: ApiDocument, schema: JsonSchema, known: Known, name = ''): Arbitrary<unknown> {
  const there = known(name);
  const generic = (): Arbitrary<unknown> => generate(document, document.resolve(schema), known, name);
  return there.length === 0 ? generic() : fc.oneof({ arbitrary: fc.constantFrom(...there), weight: 9 }, generic());
}

function generate(document: ApiDocument, schema: JsonSchema, known: Known, name: string): Arbitrary<unknown> {
  const each = (schemas: unknown): Arbitrary<unknown> =>
    fc.oneof(...(schemas as JsonSchema[]).map((one) => fromSchema(document, one, known, name)));
  if ('const' in schema) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...(schema.enum as unknown[]));
  if (schema.anyOf) return each(schema.anyOf);
  if (schema.oneOf) return each(schema.oneOf);
  switch (schema.type) {
    case 'string':
      return text(schema);
    case 'integer':
    case 'number':
      return number(schema);
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array': {
      const { minItems = 0, maxItems = 3 } = schema as { minItems?: number; maxItems?: number };
      const item = fromSchema(document, (schema.items ?? {}) as JsonSchema, known, name);
      return fc.array(item, { minLength: minItems, maxLength: Math.max(minItems, Math.min(maxItems, 3)) });
    }
    case 'object':
      return object(document, schema, known);
    default:
      return hostileJson;
  }
}

function text(schema: JsonSchema): Arbitrary<string> {
  if (typeof schema.pattern === 'string') return fc.stringMatching(new RegExp(schema.pattern));
  if (schema.format === 'uri') return fc.webUrl();
  const { minLength = 0, maxLength = 30 } = schema as { minLength?: number; maxLength?: number };
  return fc.string({ minLength, maxLength: Math.min(maxLength, minLength + 30) });
}

function number(schema: JsonSchema): Arbitrary<number> {
  const bound = (key: string): number | undefined => schema[key] as number | undefined;
  const least = bound('minimum') ?? bound('exclusiveMinimum') ?? -1000;
  const most = bound('maximum') ?? bound('exclusiveMaximum') ?? Math.max(least, 0) + 1000;
  if (schema.type === 'integer') {
    const min = Math.ceil(bound('exclusiveMinimum') === undefined ? least : least + 1);
    // Mostly near the small end, where values are useful.
    const near = fc.integer({ min, max: Math.min(most, min + 20) });
    return fc.oneof({ arbitrary: near, weight: 4 }, fc.integer({ min, max: Math.min(most, Number.MAX_SAFE_INTEGER) }));
  }
  return fc.double({
    min: least,
    max: most,
    minExcluded: bound('exclusiveMinimum') !== undefined && least < most,
    noNaN: true,
  });
}

function object(document: ApiDocument, schema: JsonSchema, known: Known): Arbitrary<unknown> {
  const properties = Object.entries((schema.properties ?? {}) as Record<string, JsonSchema>);
  const fields = Object.fromEntries(
    properties.map(([name, property]) => [name, fromSchema(document, property, known, name)]),
  );
  const requiredKeys = (schema.required ?? []) as string[];
  // Few optional fields at a time: each may be what the server refuses.
  const chosen = fc
    .subarray(
      properties.map(([name]) => name).filter((name) => !requiredKeys.includes(name)),
      { maxLength: Math.min(3, Math.max(0, properties.length - requiredKeys.length)) },
    )
    .chain((optional) =>
      fc.record(Object.fromEntries([...requiredKeys, ...optional].map((key) => [key, fields[key] ?? hostileJson]))),
    );
  if (schema.additionalProperties === false || (properties.length > 0 && !('additionalProperties' in schema))) {
    return chosen;
  }
  const extra = fromSchema(document, (schema.additionalProperties || {}) as JsonSchema, known);
  return fc
    .tuple(chosen, fc.dictionary(fc.string({ maxLength: 8 }), extra, { maxKeys: 2 }))
    .map(([own, more]) => ({ ...more, ...(own as object) }));
}

/** A value of which one place, anywhere in it, was replaced, left out or added. */
export function mutated(value: unknown): Arbitrary<unknown> {
  const places = pathsOf(value);
  return fc
    .tuple(fc.constantFrom(...places), hostileJson, fc.constantFrom('replace', 'remove', 'add'), hostileText)
    .map(([path, replacement, how, key]) =>
      change(value, path, (there) => {
        if (how === 'remove') return undefined;
        if (how === 'add' && isObject(there)) return { ...there, [key]: replacement };
        return replacement;
      }),
    );
}

function pathsOf(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))];
}

function change(value: unknown, [key, ...rest]: string[], edit: (there: unknown) => unknown): unknown {
  if (key === undefined) return edit(value);
  if (Array.isArray(value)) return value.map((inner, i) => (String(i) === key ? change(inner, rest, edit) : inner));
  const inner = (value as Record<string, unknown>)[key];
  return { ...(value as object), [key]: change(inner, rest, edit) };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
