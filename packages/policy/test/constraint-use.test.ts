import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Engine } from '@polymode/autodiff';
import {
  compileConstraint,
  compileSchema,
  compileToolConstraint,
  loadTokenizer,
  Policy,
  RunningBatch,
  SchemaError,
  type Tokenizer,
} from '@polymode/policy';
import { findBaseModel } from '@polymode/policy/registry';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { drawn, fixtureTokenizer, has } from './constrained.js';
import { randomWeights, tinyConfig } from './tiny-policy.js';

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadTokenizer(findBaseModel('polymode-tiny')!.dir);
});

const PERSON = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 12 },
    age: { type: 'integer', minimum: 0, maximum: 120 },
    mood: { enum: ['good', 'bad', null] },
    children: { type: 'array', items: { $ref: '#' }, maxItems: 3 },
  },
  required: ['name', 'age', 'mood', 'children'],
  additionalProperties: false,
};

const check = (schema: object): ((value: unknown) => boolean) =>
  new Ajv2020().compile(schema) as (v: unknown) => boolean;
const seeds = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

describe('a model with random weights', () => {
  const engine = new Engine({ threads: 1 });
  let policy: Policy;
  beforeAll(async () => {
    // More rows than tokens, as models have that pad their embeddings.
    const config = tinyConfig({ vocabSize: tokenizer.vocabularySize + 21, maxPositionEmbeddings: 256 });
    policy = new Policy(config, engine, { paddingToken: tokenizer.paddingToken });
    await policy.setWeights(randomWeights(config, 3));
  });
  afterAll(() => engine.close());

  it('says valid JSON to its end, many completions with one function, beside others without', async () => {
    const vocabularySize = policy.config.vocabSize;
    const batch = new RunningBatch(policy);
    const common = { stopTokens: tokenizer.stopTokens, decode: tokenizer.decode };
    const ask = (schema: unknown, maxTokens: number, n: number, random: number) => {
      const constraint = compileConstraint(schema, tokenizer, { vocabularySize });
      expect(constraint.minTokens).toBeLessThanOrEqual(maxTokens);
      const options = { ...common, maxTokens, allowed: constraint.allowed({ maxTokens }) };
      return batch.add({ prompt: [1, 5, 9], n, random, options }).completions;
    };
    const plain = batch.add({ prompt: [1], n: 2, random: 9, options: { ...common, maxTokens: 40 } }).completions;
    const [people, objects] = await Promise.all([ask(PERSON, 70, 6, 1), ask('object', 40, 6, 2)]);
    for (const { text, finishReason } of people) {
      expect(finishReason).toBe('stop');
      expect(check(PERSON)(JSON.parse(text!)), text).toBe(true);
    }
    for (const { text, finishReason } of objects) {
      expect(finishReason).toBe('stop');
      expect(JSON.parse(text!)).toBeTypeOf('object');
    }
    expect(await plain).toHaveLength(2);
    await batch.close();
  });
});

describe('the end of a completion', () => {
  it.each([PERSON, { type: 'object' }, { type: 'array', items: { type: 'string', minLength: 4 }, minItems: 3 }, true])(
    'comes in time for every maxTokens from minTokens on, and whole: %j',
    (schema) => {
      const constraint = compileConstraint(schema, tokenizer);
      for (let spare = 0; spare < 24; spare++) {
        const { text, ended } = drawn(constraint, tokenizer, constraint.minTokens + spare, spare);
        expect(ended, text).toBe(true);
        expect(check(schema as object)(JSON.parse(text))).toBe(true);
      }
    },
  );

  it('may be cut where maxTokens is too small, and is the beginning of a valid text even so', () => {
    const constraint = compileConstraint(PERSON, tokenizer);
    const { ended, tokens } = drawn(constraint, tokenizer, 8, 1);
    expect(ended).toBe(false);
    expect(constraint.check(tokens)).toBe('open');
  });

  it('is forced once nothing else may come', () => {
    const constraint = compileConstraint({ const: 1.5 }, tokenizer, { whitespace: 'none' });
    const mask = constraint.allowed()(tokenizer.encode('1.5'));
    const allowed = seeds(tokenizer.vocabularySize).filter((token) => has(mask, token - 1));
    expect(allowed).toEqual(tokenizer.stopTokens.map((stop) => stop + 1));
  });

  it('takes a long way only where there is room for it', () => {
    const constraint = compileConstraint({ enum: ['a', 'b'.repeat(200)] }, tokenizer);
    for (const seed of seeds(20)) expect(drawn(constraint, tokenizer, 20, seed).text.trim()).toBe('"a"');
    const texts = seeds(20).map((seed) => drawn(constraint, tokenizer, 300, seed).text.trim());
    expect(new Set(texts)).toEqual(new Set(['"a"', `"${'b'.repeat(200)}"`]));
  });
});

describe('a function of allowed tokens', () => {
  it('reads on where the tokens grow, and from the start where they are others', () => {
    const constraint = compileConstraint(PERSON, tokenizer);
    const allowed = constraint.allowed();
    const { tokens } = drawn(constraint, tokenizer, 80, 4);
    const growing: number[] = [];
    for (const token of tokens) {
      expect(allowed(growing)).toEqual(constraint.allowed()([...growing]));
      growing.push(token);
    }
    growing.length = 3;
    expect(allowed(growing)).toEqual(constraint.allowed()(tokens.slice(0, 3)));
  });

  it('says which token it did not allow', () => {
    const allowed = compileConstraint(PERSON, tokenizer).allowed();
    expect(() => allowed([...tokenizer.encode('{"'), ...tokenizer.encode('x')])).toThrow('was not allowed');
    expect(() => allowed(tokenizer.stopTokens)).toThrow('number 1 of the completion, was not allowed');
  });

  it('never allows special tokens, or rows that are no tokens', () => {
    const constraint = compileConstraint(true, tokenizer, { vocabularySize: 600 });
    const mask = constraint.allowed()(tokenizer.encode('"x'));
    expect(mask).toHaveLength(19);
    for (const token of [
      0,
      1,
      2,
      ...seeds(600 - tokenizer.vocabularySize).map((i) => tokenizer.vocabularySize + i - 1),
    ]) {
      expect(has(mask, token)).toBe(false);
    }
  });

  it('stays the same when states are forgotten', () => {
    const schema = { type: 'string', minLength: 22_000 };
    const constraint = compileConstraint(schema, tokenizer);
    const allowed = constraint.allowed();
    const tokens = tokenizer.encode('"');
    const letter = tokenizer.encode('a')[0]!;
    const quote = tokenizer.encode('"')[0]!;
    for (let i = 0; i < 22_000; i++) {
      expect(has(allowed(tokens), quote)).toBe(false);
      tokens.push(letter);
    }
    expect(has(allowed(tokens), quote)).toBe(true);
  });
});

describe('strings', () => {
  it('are UTF-8 with whole characters, and escapes with whole pairs', () => {
    const constraint = compileConstraint({ type: 'string' }, tokenizer);
    const bytes = (text: string): number[] => [...Buffer.from(text, 'latin1')].map(byteToken);
    for (const good of ['\xc3\xa9', '\\ud83d\\ude00', '\\uD83D\\uDE00', '\\u00e9\\n\\/', '\xf0\x9f\x98\x80']) {
      expect(constraint.check(bytes(`"${good}"`)), good).toBe('complete');
    }
    for (const bad of [
      '\xc3',
      '\xc0\xaf',
      '\xed\xa0\x80',
      '\xf5\x80\x80\x80',
      '\\ud83d',
      '\\ude00',
      '\\ud83d\\n',
      '\\x41',
      '\n',
      '\x1f',
      '\\u12g4',
    ]) {
      expect(constraint.check(bytes(`"${bad}"`)), bad).toBe('wrong');
    }
  });

  it('count characters, not bytes or escapes', () => {
    const constraint = compileConstraint({ type: 'string', minLength: 2, maxLength: 2 }, tokenizer);
    for (const [text, right] of [
      ['éé', true],
      ['😀é', true],
      ['a', false],
      ['\\ud83d\\ude00\\n', true],
      ['aaa', false],
      ['\\u0041b', true],
    ] as const) {
      expect(constraint.check(tokenizer.encode(`"${text}"`)) === 'complete', text).toBe(right);
    }
  });

  let single: Map<number, number> | null = null;
  function byteToken(byte: number): number {
    single ??= new Map(
      seeds(tokenizer.vocabularySize).flatMap((i) => {
        const bytes = tokenizer.tokenBytes(i - 1);
        return bytes?.length === 1 ? [[bytes[0]!, i - 1] as const] : [];
      }),
    );
    return single.get(byte)!;
  }
});

describe('schemas', () => {
  const accepts = (schema: unknown, text: string): boolean =>
    compileConstraint(schema, tokenizer).check(tokenizer.encode(text)) === 'complete';

  it('know recursion through references', () => {
    const list = {
      $defs: {
        list: {
          anyOf: [
            { type: 'null' },
            { type: 'object', properties: { next: { $ref: '#/$defs/list' } }, required: ['next'] },
          ],
        },
      },
      $ref: '#/$defs/list',
    };
    expect(accepts(list, '{"next":{"next":{"next":null}}}')).toBe(true);
    expect(accepts(list, '{"next":{"next":{}}}')).toBe(false);
  });

  it('merge allOf, and keywords beside a reference or a choice', () => {
    const base = { properties: { a: { type: 'integer' } }, required: ['a'] };
    const both = {
      $defs: { base },
      allOf: [{ $ref: '#/$defs/base' }, { properties: { a: { minimum: 5 }, b: { type: 'null' } } }],
    };
    expect(accepts(both, '{"a":5,"b":null}')).toBe(true);
    expect(accepts(both, '{"a":4}')).toBe(false);
    const beside = { type: 'string', maxLength: 2, anyOf: [{ pattern: '^a' }, { pattern: 'b$' }] };
    expect(['"ax"', '"xb"', '"axb"', '"cc"'].map((text) => accepts(beside, text))).toEqual([true, true, false, false]);
    const tangled = {
      $defs: {
        a: { properties: { next: { $ref: '#/$defs/a' }, x: { const: 1 } } },
        b: { properties: { next: { $ref: '#/$defs/b' } } },
      },
      allOf: [{ $ref: '#/$defs/a' }, { $ref: '#/$defs/b' }],
    };
    expect(accepts(tangled, '{"next":{"next":{"x":1}}}')).toBe(true);
    expect(accepts(tangled, '{"next":{"next":{"x":2}}}')).toBe(false);
  });

  it('take oneOf whose branches exclude each other', () => {
    const tagged = (kind: string, more: object) => ({
      type: 'object',
      properties: { kind: { const: kind }, ...more },
      required: ['kind'],
    });
    const shape = {
      oneOf: [tagged('circle', { r: { type: 'number' } }), tagged('square', { side: { type: 'number' } })],
    };
    expect(accepts(shape, '{"kind":"square","side":2}')).toBe(true);
    expect(accepts(shape, '{"kind":"circle","side":2}')).toBe(false);
    expect(accepts({ oneOf: [{ type: 'integer' }, { type: 'string' }, { type: 'null' }] }, 'null')).toBe(true);
    expect(() => compileSchema({ oneOf: [{ type: 'integer' }, { type: 'number' }] })).toThrow(
      '/oneOf has branches 0 and 1',
    );
    expect(() => compileSchema({ oneOf: [{ type: 'object', properties: { a: true } }, { type: 'object' }] })).toThrow(
      '/oneOf has',
    );
  });

  it.each([
    [
      'a branch that says nothing of what another is about',
      { oneOf: [{ properties: { a: true }, required: ['a'] }, { minLength: 3 }] },
    ],
    [
      'a property that stands beside the branches',
      {
        type: 'object',
        properties: { b: true },
        oneOf: [
          { properties: { a: true }, required: ['a'] },
          { properties: { b: true }, required: ['b'] },
        ],
      },
    ],
    [
      'a type that stands beside them',
      { type: ['string', 'object'], oneOf: [{ properties: { a: true } }, { minLength: 3 }] },
    ],
    [
      'a property that stands in a choice of a branch',
      {
        oneOf: [
          {
            properties: { a: true },
            required: ['a'],
            allOf: [{ anyOf: [{ title: 'x' }] }, { anyOf: [{ properties: { b: true } }] }],
          },
          { properties: { b: true }, required: ['b'] },
        ],
      },
    ],
    ['required alone', { properties: { a: true, b: true }, oneOf: [{ required: ['a'] }, { required: ['b'] }] }],
  ])('refuse oneOf for %s', (_, schema) => {
    expect(() => compileSchema(schema)).toThrow('/oneOf has branches 0 and 1');
  });

  it('take oneOf of closed objects with required properties, and of objects beside a type', () => {
    const branch = (name: string, more: object = {}) => ({
      type: 'object',
      properties: { [name]: { type: 'null' } },
      required: [name],
      ...more,
    });
    expect(accepts({ oneOf: [branch('a'), branch('b')] }, '{"b":null}')).toBe(true);
    const closed = { additionalProperties: false };
    expect(accepts({ type: 'object', oneOf: [branch('a', closed), branch('b', closed)] }, '{"a":null}')).toBe(true);
  });

  it('write only named properties where nothing is said of others, in the order of the schema', () => {
    const schema = { properties: { b: { type: 'null' }, a: { type: 'null' } }, required: ['a'] };
    expect(['{"b":null,"a":null}', '{"a":null}'].map((text) => accepts(schema, text))).toEqual([true, true]);
    expect(['{"a":null,"b":null}', '{"a":null,"c":null}', '{}'].map((text) => accepts(schema, text))).toEqual([
      false,
      false,
      false,
    ]);
    const map = { type: 'object', additionalProperties: { type: 'integer' }, minProperties: 1, maxProperties: 2 };
    expect(['{"x":1}', '{"x":1,"y":2}'].map((text) => accepts(map, text))).toEqual([true, true]);
    expect(['{}', '{"x":1,"y":2,"z":3}', '{"x":"1"}'].map((text) => accepts(map, text))).toEqual([false, false, false]);
  });

  it('do not let another property pass under the name of a known one', () => {
    const schema = { type: 'object', properties: { id: { type: 'integer' } }, additionalProperties: true };
    expect(accepts(schema, '{"id":1,"ie":"x"}')).toBe(true);
    for (const name of ['id', '\\u0069d', 'i\\u0064']) expect(accepts(schema, `{"${name}":"x"}`), name).toBe(false);
  });

  it.each<[unknown, string, string]>([
    [3, '', 'must be an object'],
    [{ type: 'text' }, '/type', 'must be one of null'],
    [
      { properties: { a: { minLenght: 3 } } },
      '/properties/a/minLenght',
      'is a keyword that is not supported: remove it',
    ],
    [{ properties: { 'a/b~': { not: {} } } }, '/properties/a~1b~0/not', 'say what is allowed instead'],
    [{ $ref: '#/$defs/x' }, '/$ref', 'must point into this schema'],
    [{ $ref: 'https://example.org/schema' }, '/$ref', 'must point into this schema'],
    [{ $ref: '#' }, '', 'refers to itself'],
    [{ anyOf: [{ type: 'null' }, { $ref: '#' }] }, '/anyOf/1', 'refers to itself'],
    [
      { anyOf: [{ type: 'null' }, { $ref: '#' }], description: 'x', type: ['null', 'string'] },
      '/anyOf/1',
      'refers to itself',
    ],
    [{ properties: { a: { $ref: '#' } }, required: ['a'] }, '', 'requires itself again and again'],
    [{ allOf: [{ type: 'string' }, { type: 'null' }] }, '', 'asks for types that exclude each other'],
    [{ properties: { a: { enum: [1], type: 'string' } }, required: ['a'] }, '/properties/a', 'lists no value'],
    [{ type: 'integer', minimum: 2, maximum: 1 }, '', 'has no number within its limits'],
    [{ type: 'string', minLength: 2, maxLength: 1 }, '', 'has minLength above maxLength'],
    [{ type: 'string', pattern: '(?=a)' }, '/pattern', 'look-around'],
    [{ type: 'string', pattern: 'a', maxLength: 100000 }, '/pattern', 'at most 3999 characters'],
    [{ type: 'string', format: 'regex' }, '/format', 'must be one of date, time'],
    [{ type: 'number', multipleOf: 0.1 }, '/multipleOf', 'must be a whole number up to 1000'],
    [{ type: 'array', uniqueItems: true }, '/uniqueItems', 'leave it out'],
    [{ type: 'array', items: false, minItems: 1 }, '', 'allows at most 0 items, but asks for 1'],
    [{ properties: { a: false }, required: ['a'] }, '', 'requires the property "a", but forbids it'],
    [{ type: 'object', minProperties: 2 }, '/minProperties', 'add them to required'],
    [false, '', 'no value'],
  ])('refuse %j', (schema, pointer, message) => {
    let error: unknown = null;
    try {
      compileSchema(schema);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(SchemaError);
    expect((error as SchemaError).message).toContain(message);
    expect((error as SchemaError).pointer).toBe(pointer);
  });
});

describe('hostile schemas', () => {
  const nested = (depth: number, leaf: unknown): unknown =>
    Array.from({ length: depth }).reduce((inner) => ({ type: 'array', items: inner }), leaf);
  const bomb = (levels: number) => ({
    $defs: Object.fromEntries(
      seeds(levels).map((i) => [
        `l${i}`,
        {
          anyOf: seeds(8).map((n) =>
            i === levels ? { const: n } : { allOf: [{ $ref: `#/$defs/l${i + 1}` }], title: `${n}` },
          ),
        },
      ]),
    ),
    $ref: '#/$defs/l1',
  });

  it.each<[string, unknown, string | null]>([
    ['deep nesting', nested(300, true), 'is more than 256 levels deep'],
    ['nesting that is deep, but not too deep', nested(120, { type: 'null' }), null],
    ['an enum of 20,000 texts', { enum: seeds(20_000).map((i) => `value ${i}`) }, null],
    ['an enum of megabytes', { enum: seeds(40_000).map((i) => `${i}${'x'.repeat(40)}`) }, 'unfolds to more than'],
    ['a list of a million', { enum: seeds(1_000_000) }, 'has more than 500000 values'],
    [
      '1,000 properties that may be left out',
      { properties: Object.fromEntries(seeds(1000).map((i) => [`p${i}`, { type: 'null' }])) },
      null,
    ],
    ['references that fan out', bomb(12), null],
    [
      'choices beside choices',
      { allOf: seeds(12).map((i) => ({ anyOf: seeds(4).map((n) => ({ minLength: n, description: `${i}` })) })) },
      'combines anyOf and oneOf',
    ],
    [
      'a long chain of references',
      {
        $defs: Object.fromEntries(
          seeds(3000).map((i) => [`d${i}`, { type: 'array', items: { $ref: `#/$defs/d${i === 3000 ? 1 : i + 1}` } }]),
        ),
        $ref: '#/$defs/d1',
      },
      null,
    ],
    [
      'counts without end',
      { type: 'array', items: { type: 'string', minLength: 1_000_000 }, minItems: 2, maxItems: 1_000_000_000 },
      null,
    ],
    ['a pattern that explodes', { type: 'string', pattern: '^(a|b)*a(a|b){16}$' }, 'needs more than'],
  ])('%s', (_, schema, message) => {
    if (message !== null) expect(() => compileSchema(schema)).toThrow(message);
    else {
      const constraint = compileConstraint(schema, tokenizer);
      const { tokens } = drawn(constraint, tokenizer, 30, 1);
      expect(constraint.check(tokens)).not.toBe('wrong');
    }
  });
});

describe('tool calls', () => {
  const tools = [
    {
      name: 'add',
      parameters: {
        type: 'object',
        properties: { a: { $ref: '#/$defs/n' }, b: { $ref: '#/$defs/n' } },
        required: ['a', 'b'],
        $defs: { n: { type: 'integer', minimum: -9, maximum: 9 } },
      },
    },
    { name: 'stop "now"' },
  ];
  const CALL = /<tool_call>\n?(.*?)\n?<\/tool_call>/gs;

  it('are of a known tool, with valid arguments, alone or many', () => {
    for (const parallel of [true, false]) {
      const constraint = compileToolConstraint(tools, tokenizer, { choice: 'required', parallel });
      for (const seed of seeds(20)) {
        const { text, ended } = drawn(constraint, tokenizer, 150, seed);
        expect(ended, text).toBe(true);
        const calls = [...text.matchAll(CALL)].map(
          ([, json]) => JSON.parse(json!) as { name: string; arguments: object },
        );
        expect(text.replace(CALL, '').trim()).toBe('');
        expect(parallel ? calls.length > 0 : calls.length === 1).toBe(true);
        for (const call of calls) {
          expect(['add', 'stop "now"']).toContain(call.name);
          if (call.name === 'add') expect(check(tools[0]!.parameters!)(call.arguments)).toBe(true);
        }
      }
    }
  });

  it('may follow free text, or be left out', () => {
    const constraint = compileToolConstraint(tools, tokenizer);
    const verdict = (text: string) => constraint.check(tokenizer.encode(text));
    expect(verdict('Just <text>, 1 < 2 <tool_ <tool_calls> é 漢')).toBe('complete');
    expect(verdict('Let me see.\n<<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": -2}}\n</tool_call>')).toBe(
      'complete',
    );
    expect(verdict('<tool_call>{"name":"add","arguments":{"a":1,"b":12')).toBe('wrong');
    expect(verdict('<tool_call>{"name":"mul"')).toBe('wrong');
    expect(verdict('<tool_call>{"name":"add"')).toBe('open');
  });

  it('have masks of exactly the tokens that can go on', () => {
    const constraint = compileToolConstraint(tools, tokenizer);
    for (const text of ['', 'Well, é', 'a <tool_', '<tool_call>', '<tool_call>{"name":"add","arguments":{"a":', 'x<']) {
      const said = tokenizer.encode(text);
      const mask = constraint.allowed()(said);
      for (let token = 0; token < tokenizer.vocabularySize; token++) {
        const stop = tokenizer.stopTokens.includes(token);
        const goesOn = stop ? constraint.check(said) === 'complete' : constraint.check([...said, token]) !== 'wrong';
        expect(has(mask, token), `${token} after ${text}`).toBe(goesOn);
      }
    }
  });

  it('stand alone beside an answer of a schema, and text around either is wrong', () => {
    const constraint = compileToolConstraint(tools, tokenizer, { answer: { type: 'object', properties: { x: {} } } });
    const verdict = (text: string) => constraint.check(tokenizer.encode(text));
    const call = '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>';
    for (const whole of [call, `${call}\n${call}`, '{"x": "<tool_call>"}', ' {}']) {
      expect(verdict(whole), whole).toBe('complete');
    }
    for (const bad of ['Well', `{}${call}`, `${call}{}`, `x${call}`, '{"y"', '<tool_call>{"name":"mul"']) {
      expect(verdict(bad), bad).toBe('wrong');
    }
  });

  it('points to the tool whose schema cannot be followed', () => {
    const bad = [...tools, { name: 'x', parameters: { properties: { a: { $ref: '#/$defs/gone' } } } }];
    expect(() => compileToolConstraint(bad, tokenizer)).toThrow('/2/parameters/properties/a/$ref is "#/$defs/gone"');
    expect(() => compileToolConstraint([{ name: 'x', parameters: { type: 'string' } }], tokenizer)).toThrow(
      '/0/parameters asks for types',
    );
    expect(() => compileToolConstraint(tools, tokenizer, { answer: { type: 'text' } })).toThrow('/type must be one of');
  });
});

describe('the light sub-path', () => {
  it('imports nothing but its own files', async () => {
    const dir = dirname(fileURLToPath(import.meta.resolve('@polymode/policy/json-schema')));
    const files = (await readdir(dir)).filter((name) => name.endsWith('.js'));
    expect(files.length).toBeGreaterThan(15);
    for (const name of files) {
      const source = await readFile(join(dir, name), 'utf8');
      for (const [, from] of source.matchAll(/(?:from|import) ?\(?['"]([^'"]+)['"]/g))
        expect(from, name).toMatch(/^\.\/[a-z-]+\.js$/);
    }
  });
});

describe('a tokenizer of SentencePiece', () => {
  it('may begin with the space that its decoder takes off', async () => {
    const mistral = await fixtureTokenizer('mistral');
    const constraint = compileConstraint(PERSON, mistral);
    for (const seed of seeds(5)) {
      const { text } = drawn(constraint, mistral, constraint.minTokens + 20, seed);
      expect(check(PERSON)(JSON.parse(text))).toBe(true);
    }
  });
});
