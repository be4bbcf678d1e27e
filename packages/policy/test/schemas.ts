/** Random schemas with instances of them, as written: properties in the schema's order. */
import fc from 'fast-check';

export interface Example {
  readonly schema: Record<string, unknown> | boolean;
  readonly instance: unknown;
}

const name = fc.oneof(
  fc.constantFrom('a', 'b', 'name', 'é', 'a"b', 'x y', '', '\\', 'aa', 'ab'),
  // ajv leaves out a property of this name.
  fc.string({ maxLength: 5 }).filter((text) => text !== '__proto__'),
);
const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 8 }),
  fc.string({ unit: fc.constantFrom('a', '"', '\\', '\n', '\u0001', 'é', '漢', '😀', '/'), maxLength: 8 }),
);
const scalar = fc.oneof(fc.constant(null), fc.boolean(), fc.integer(), text, fc.constantFrom(0.5, -1.25, 3));
const number = fc.oneof(
  fc.integer({ min: -2000, max: 2000 }),
  fc.integer({ min: -20000, max: 20000 }).map((n) => n / 100),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e300, max: 1e300 }).map((x) => x + 0),
);
/** Any JSON value, but for numbers above 1.7e308. JSON has no −0. */
const json = fc
  .jsonValue({ maxDepth: 2 })
  .map((value) => JSON.parse(JSON.stringify(value).replace(/1\.[789]\d*e\+308/g, '1e+308')) as unknown);
const without = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

const strings: fc.Arbitrary<Example> = fc
  .tuple(text, fc.option(fc.nat(3)), fc.option(fc.nat(4)))
  .map(([instance, below, above]) => {
    const length = [...instance].length;
    return {
      schema: {
        type: 'string',
        ...(below === null ? {} : { minLength: Math.max(0, length - below) }),
        ...(above === null ? {} : { maxLength: length + above }),
      },
      instance,
    };
  });

const PATTERNS = ['^[a-c]{1,4}$', '^\\d+-\\w*$', 'x', '^(foo|bar)+$', '^.?é', '^[^"\\\\]*$', '"$', '^\\u{1f600}+$'];
const patterns: fc.Arbitrary<Example> = fc.constantFrom(...PATTERNS).chain((pattern) =>
  fc.record({ instance: fc.stringMatching(new RegExp(pattern, 'u')) }).map(({ instance }) => ({
    schema: { type: 'string', pattern },
    instance,
  })),
);

const FORMATTED: Record<string, readonly string[]> = {
  date: ['2024-02-29', '2000-02-29', '1999-12-31', '2023-02-28', '0001-04-30'],
  time: ['23:59:59Z', '00:00:00.123+01:00'],
  'date-time': ['2024-02-29T12:30:00Z', '2020-01-01T00:00:00.5-08:00'],
  email: ['a@b.co', 'first.last+tag@mail.example.org'],
  hostname: ['localhost', 'a.b-c.example'],
  ipv4: ['0.0.0.0', '255.1.20.199'],
  ipv6: ['::', '::1', '2001:db8:0:0:0:0:2:1', 'fe80::1'],
  uuid: ['00000000-0000-0000-0000-000000000000', '123e4567-e89B-12d3-a456-426614174000'],
  uri: ['https://example.org', 'http://a.b:80/c/d%20?q=1#x'],
  duration: ['P1D', 'PT5M', 'P2Y3M4DT5H6M7S', 'P3W'],
};
const formats: fc.Arbitrary<Example> = fc
  .constantFrom(...Object.entries(FORMATTED))
  .chain(([format, values]) =>
    fc.constantFrom(...values).map((instance) => ({ schema: { type: 'string', format }, instance })),
  );

const integers: fc.Arbitrary<Example> = fc
  .tuple(
    fc.integer({ min: -5000, max: 5000 }),
    fc.option(fc.nat(300)),
    fc.option(fc.nat(300)),
    fc.boolean(),
    fc.integer({ min: 1, max: 9 }),
  )
  .map(([n, below, above, exclusive, factor]) => {
    const instance = n * factor;
    return {
      schema: {
        type: 'integer',
        ...(below === null ? {} : { [exclusive ? 'exclusiveMinimum' : 'minimum']: instance - below - 1 }),
        ...(above === null ? {} : { [exclusive ? 'exclusiveMaximum' : 'maximum']: instance + above + 1 }),
        ...(factor > 4 ? { multipleOf: factor } : {}),
      },
      instance,
    };
  });

const numbers: fc.Arbitrary<Example> = fc.oneof(
  number.map((instance) => ({ schema: { type: 'number' }, instance: without(instance) })),
  fc.tuple(fc.integer({ min: -90000, max: 90000 }), fc.nat(100), fc.nat(100)).map(([n, below, above]) => ({
    schema: { type: 'number', minimum: (n - below) / 1000, exclusiveMaximum: (n + above + 1) / 1000 },
    instance: n / 1000 + 0,
  })),
);

const enums: fc.Arbitrary<Example> = fc
  .uniqueArray(fc.oneof({ weight: 4, arbitrary: scalar }, { weight: 1, arbitrary: json }), {
    minLength: 1,
    maxLength: 6,
    selector: (value) => JSON.stringify(value),
  })
  .chain((values) => fc.nat(values.length - 1).map((i) => ({ schema: { enum: values }, instance: values[i] })));

/** In the order of their numbers first, as JavaScript keeps them: so they are written in no other. */
const inOrder = (names: readonly string[]): string[] => Object.keys(Object.fromEntries(names.map((n) => [n, 0])));

const define = (entries: readonly (readonly [string, unknown])[]): Record<string, unknown> => {
  const object: Record<string, unknown> = {};
  for (const [key, value] of entries)
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  return object;
};

function objects(inner: fc.Arbitrary<Example>): fc.Arbitrary<Example> {
  const member = fc.record({ name, example: inner, required: fc.boolean(), present: fc.boolean() });
  const extra = fc.option(fc.record({ example: inner, names: fc.uniqueArray(name, { maxLength: 3 }) }));
  return fc.tuple(fc.uniqueArray(member, { maxLength: 4, selector: (m) => m.name }), extra).map(([members, more]) => {
    const byName = new Map(members.map((m) => [m.name, m]));
    const ordered = inOrder(members.map((m) => m.name)).map((n) => byName.get(n)!);
    const written = ordered.filter((m) => m.required || m.present);
    // Names that are numbers come first in JavaScript's objects, others in the order in which they are made.
    const others = (more?.names ?? []).filter((n) => !byName.has(n) && !/^\d+$/.test(n));
    return {
      schema: {
        type: 'object',
        properties: define(ordered.map((m) => [m.name, m.example.schema])),
        required: ordered.filter((m) => m.required).map((m) => m.name),
        additionalProperties: more === null ? false : more.example.schema,
      },
      instance: define([
        ...written.map((m) => [m.name, m.example.instance] as const),
        ...others.map((n) => [n, more!.example.instance] as const),
      ]),
    };
  });
}

function arrays(inner: fc.Arbitrary<Example>): fc.Arbitrary<Example> {
  const list = fc.tuple(inner, fc.nat(4), fc.nat(3), fc.option(fc.nat(2))).map(
    ([item, count, below, above]): Example => ({
      schema: {
        type: 'array',
        items: item.schema,
        minItems: Math.max(0, count - below),
        ...(above === null ? {} : { maxItems: count + above }),
      },
      instance: Array.from({ length: count }, () => item.instance),
    }),
  );
  const tuple = fc.tuple(fc.array(inner, { minLength: 1, maxLength: 3 }), fc.option(inner), fc.nat(2)).map(
    ([first, rest, more]): Example => ({
      schema: {
        type: 'array',
        prefixItems: first.map(({ schema }) => schema),
        items: rest === null ? false : rest.schema,
        minItems: first.length,
      },
      instance: [
        ...first.map(({ instance }) => instance),
        ...(rest === null ? [] : Array.from({ length: more }, () => rest.instance)),
      ],
    }),
  );
  return fc.oneof(list, tuple);
}

/** One of several schemas, of which the instance fulfils at least one. */
function choices(inner: fc.Arbitrary<Example>): fc.Arbitrary<Example> {
  return fc.array(inner, { minLength: 1, maxLength: 3 }).chain((examples) =>
    fc.nat(examples.length - 1).map((i) => ({
      schema: { anyOf: examples.map(({ schema }) => schema) },
      instance: examples[i]!.instance,
    })),
  );
}

/** oneOf of objects told apart by a tag, and allOf whose parts each know some of the properties. */
function combined(inner: fc.Arbitrary<Example>): fc.Arbitrary<Example> {
  const tagged = fc.array(inner, { minLength: 1, maxLength: 3 }).chain((examples) =>
    fc.nat(examples.length - 1).map(
      (i): Example => ({
        schema: {
          type: 'object',
          oneOf: examples.map(({ schema }, tag) => ({
            properties: { tag: { const: tag }, value: schema },
            required: ['tag', 'value'],
          })),
        },
        instance: { tag: i, value: examples[i]!.instance },
      }),
    ),
  );
  const parted = fc.tuple(inner, inner, fc.boolean()).map(
    ([a, b, present]): Example => ({
      schema: {
        allOf: [
          { type: 'object', properties: { a: a.schema }, required: ['a'] },
          { properties: { b: b.schema, a: true } },
        ],
      },
      instance: { a: a.instance, ...(present ? { b: b.instance } : {}) },
    }),
  );
  return fc.oneof(tagged, parted);
}

const simple: fc.Arbitrary<Example> = fc.oneof(
  strings,
  patterns,
  formats,
  integers,
  numbers,
  enums,
  fc.constantFrom<Example>(
    { schema: { type: 'null' }, instance: null },
    { schema: { type: ['boolean', 'null'] }, instance: false },
    { schema: { const: 'é\n"' }, instance: 'é\n"' },
  ),
  json.map((instance) => ({ schema: true, instance })),
);

/** A schema, and one of its instances. */
export const example: fc.Arbitrary<Example> = fc.letrec<{ any: Example }>((tie) => ({
  any: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    simple,
    objects(tie('any')),
    arrays(tie('any')),
    choices(tie('any')),
    combined(tie('any')),
    // The same by a reference, next to a keyword.
    tie('any').map(({ schema, instance }) => ({
      schema: { allOf: [schema, true], description: 'the same' },
      instance,
    })),
  ),
})).any;
