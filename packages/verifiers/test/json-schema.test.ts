import { compileGrader, GraderRuntimeError, tasks } from '@polymode/verifiers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectRows } from './task-rules.js';

const task = tasks['text/json-schema'];

type Schema = boolean | Readonly<Record<string, unknown>>;
const of = (schema: Schema) => ({ schema, request: '' });
const set = (schema: Schema): unknown[] => task.admissibleSet(of(schema)).map((key) => JSON.parse(key));
const accepts = (schema: Schema, value: unknown): boolean => task.assess(JSON.stringify(value), of(schema)).valid;
const problem = (schema: unknown): string => task.checkItem({ schema })[0]?.message ?? '';

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** The keywords of the schemas below, each as the draft says it; without Ajv and without the code that is tested. */
function conforms(value: unknown, schema: Schema, root: Schema): boolean {
  if (typeof schema === 'boolean') return schema;
  const ok = (inner: unknown, part: unknown) => conforms(inner, part as Schema, root);
  const list = (keyword: string) => schema[keyword] as Schema[];
  const kinds: Record<string, boolean> = {
    null: value === null,
    boolean: typeof value === 'boolean',
    integer: Number.isInteger(value),
    number: typeof value === 'number',
    string: typeof value === 'string',
    array: Array.isArray(value),
    object: isObject(value),
  };
  const rules: Record<string, () => boolean> = {
    type: () => [schema.type].flat().some((type) => kinds[type as string]),
    const: () => same(value, schema.const),
    enum: () => list('enum').some((one) => same(value, one)),
    minimum: () => typeof value !== 'number' || value >= Number(schema.minimum),
    maximum: () => typeof value !== 'number' || value <= Number(schema.maximum),
    exclusiveMinimum: () => typeof value !== 'number' || value > Number(schema.exclusiveMinimum),
    exclusiveMaximum: () => typeof value !== 'number' || value < Number(schema.exclusiveMaximum),
    multipleOf: () => typeof value !== 'number' || Number.isInteger(value / Number(schema.multipleOf)),
    maxLength: () => typeof value !== 'string' || value.length <= Number(schema.maxLength),
    minItems: () => !Array.isArray(value) || value.length >= Number(schema.minItems),
    maxItems: () => !Array.isArray(value) || value.length <= Number(schema.maxItems),
    uniqueItems: () =>
      !Array.isArray(value) ||
      !schema.uniqueItems ||
      value.every((a, i) => value.every((b, j) => i === j || !same(a, b))),
    prefixItems: () =>
      !Array.isArray(value) || list('prefixItems').every((one, i) => i >= value.length || ok(value[i], one)),
    items: () =>
      !Array.isArray(value) || value.slice((list('prefixItems') ?? []).length).every((one) => ok(one, schema.items)),
    contains: () => !Array.isArray(value) || value.some((one) => ok(one, schema.contains)),
    properties: () =>
      !isObject(value) ||
      Object.entries(schema.properties as object).every(([name, one]) => !(name in value) || ok(value[name], one)),
    required: () => !isObject(value) || (schema.required as string[]).every((name) => name in value),
    maxProperties: () => !isObject(value) || Object.keys(value).length <= Number(schema.maxProperties),
    additionalProperties: () =>
      !isObject(value) ||
      Object.entries(value).every(
        ([name, one]) => name in ((schema.properties ?? {}) as object) || ok(one, schema.additionalProperties),
      ),
    allOf: () => list('allOf').every((one) => ok(value, one)),
    anyOf: () => list('anyOf').some((one) => ok(value, one)),
    oneOf: () => list('oneOf').filter((one) => ok(value, one)).length === 1,
    not: () => !ok(value, schema.not),
    if: () => ok(value, (ok(value, schema.if) ? schema.then : schema.else) ?? true),
    $ref: () => ok(value, (root as { $defs: Record<string, Schema> }).$defs[String(schema.$ref).slice(8)]),
  };
  return Object.keys(schema).every((keyword) => rules[keyword]?.() ?? true);
}

const ATOMS = [null, false, true, 0, 1, 2, '', 'a'];
const withUpTo2 = (values: readonly unknown[]) => [
  [],
  ...values.map((v) => [v]),
  ...values.flatMap((v) => values.map((w) => [v, w])),
];
/** Every value of the language of the schemas below: atoms, and lists and objects of up to two of them. */
const UNIVERSE: unknown[] = [
  ...ATOMS,
  ...withUpTo2(ATOMS),
  ...[undefined, ...ATOMS].flatMap((p) =>
    [undefined, ...ATOMS].map((q) => ({ ...(p !== undefined && { p }), ...(q !== undefined && { q }) })),
  ),
];

const some = <T>(arbitrary: fc.Arbitrary<T>, most = 3) => fc.array(arbitrary, { minLength: 1, maxLength: most });
/** Schemas of atoms alone. */
const atomSchema: fc.Arbitrary<Schema> = fc.oneof(
  fc.record({ enum: fc.uniqueArray(fc.constantFrom(...ATOMS), { minLength: 1, maxLength: 4 }) }),
  fc.record({ const: fc.constantFrom(...ATOMS) }),
  fc.constantFrom<Schema>(
    { type: 'boolean' },
    { type: ['null', 'boolean'] },
    { type: 'integer', minimum: 0, maximum: 2 },
    { type: 'integer', exclusiveMinimum: -0.5, exclusiveMaximum: 2 },
    { type: 'integer', minimum: 0, maximum: 2, multipleOf: 2 },
    { type: 'number', minimum: 1, maximum: 1 },
    { type: 'string', maxLength: 0 },
    { $ref: '#/$defs/atom' },
    false,
  ),
);
const listSchema: fc.Arbitrary<Schema> = fc
  .record(
    {
      items: atomSchema,
      prefixItems: some(atomSchema, 2),
      uniqueItems: fc.boolean(),
      minItems: fc.nat(2),
      contains: atomSchema,
    },
    { requiredKeys: ['items'] },
  )
  .chain((keywords) => fc.nat(2).map((maxItems) => ({ type: 'array', maxItems, ...keywords })));
const objectSchema: fc.Arbitrary<Schema> = fc
  .record(
    {
      properties: fc.dictionary(fc.constantFrom('p', 'q'), atomSchema),
      required: fc.uniqueArray(fc.constantFrom('p', 'q')),
      maxProperties: fc.nat(2),
    },
    { requiredKeys: ['properties'] },
  )
  .map((keywords) => ({ type: 'object', additionalProperties: false, ...keywords }));
const simple = fc.oneof(atomSchema, listSchema, objectSchema);
/** What may rule values out, or be finite itself. */
const anySchema = fc.oneof(
  simple,
  fc.constantFrom<Schema>(true, { type: 'object' }, { maxItems: 1 }, { required: ['p'] }, { minimum: 1 }),
);
const schema: fc.Arbitrary<Schema> = fc.oneof(
  simple,
  fc.record({ oneOf: some(simple) }),
  fc.record({ anyOf: some(simple), not: anySchema }, { requiredKeys: ['anyOf'] }),
  fc.record({ allOf: fc.tuple(anySchema, simple, anySchema) }),
  fc.record({ if: anySchema, /* biome-ignore lint/suspicious/noThenProperty: a keyword */ then: simple, else: simple }),
  fc.tuple(simple, fc.record({ oneOf: some(anySchema) })).map(([a, b]) => ({ allOf: [a], ...b })),
);
const withDefinitions = (one: Schema): Schema => {
  const $defs = { atom: { enum: [null, 2, 'a'] } };
  return typeof one === 'boolean' ? { allOf: [one], $defs } : { ...one, $defs };
};

describe('the admissible set', () => {
  it('of any schema of small values is that of all small values, by a validator of its own', () => {
    let members = 0;
    fc.assert(
      fc.property(schema.map(withDefinitions), (one) => {
        const expected = UNIVERSE.filter((value) => conforms(value, one, one)).map((value) => JSON.stringify(value));
        // Objects of the universe have their keys in order, so that their JSON is canonical.
        expect(task.admissibleSet(of(one))).toEqual([...new Set(expected)].sort());
        expect(UNIVERSE.filter((value) => accepts(one, value)).map((value) => JSON.stringify(value))).toEqual(expected);
        members += expected.length;
      }),
      { numRuns: 300 },
    );
    expect(members).toBeGreaterThan(150);
  });

  it('worked by hand', () => {
    expect(set({ const: { a: [1] } })).toEqual([{ a: [1] }]);
    expect(set({ type: 'integer', minimum: -1.5, exclusiveMaximum: 2 })).toEqual([-1, 0, 1]);
    expect(set({ type: 'array', items: { type: 'boolean' }, minItems: 2, maxItems: 2, uniqueItems: true })).toEqual([
      [false, true],
      [true, false],
    ]);
    expect(set({ type: 'array', prefixItems: [{ const: 1 }, { const: 2 }], items: false })).toEqual([[1, 2], [1], []]);
    expect(
      set({
        type: 'object',
        properties: { a: { const: 1 }, b: { enum: [2, 3] } },
        required: ['a'],
        additionalProperties: false,
      }),
    ).toEqual(
      [{ a: 1 }, { a: 1, b: 2 }, { a: 1, b: 3 }].sort((x, y) => (JSON.stringify(x) < JSON.stringify(y) ? -1 : 1)),
    );
    expect(set({ enum: [3, 'x'], type: 'string' })).toEqual(['x']);
    expect(set(false)).toEqual([]);
    // What no list says is left to the whole schema: an odd number of a's by a pattern, dependent fields.
    expect(set({ enum: ['a', 'aa', 'aaa'], pattern: '^a(aa)*$' })).toEqual(['a', 'aaa']);
    const pair = { a: { const: 1 }, b: { const: 2 } };
    const dependent = {
      type: 'object',
      properties: pair,
      additionalProperties: false,
      dependentRequired: { a: ['b'] },
    };
    expect(set(dependent)).toEqual([{ a: 1, b: 2 }, { b: 2 }, {}]);
  });

  it('of branches that forbid what none of them evaluates', () => {
    const branch = (name: string) => ({ properties: { [name]: { enum: [1, 2] } } });
    const schema = { type: 'object', anyOf: [branch('a'), branch('b')], unevaluatedProperties: false };
    // a is 1, 2, any other number or missing for the second branch alone; then it is not evaluated unless the first accepts it.
    const values = [undefined, 1, 2, 3];
    const expected = values.flatMap((a) => values.map((b) => ({ ...(a && { a }), ...(b && { b }) })));
    const right = expected.filter((value) => !Object.values(value).includes(3));
    expect(set(schema)).toHaveLength(right.length);
    for (const value of expected) expect(accepts(schema, value)).toBe(right.includes(value));
  });

  it.each<[string, Schema]>([
    ['everything', true],
    ['everything', {}],
    ['strings', { type: 'string', maxLength: 3 }],
    ['strings', { type: 'string', pattern: '^(a|b)$' }],
    ['fractions', { type: 'number', minimum: 0, maximum: 1 }],
    ['numbers', { type: 'integer', minimum: 0 }],
    ['arrays', { type: 'array', items: { const: 1 } }],
    ['objects', { type: 'object', properties: { a: { const: 1 } } }],
    ['objects', { type: 'object', patternProperties: { '^a': { const: 1 } }, additionalProperties: false }],
    [
      'any depth',
      {
        $ref: '#/$defs/n',
        $defs: { n: { anyOf: [{ const: 1 }, { type: 'array', items: { $ref: '#/$defs/n' }, maxItems: 1 }] } },
      },
    ],
    ['too many', { type: 'integer', minimum: 0, maximum: 1e9 }],
    ['too many', { type: 'array', items: { enum: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] }, minItems: 7, maxItems: 7 }],
    [
      'too many',
      { allOf: Array.from({ length: 24 }, () => ({ anyOf: [{ minimum: 0 }, { maximum: 1 }] })), type: 'integer' },
    ],
  ])('infinite or too large (%s): refused, and still graded', (_, one) => {
    expect(() => task.admissibleSet(of(one))).toThrow(RangeError);
    expect(() => task.rewards(of(one))).toThrow(RangeError);
    expect(task.checkItem(of(one))).toEqual([]);
    expect(task.assess('not JSON', of(one)).key).toBe(null);
  });

  it('says where a schema has no end', () => {
    const open = {
      type: 'object',
      properties: { a: { type: 'array', items: { type: 'string' }, maxItems: 2 } },
      additionalProperties: false,
    };
    expect(() => task.admissibleSet(of(open))).toThrow('strings at $.a[0] cannot be listed: without enum or const');
    expect(accepts(open, { a: ['x', 'y'] })).toBe(true);
    expect(accepts(open, { a: ['x', 3] })).toBe(false);
  });
});

describe('the verifier proves itself', () => {
  it('accepts every member of generated instances, whose key comes back, and no mutant', async () => {
    const grader = compileGrader({ type: 'task', task: 'text/json-schema' });
    for (const instance of task.instances({ count: 25, seed: 11 })) {
      const members = task.admissibleSet(instance);
      const right = new Set(members);
      expect(task.rewards(instance)).toEqual(new Map(members.map((key) => [key, 1])));
      for (const key of members) {
        const text = task.render(key, instance);
        expect(task.assess(text, instance)).toEqual({ key, valid: true, reward: 1, countsForUniqueness: true });
        expect(await grader.grade({ output_text: text }, instance)).toEqual({ reward: 1, outcome: key });
        expect(task.assess(`\`\`\`json\n${JSON.stringify(JSON.parse(text), null, 2)}\n\`\`\``, instance).key).toBe(key);
        for (const mutant of mutants(JSON.parse(text))) {
          const found = task.assess(JSON.stringify(mutant), instance);
          expect(found.valid).toBe(right.has(found.key!));
          expect(found.reward).toBe(right.has(found.key!) ? 1 : 0);
        }
        expect(task.assess(text.slice(0, -1), instance).key).toBe(null);
      }
    }
  });

  /** Objects with a field less, one more, or another value. */
  function mutants(value: Record<string, unknown>): unknown[] {
    const fields = Object.entries(value);
    return [
      [value],
      { ...value, other: 1 },
      ...fields.map(([name]) => Object.fromEntries(fields.filter(([other]) => other !== name))),
      ...fields.flatMap(([name, inner]) =>
        [null, 'other', 99, [], !inner, [inner, inner]].map((changed) => ({ ...value, [name]: changed })),
      ),
    ];
  }
});

describe('reading answers', () => {
  it.each([
    ['any layout and order of keys', '{ "b" : [1.0, 2e0],\n "a": null }', '{"a":null,"b":[1,2]}'],
    ['a value that is null', 'null', 'null'],
    ['a text', '"x y"', '"x y"'],
    ['a block', 'Here it is:\n```json\n{"a": 1}\n```\nDone.', '{"a":1}'],
    ['a block without a language', '```\n[1]\n```', '[1]'],
    ['the first of two blocks', '```json\n1\n```\n```json\n2\n```', '1'],
    ['a block of another language', '```python\n1\n```', null],
    ['an open block', '```json\n{"a": 1}', null],
    ['more than a value in a block', '```json\n1\n2\n```', null],
    ['thoughts behind it', '{"a": 1}\nThat is right.', '{"a":1}'],
    ['thoughts on its line', '{"a": 1} is right', null],
    ['a number with a word', '5 apples', null],
    ['thoughts before it', 'It is {"a": 1}', null],
    ['brackets in texts', '{"a": "}]", "b": "\\"}"}\n', '{"a":"}]","b":"\\"}"}'],
    ['a fence in a text', '{"a": "```json 1 ```"}', '{"a":"```json 1 ```"}'],
    ['a comma at the end', '{"a": 1,}', null],
    ['a comment', '{"a": 1} // one', null],
    ['single quotes', "{'a': 1}", null],
    ['NaN', 'NaN', null],
    ['a number that is none any more', '1e999', null],
    ['one inside', '[{"a": -1e999}]', null],
    ['an open bracket', '{"a": 1', null],
    ['one too many', '{"a": 1}}', null],
    ['minus zero', '-0', '0'],
    ['nothing', ' ', null],
    ['600 levels', `${'['.repeat(600)}${']'.repeat(600)}`, null],
    ['half a character', '"\\ud800"', '"\\ud800"'],
  ])('%s', (_, text, expected) => {
    expect(task.assess(text, of(true)).key).toBe(expected);
  });

  it('never throws and agrees with itself on any text', () => {
    const token = fc.oneof(
      fc.constantFrom('{', '}', '[', ']', '"a"', ':', ',', '1', 'null', '```json\n', '```', '\n', '\\', '"'),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(fc.array(token, { maxLength: 12 }), (tokens) => {
        const found = task.parse(tokens.join(''), of(true));
        if (found === null) return;
        expect(task.key(task.parse(task.render(found, of(true)), of(true))!)).toBe(task.key(found));
        expect(task.verify(found, of(true))).toBe(true);
        expect(task.verify(found, of(false))).toBe(false);
      }),
      { numRuns: 1000 },
    );
    fc.assert(
      fc.property(fc.json(), (json) => {
        const { key } = task.assess(json, of(true));
        expect(task.render(key!, of(true))).toBe(key);
        expect(JSON.parse(key!)).toEqual(JSON.parse(json, (_, v: unknown) => (Object.is(v, -0) ? 0 : v)));
      }),
    );
  });

  it.each(['', '{"b":1,"a":2}', '[1, 2]', '1.0', '-0', 'x', '1e999'])('%j is no key', (bad) => {
    expect(() => task.render(bad, of(true))).toThrow(RangeError);
  });
});

/** Refers to itself n times before it says anything. */
const chain = (n: number, end: Schema = {}): Schema => {
  const links = Array.from({ length: n }, (_, i): [string, Schema] => [`c${i}`, { $ref: `#/$defs/c${i + 1}` }]);
  return { $ref: '#/$defs/c0', $defs: Object.fromEntries([...links, [`c${n}`, end]]) };
};

describe('schemas', () => {
  it.each<[unknown, string]>([
    [undefined, 'must be an object'],
    ['{}', 'must be an object'],
    [{ type: 'text' }, '#/type'],
    [{ minimum: '1' }, '#/minimum'],
    [{ properties: [] }, 'an object of schemas'],
    [{ properties: { a: 3 } }, 'What stands at #/properties/a must be an object'],
    [{ nullable: true, type: 'string' }, "'nullable', which is no keyword"],
    [{ $async: true }, "'$async', which is no keyword"],
    [{ propertys: {} }, "'propertys', which is no keyword"],
    [{ $schema: 'http://json-schema.org/draft-07/schema#' }, 'only 2020-12 is known'],
    [{ $ref: 'https://example.com/schema.json' }, "refers to 'https://example.com/schema.json'"],
    [{ $ref: '#/$defs/a' }, "refers to '#/$defs/a'"],
    [{ const: { type: 'string' }, allOf: [{ $ref: '#/const' }] }, "refers to '#/const'"],
    [{ allOf: [{ $id: 'x' }] }, "'$id', which is not supported"],
    [{ $dynamicRef: '#a' }, "'$dynamicRef', which is not supported"],
    [{ $ref: '#' }, 'refers to itself without going into a part'],
    [{ anyOf: [{ type: 'null' }, { not: { $ref: '#' } }] }, 'refers to itself without going into a part'],
    [{ pattern: '(?=a)b' }, "'(?=a)b' is no regular expression in RE2's syntax"],
    [{ patternProperties: { '(': true } }, "'(' is no regular expression"],
    [{ pattern: '(a{1000}){1000}' }, 'RE2'],
    [{ properties: JSON.parse('{"__proto__": true}') }, "'__proto__'"],
    [{ enum: ['x'.repeat(50_000)] }, 'longer than 50000'],
    [chain(999), 'references lead on and on'],
    [JSON.parse(`${'{"not":'.repeat(60)}true${'}'.repeat(60)}`), 'more than 50 levels'],
  ])('%j is refused', (schema, says) => {
    expect(problem(schema)).toContain(says);
    expect(task.checkItem({ schema })[0]?.path).toBe('item.schema');
  });

  it('are known by their value, whatever names they give themselves', () => {
    const [a, b] = [1, 2].map((value) => ({ $id: 'https://example.com/same', const: value }));
    expect([accepts(a!, 1), accepts(a!, 2), accepts(b!, 1), accepts(b!, 2)]).toEqual([true, false, false, true]);
    expect(accepts({ $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'null' }, null)).toBe(true);
  });

  it('tell one pattern from another, and take formats as annotations', () => {
    const schema = { type: 'object', properties: { a: { pattern: '^x+$' }, b: { pattern: '^y+$', format: 'email' } } };
    expect(accepts(schema, { a: 'xx', b: 'yy' })).toBe(true);
    expect(accepts(schema, { a: 'yy', b: 'yy' })).toBe(false);
    expect(accepts(schema, { a: 'xx', b: 'xx' })).toBe(false);
  });

  it('see own properties alone', () => {
    expect(accepts({ required: ['toString'] }, {})).toBe(false);
    expect(accepts({ properties: { constructor: { type: 'string' } } }, {})).toBe(true);
    const proto = '{"__proto__": {"a": 1}}';
    expect(task.assess(proto, of({ required: ['a'] })).valid).toBe(false);
    expect(task.assess(proto, of({ additionalProperties: false })).valid).toBe(false);
  });

  it('refer to themselves a level down', () => {
    const tree = {
      type: 'object',
      properties: { left: { $ref: '#' }, right: { $ref: '#' } },
      additionalProperties: false,
    };
    expect(accepts(tree, { left: { right: {} }, right: {} })).toBe(true);
    expect(accepts(tree, { left: { right: 1 } })).toBe(false);
  });
});

describe('what would hang others', () => {
  const tooMany = (schema: Schema, text: string): void => {
    expect(task.checkItem({ schema })).toEqual([]);
    expect(() => task.assess(text, of(schema))).toThrow(GraderRuntimeError);
    expect(() => task.assess(text, of(schema))).toThrow('too many steps');
  };

  it('patterns that go back and forth', () => {
    const text = `${'a'.repeat(30_000)}!`;
    expect(accepts({ pattern: '^(a+)+$' }, text)).toBe(false);
    expect(accepts({ patternProperties: { '^(a|a)*$': false } }, { [text]: 1 })).toBe(true);
    // At compile time, where names of properties meet patterns.
    const name = `${'a'.repeat(40)}!`;
    expect(accepts({ properties: { [name]: true }, patternProperties: { '^(a+)+$': false } }, { [name]: 1 })).toBe(
      true,
    );
  });

  it('exponentially many references', () => {
    const doubled = Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [
        `d${i}`,
        { allOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] },
      ]),
    );
    tooMany({ $ref: '#/$defs/d0', $defs: { ...doubled, d40: { type: 'integer' } } }, '1');
  });

  it('and those that a deep answer makes exponential', () => {
    const deeper = { properties: { a: { allOf: [{ $ref: '#/$defs/s' }, { $ref: '#/$defs/s' }] } } };
    tooMany({ $ref: '#/$defs/s', $defs: { s: deeper } }, `${'{"a":'.repeat(60)}1${'}'.repeat(60)}`);
  });

  it('long chains of references in deep answers', () => {
    tooMany(chain(100, { items: { $ref: '#' } }), `${'['.repeat(400)}${']'.repeat(400)}`);
  });

  it('pairs of items, and large lists against large lists', () => {
    expect(
      accepts(
        { uniqueItems: true },
        Array.from({ length: 15_000 }, (_, i) => ({ i })),
      ),
    ).toBe(true);
    expect(
      accepts({ uniqueItems: true }, [
        { a: 1, b: 2 },
        { b: 2, a: 1 },
      ]),
    ).toBe(false);
    const words = Array.from({ length: 4000 }, (_, i) => `word${i}`);
    tooMany({ items: { enum: words } }, JSON.stringify(Array(12_000).fill('word3999')));
  });

  it('megabytes', () => {
    expect(task.assess('['.repeat(5_000_000), of(true)).key).toBe(null);
    expect(task.assess(`"${'\\'.repeat(5_000_000)}`, of(true)).key).toBe(null);
  });

  it('is an error of the grader, not a zero', async () => {
    const doubling = {
      $ref: '#/$defs/s',
      $defs: { s: { properties: { a: { allOf: [{ $ref: '#/$defs/s' }, { $ref: '#/$defs/s' }] } } } },
    };
    const grader = compileGrader({ type: 'task', task: 'text/json-schema' });
    const deep = { output_text: `${'{"a":'.repeat(60)}1${'}'.repeat(60)}` };
    await expect(grader.grade(deep, { schema: doubling })).rejects.toThrow(GraderRuntimeError);
    expect(await grader.grade({ output_text: '{"a": {}}' }, { schema: doubling })).toEqual({
      reward: 1,
      outcome: '{"a":{}}',
    });
  });
});

describe('rows', () => {
  it('are a user message and the fields of the instance', () => {
    expectRows(task);
    expect(task.readInstance({ schema: true })).toEqual(of(true));
  });

  it('accept as many values as asked for, and are all different', () => {
    const rows = task.instances({ count: 30, seed: 3, fields: 2, minAnswers: 5, maxAnswers: 20 });
    expect(new Set(rows.map((row) => JSON.stringify(row))).size).toBe(30);
    for (const row of rows) {
      expect(task.admissibleCount(row)).toBeGreaterThanOrEqual(5);
      expect(task.admissibleCount(row)).toBeLessThanOrEqual(20);
    }
    expect(rows.some(({ schema }) => typeof schema === 'object' && 'oneOf' in schema)).toBe(true);
  });

  it('have prompts with the schema and what is asked for', () => {
    const instance = { schema: { enum: [1, 2] }, request: 'Choose.' };
    expect(task.prompt(instance, 'compact')).toBe('Choose.\nSchema: {"enum":[1,2]}\n');
    expect(task.prompt(of(true), 'compact')).toBe('Schema: true\n');
    expect(task.prompt(instance, 'full')).toContain('Choose.\n\nAnswer with JSON');
    expect(task.prompt(instance, 'full')).toContain(JSON.stringify(instance.schema, null, 2));
  });

  it('have a text as request', () => {
    expect(task.checkItem({ schema: true, request: 3 })[0]?.path).toBe('item.request');
    expect(() => task.readInstance({ schema: 3 })).toThrow('item.schema');
  });

  it.each([
    {},
    { count: 0 },
    { count: 1, fields: 0 },
    { count: 1, fields: 7 },
    { count: 1, minAnswers: 0 },
    { count: 1, minAnswers: 5, maxAnswers: 4 },
    { count: 1, seed: 0.5 },
    { count: 2, fields: 1, minAnswers: 9999 },
  ])('%j is refused', (options) => {
    expect(() => task.instances(options)).toThrow(RangeError);
  });
});
