import { isDeepStrictEqual } from 'node:util';
import { compileGrader, compileOutcome, GraderConfigError, type OutcomeConfig, sampleOf } from '@polymode/verifiers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const grade = { reward: 1 };
/** Parsed, with −0 as the 0 that it is in JSON. */
const plain = (json: string): unknown => JSON.parse(json, (_, value: unknown) => (Object.is(value, -0) ? 0 : value));
const of = (definition: object, text: string, item = {}, graded: object = grade): string =>
  compileOutcome(definition, {}).of(sampleOf(text), item, { ...grade, ...graded });

function refused(definition: unknown): GraderConfigError {
  try {
    compileOutcome(definition, {});
  } catch (error) {
    if (error instanceof GraderConfigError) return error;
    throw error;
  }
  throw new Error('accepted');
}

describe('outcomes', () => {
  it('text: the same words are the same answer', () => {
    expect(of({ type: 'text' }, '  a\n\tb  c ')).toBe('a b c');
    expect(of({ type: 'text' }, 'Cafe\u0301')).toBe(of({ type: 'text' }, 'Caf\u00e9'));
    expect(of({ type: 'text' }, 'Yes')).not.toBe(of({ type: 'text' }, 'yes'));
    expect(of({ type: 'text', ignore_case: true }, 'Yes')).toBe('yes');
  });

  it('json: the same value is the same answer, however it is written', () => {
    const texts = ['{"b": [1.0, "x"], "a": {"d": null, "c": 1e2}}', ' {"a":{"c":100,"d":null},"b":[1,"\\u0078"]}\n'];
    expect(texts.map((text) => of({ type: 'json' }, text))).toEqual(
      Array(2).fill('{"a":{"c":100,"d":null},"b":[1,"x"]}'),
    );
    expect(of({ type: 'json' }, '[1, 2]')).not.toBe(of({ type: 'json' }, '[2, 1]'));
    expect(of({ type: 'json' }, '1')).not.toBe(of({ type: 'json' }, '"1"'));
    expect(of({ type: 'json', path: 'r[1].x' }, '{"r": [0, {"x": {"q": 1}}]}')).toBe('{"q":1}');
    expect(of({ type: 'json', path: '[0]' }, '[null]')).toBe('null');
  });

  it('json: neither the order of keys nor the layout matters, and nothing else is the same', () => {
    const reordered = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(reordered);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, inner]) => [key, reordered(inner)]),
      );
    };
    const value = fc.jsonValue({ maxDepth: 4 });
    fc.assert(
      fc.property(value, value, (a, b) => {
        const [text, other] = [JSON.stringify(a), JSON.stringify(b)];
        const outcome = of({ type: 'json' }, text);
        expect(of({ type: 'json' }, JSON.stringify(reordered(a), null, 3))).toBe(outcome);
        expect(JSON.parse(outcome)).toEqual(JSON.parse(text));
        expect(of({ type: 'json' }, other) === outcome).toBe(isDeepStrictEqual(JSON.parse(outcome), plain(other)));
      }),
    );
  });

  it('regex: the first group of the first match, or the one that is named', () => {
    expect(of({ type: 'regex', pattern: 'answer: *(\\w+)' }, 'the answer:  four, or answer: five')).toBe('four');
    expect(of({ type: 'regex', pattern: '\\d+' }, 'x 12 y 3')).toBe('12');
    expect(of({ type: 'regex', pattern: '(a)|(b+)', group: 2 }, 'cbb')).toBe('bb');
    expect(of({ type: 'regex', pattern: '(?i)=(?P<last>[^=]*)$', group: 'last' }, 'x = y =\n z ')).toBe('z');
  });

  it('regex: a pattern is searched for or refused, whatever is written', () => {
    const piece = fc.constantFrom(...'()[]{}|*+?.^$\\,:<>=!0123abPpdwsuxk', '(?', '\\p{L}', '{2,}', '😀');
    const pattern = fc.oneof(
      fc.array(piece, { minLength: 1, maxLength: 12 }).map((p) => p.join('')),
      fc.string(),
    );
    fc.assert(
      fc.property(pattern, fc.string(), (source, text) => {
        try {
          expect(typeof of({ type: 'regex', pattern: source }, text)).toBe('string');
        } catch (error) {
          expect(error).toBeInstanceOf(GraderConfigError);
          expect(error).toMatchObject({ param: 'outcome.pattern' });
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('regex: no pattern takes long', () => {
    const started = process.cpuUsage();
    expect(of({ type: 'regex', pattern: '^(a+)+$' }, `${'a'.repeat(5000)}b`)).toBe('unparseable');
    // A backtracking matcher would not end before the universe does.
    expect(process.cpuUsage(started).user).toBeLessThan(20e6);
  });

  it('template: what is filled in', () => {
    expect(
      of({ type: 'template', template: '{{item.kind}}/{{sample.output_json.a}}' }, '{"a": [ 1 ]}', { kind: 'k' }),
    ).toBe('k/[1]');
    const rule = compileOutcome({ type: 'template', template: '{{item.kind}}{{sample.output_text}}' }, {});
    expect(rule.checkItem({})).toEqual([{ path: 'item.kind', message: expect.any(String) }]);
  });

  it('grader: the key it returned, or the text', () => {
    expect(of({ type: 'grader' }, ' a ', {}, { outcome: 'key' })).toBe('key');
    expect(of({ type: 'grader' }, ' a ')).toBe('a');
    const unreadable = { kind: 'sample_parse_error', message: '' };
    expect(of({ type: 'grader' }, ' a ', {}, { unreadable })).toBe('unparseable');
  });

  it.each([
    [{ type: 'json' }, 'no json'],
    [{ type: 'json', path: 'a.b' }, '{"a": 1}'],
    [{ type: 'json', path: 'constructor' }, '{}'],
    [{ type: 'json' }, '['.repeat(100_000)],
    [{ type: 'json' }, '['.repeat(10_000) + ']'.repeat(10_000)],
    [{ type: 'regex', pattern: 'answer: (.*)' }, 'no'],
    [{ type: 'regex', pattern: '(a)|b' }, 'b'],
    [{ type: 'template', template: '{{sample.output_json.a}}' }, '[]'],
  ])('%j shares one outcome among answers that it cannot read', (definition, text) => {
    expect(of(definition, text)).toBe('unparseable');
  });

  it('has a default by grader', () => {
    const check = { type: 'string_check', name: 'n', operation: 'eq', reference: 'x' };
    const byDefault = (definition: object): OutcomeConfig =>
      compileOutcome(undefined, compileGrader(definition)).config;
    expect(byDefault({ ...check, input: '{{ sample.output_text }}' })).toEqual({ type: 'text' });
    expect(byDefault({ ...check, input: '{{ item.x }}', reference: '{{sample.output_text}}' })).toEqual({
      type: 'text',
    });
    expect(byDefault({ ...check, input: '{{ sample.output_json.x }}' })).toEqual({
      type: 'template',
      template: '{{ sample.output_json.x }}',
    });
    expect(byDefault({ type: 'task', task: 'hypospace/voxel' })).toEqual({ type: 'grader' });
    const chosen = compileOutcome({ type: 'text' }, compileGrader({ type: 'task', task: 'hypospace/voxel' }));
    expect(chosen.config).toEqual({ type: 'text' });
  });

  it.each([
    ['text', 'outcome', 'not a string'],
    [[], 'outcome', 'not an array'],
    [{}, 'outcome.type', 'Missing'],
    [{ type: 'words' }, 'outcome.type', 'text, json, regex, grader, template'],
    [{ type: 'text', trim: true }, 'outcome.trim', 'Unknown field'],
    [{ type: 'text', ignore_case: 1 }, 'outcome.ignore_case', 'true or false, not a number'],
    [{ type: 'json', path: 'a..b' }, 'outcome.path', "is not a path from '..b' on"],
    [{ type: 'json', path: '$.a b' }, 'outcome.path', 'is not a path'],
    [{ type: 'regex' }, 'outcome.pattern', 'Missing'],
    [{ type: 'regex', pattern: '(' }, 'outcome.pattern', 'no regular expression'],
    [{ type: 'regex', pattern: '(?=a)' }, 'outcome.pattern', 'neither lookarounds'],
    [{ type: 'regex', pattern: '(?:a?){500}a{500}' }, 'outcome.pattern', 'at most 500'],
    [{ type: 'regex', pattern: '(a)', group: 2 }, 'outcome.group', 'from 0, the whole match, to 1'],
    [{ type: 'regex', pattern: '(?<x>a)', group: 'y' }, 'outcome.group', 'or one of x'],
    [{ type: 'template', template: '{{item.a}}' }, 'outcome.template', 'reads nothing of the answer'],
    [{ type: 'template', template: '{{sample.output_text' }, 'outcome.template', 'never closes'],
  ])('%j is refused at %s', (definition, param, message) => {
    const error = refused(definition);
    expect(error.param).toBe(param);
    expect(error.message).toContain(message);
  });
});
