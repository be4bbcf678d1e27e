import { compileConstraint, compileToolConstraint, loadTokenizer, type Tokenizer } from '@polymode/policy';
import { findBaseModel } from '@polymode/policy/registry';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { drawn, fixtureTokenizer, has } from './constrained.js';
import { example } from './schemas.js';

const tokenizers = new Map<string, Tokenizer>();
const NAMES = ['polymode-tiny', 'mistral', 'qwen2'];
beforeAll(async () => {
  tokenizers.set('polymode-tiny', await loadTokenizer(findBaseModel('polymode-tiny')!.dir));
  for (const name of NAMES.slice(1)) tokenizers.set(name, await fixtureTokenizer(name));
});
const tiny = (): Tokenizer => tokenizers.get('polymode-tiny')!;

function validator(schema: unknown): ValidateFunction {
  // Types are left to be told from the other keywords in some schemas; the rest of strict mode stays on.
  const ajv = new Ajv2020({
    strict: true,
    strictTypes: false,
    strictTuples: false,
    strictRequired: false,
    allErrors: true,
  });
  addFormats.default(ajv);
  return ajv.compile(schema as object);
}

/** Each some random schemas: parts of one long test. */
const PARTS = [1, 2, 3];

describe.each(NAMES)('a random schema with the tokens of %s', (name) => {
  it.each(PARTS)('is fulfilled by whatever is drawn to its end (%i)', () => {
    let count = 0;
    fc.assert(
      fc.property(example, fc.nat(), fc.nat(60), ({ schema }, seed, spare) => {
        const tokenizer = tokenizers.get(name)!;
        const constraint = compileConstraint(schema, tokenizer);
        const { text, ended } = drawn(constraint, tokenizer, constraint.minTokens + spare, seed);
        expect(ended, text).toBe(true);
        const validate = validator(schema);
        expect(validate(JSON.parse(text)), `${text} ${JSON.stringify(validate.errors)}`).toBe(true);
        count++;
      }),
      { numRuns: 40 },
    );
    expect(count).toBe(40);
  });

  it.each(PARTS)('allows its instances, token by token, in more than one layout (%i)', () => {
    fc.assert(
      fc.property(example, fc.constantFrom(undefined, 1, 2, '\t'), ({ schema, instance }, indent) => {
        const tokenizer = tokenizers.get(name)!;
        expect(validator(schema)(instance)).toBe(true);
        const constraint = compileConstraint(schema, tokenizer);
        const allowed = constraint.allowed();
        const text = JSON.stringify(instance, null, indent);
        // A tokenizer that composes characters writes another text.
        const tokens = tokenizer.encode(text);
        fc.pre(tokenizer.decode(tokens) === text);
        const said: number[] = [];
        for (const token of tokens) {
          expect(has(allowed(said), token), `${tokenizer.decode([...said, token])} of ${text}`).toBe(true);
          said.push(token);
        }
        expect(tokenizer.stopTokens.every((stop) => has(allowed(said), stop))).toBe(true);
        expect(constraint.check(said)).toBe('complete');
      }),
      { numRuns: 40 },
    );
  });

  it('has masks of exactly the tokens that can go on', () => {
    fc.assert(
      fc.property(example, fc.nat(), fc.nat(12), ({ schema }, seed, length) => {
        const tokenizer = tokenizers.get(name)!;
        const constraint = compileConstraint(schema, tokenizer);
        const { tokens } = drawn(constraint, tokenizer, 200, seed);
        const said = tokens.slice(0, length);
        const mask = constraint.allowed()(said);
        for (let token = 0; token < tokenizer.vocabularySize; token++) {
          const stop = tokenizer.stopTokens.includes(token);
          const goesOn = stop ? constraint.check(said) === 'complete' : constraint.check([...said, token]) !== 'wrong';
          expect(has(mask, token), `${token} after ${tokenizer.decode(said)}`).toBe(goesOn);
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe('tools or an answer of a random schema', () => {
  const WHOLE_CALL = /^\n?<tool_call>\n?(.*?)\n?<\/tool_call>/s;
  /** The JSON of calls where a text is calls and nothing else, else null. */
  const callsIn = (text: string): string[] | null => {
    const calls: string[] = [];
    let rest = text;
    for (let found = WHOLE_CALL.exec(rest); found !== null; found = WHOLE_CALL.exec(rest)) {
      calls.push(found[1]!);
      rest = rest.slice(found[0].length);
    }
    return rest === '' && calls.length > 0 ? calls : null;
  };

  it.each(PARTS)('are calls that fit or an answer that fits, each at times, and never both (%i)', (part) => {
    const seen = { calls: 0, answers: 0 };
    fc.assert(
      fc.property(example, example, fc.boolean(), fc.nat(), fc.nat(60), (asked, strict, parallel, seed, spare) => {
        const parameters = { type: 'object', properties: { x: strict.schema }, required: ['x'] };
        const tools = [{ name: 'strict', parameters }, { name: 'loose' }];
        const constraint = compileToolConstraint(tools, tiny(), { answer: asked.schema, parallel });
        const { text, ended } = drawn(constraint, tiny(), constraint.minTokens + spare, seed);
        expect(ended, text).toBe(true);
        const calls = callsIn(text);
        if (calls === null) {
          seen.answers++;
          expect(validator(asked.schema)(JSON.parse(text)), text).toBe(true);
          return;
        }
        seen.calls++;
        if (!parallel) expect(calls).toHaveLength(1);
        for (const call of calls) {
          const { name, arguments: given } = JSON.parse(call) as { name: string; arguments: { x: unknown } };
          expect(['strict', 'loose']).toContain(name);
          expect(given).toBeTypeOf('object');
          if (name === 'strict') expect(validator(strict.schema)(given.x), call).toBe(true);
        }
      }),
      { numRuns: 40, seed: part },
    );
    expect(Math.min(seen.calls, seen.answers)).toBeGreaterThan(0);
  });

  it('have masks of exactly the tokens that can go on', () => {
    fc.assert(
      fc.property(example, fc.boolean(), fc.nat(), fc.nat(12), ({ schema }, parallel, seed, length) => {
        const constraint = compileToolConstraint([{ name: 'f' }], tiny(), { answer: schema, parallel });
        const said = drawn(constraint, tiny(), 200, seed).tokens.slice(0, length);
        const mask = constraint.allowed()(said);
        for (let token = 0; token < tiny().vocabularySize; token++) {
          const stop = tiny().stopTokens.includes(token);
          const goesOn = stop ? constraint.check(said) === 'complete' : constraint.check([...said, token]) !== 'wrong';
          expect(has(mask, token), `${token} after ${tiny().decode(said)}`).toBe(goesOn);
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe('compact JSON', () => {
  it('is what whitespace "none" writes, and nothing else', () => {
    fc.assert(
      fc.property(example, fc.nat(), ({ schema, instance }, seed) => {
        const constraint = compileConstraint(schema, tiny(), { whitespace: 'none' });
        expect(constraint.check(tiny().encode(JSON.stringify(instance)))).toBe('complete');
        const { text } = drawn(constraint, tiny(), constraint.minTokens + 30, seed);
        // Outside of strings, no space is left.
        expect(text.replace(/"(?:[^"\\]|\\.)*"/gu, '')).not.toMatch(/\s/);
      }),
      { numRuns: 100 },
    );
  });
});
