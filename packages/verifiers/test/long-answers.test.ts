import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  compileGrader,
  compileOutcome,
  type GraderServices,
  type GradingResult,
  gradeAll,
  sampleOf,
  tasks,
} from '@polymode/verifiers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSandboxes } from '../dist/sandbox/index.js';
import { SIMILARITIES } from '../dist/similarity/index.js';
import { isLong, NEAR_CHARACTERS } from '../dist/thread/long.js';
import { ThreadPool } from '../dist/thread/pool.js';
import { judgement } from './judge-server.js';

/** Characters of texts that are graded here: a megabyte. */
const LENGTH = 1_000_000;
const longText = (seed: number): string => {
  const words = Array.from({ length: LENGTH / 4 }, (_, i) => `w${(i * i * seed + i) % 997}`);
  return words.join(' ').slice(0, LENGTH);
};
const text = longText(3);
const reference = text.slice(0, LENGTH / 2) + longText(5).slice(LENGTH / 2);
const json = JSON.stringify({
  a: { b: 7 },
  list: Array.from({ length: 150_000 }, (_, i) => i % 10),
  long: 'x'.repeat(6e5),
});

const sandboxes = openSandboxes({ workers: 1 });
const server = createServer((request, response) => {
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  // A judge, too; what it is asked stays unread, as this thread is watched.
  const answer = JSON.stringify(judgement(0.5)?.body);
  request.on('end', () => response.end(request.url === '/v1/chat/completions' ? answer : String(bytes)));
});
let services: GraderServices;
beforeAll(async () => {
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  services = { sandboxes, endpointAllow: ['127.0.0.1'], judge: { baseUrl: `http://127.0.0.1:${port}/v1` } };
});
afterAll(() => {
  sandboxes.close();
  server.close();
});

/** Functions whose time grows with a text, and which of their arguments that is; -1 for `this`. */
const WATCHED: readonly (readonly [owner: object, name: string | symbol, argument: number])[] = [
  [JSON, 'parse', 0],
  ...(
    [
      'normalize',
      'replace',
      'replaceAll',
      'split',
      'match',
      'matchAll',
      'search',
      'toLowerCase',
      'toUpperCase',
    ] as const
  ).map((name) => [String.prototype, name, -1] as const),
  ...(['includes', 'indexOf', 'lastIndexOf', 'trim', 'localeCompare', 'codePointAt', Symbol.iterator] as const).map(
    (name) => [String.prototype, name, -1] as const,
  ),
  ...(['exec', 'test'] as const).map((name) => [RegExp.prototype, name, 0] as const),
];

/** @returns the longest text that any watched function of this thread was given meanwhile, and what `JSON.stringify` made */
async function longestStep(compute: () => Promise<unknown>): Promise<{ length: number; by: string }> {
  let longest = { length: 0, by: '' };
  const note = (by: string, length: number): void => {
    if (length > longest.length) longest = { length, by };
  };
  const undo: (() => void)[] = [];
  const replace = (
    owner: object,
    name: string | symbol,
    make: (old: (...a: unknown[]) => unknown) => unknown,
  ): void => {
    const old = Object.getOwnPropertyDescriptor(owner, name)!;
    Object.defineProperty(owner, name, { ...old, value: make(old.value) });
    undo.push(() => Object.defineProperty(owner, name, old));
  };
  for (const [owner, name, argument] of WATCHED) {
    replace(
      owner,
      name,
      (old) =>
        function watched(this: unknown, ...given: unknown[]) {
          const subject = argument < 0 ? this : given[argument];
          if (typeof subject === 'string') note(String(name), subject.length);
          return Reflect.apply(old, this, given);
        },
    );
  }
  replace(JSON, 'stringify', (old) => (...given: unknown[]) => {
    const made = Reflect.apply(old, JSON, given);
    if (typeof made === 'string') note('stringify', made.length);
    return made;
  });
  try {
    await compute();
  } finally {
    for (const back of undo) back();
  }
  return longest;
}

const similarity = (evaluation_metric: string) => ({
  type: 'text_similarity',
  name: 'alike',
  input: '{{sample.output_text}}',
  reference: '{{item.reference}}',
  evaluation_metric,
});
const check = (more: object) => ({
  ...{ type: 'string_check', name: 'same', input: '{{sample.output_text}}', reference: '{{item.reference}}' },
  operation: 'eq',
  ...more,
});
const judging = {
  type: 'score_model',
  name: 'j',
  model: 'm',
  input: [{ role: 'user', content: '{{sample.output_text}}' }],
};
const python = (source: string) => ({ type: 'python', name: 'p', timeout_ms: 60_000, source });
const javascript = (source: string) => ({ type: 'javascript', name: 'j', timeout_ms: 60_000, source });

const grading = async (definition: object, answer: string, item: object, outcome?: object): Promise<GradingResult> => {
  const grader = compileGrader(definition, services);
  const options = { grader, ...(outcome && { outcome: compileOutcome(outcome, grader) }) };
  return (await gradeAll([{ sample: sampleOf(answer), item: { ...item } }], options))[0]!;
};

describe('a long answer', () => {
  it.each<[what: string, definition: object, answer: string, item: object, reward: number | RegExp]>([
    ['eq', check({}), text, { reference: text }, 1],
    ['ilike', check({ operation: 'ilike' }), text, { reference: text.slice(-300).toUpperCase() }, 1],
    [
      'like, of a text that is hard to find',
      check({ operation: 'like' }),
      'a'.repeat(LENGTH),
      { reference: `${'a'.repeat(LENGTH / 2)}b` },
      0,
    ],
    ['JSON', check({ input: '{{sample.output_json.a.b}}', reference: '7' }), json, {}, 1],
    ['JSON that is none', check({ input: '{{sample.output_json.a.b}}', reference: '7' }), text, {}, 0],
    ...['bleu', 'gleu', 'meteor', 'rouge_1', 'rouge_5'].map(
      (metric) =>
        [metric, similarity(metric), text, { reference }, /^0\.[3-9]/] as [string, object, string, object, RegExp],
    ),
    ['rouge_l of a short row', similarity('rouge_l'), text, { reference: 'w0 w4' }, /^0\.000/],
    ['fuzzy_match of a short row', similarity('fuzzy_match'), text, { reference: 'w0 w4' }, /^0\.0000/],
    [
      'a part of multi',
      { type: 'multi', name: 'm', graders: { a: check({}), b: similarity('rouge_1') }, calculate_output: 'a + b' },
      text,
      { reference: text },
      2,
    ],
    [
      'python',
      python('def grade(sample, item):\n  return len(sample["output_text"]) + len(item["reference"])'),
      text,
      { reference: 'ab' },
      LENGTH + 2,
    ],
    ['python with JSON', python('def grade(sample, item):\n  return sample["output_json"]["a"]["b"]'), json, {}, 7],
    [
      'javascript',
      javascript('export const grade = ({ sample }) => sample.choices[0].message.content.length;'),
      text,
      {},
      LENGTH,
    ],
    ['endpoint', { type: 'endpoint', name: 'e', url: 'URL' }, text, {}, /^200\d{4}$/],
    ['score_model', judging, text, {}, 0.5],
    [
      'score_model that reads JSON',
      { ...judging, input: [{ role: 'user', content: '{{sample.output_json.long}}' }] },
      json,
      {},
      0.5,
    ],
  ])('is graded in no long step: %s', async (_, definition, answer, item, reward) => {
    const { port } = server.address() as AddressInfo;
    const real = 'url' in definition ? { ...definition, url: `http://127.0.0.1:${port}/` } : definition;
    let result: GradingResult | undefined;
    const longest = await longestStep(async () => {
      result = await grading(real, answer, item);
    });
    expect(result).toMatchObject({ ok: true });
    const got = result?.ok ? result.grade.reward : null;
    if (reward instanceof RegExp) expect(String(got)).toMatch(reward);
    else expect(got).toBe(reward);
    expect(longest.length, longest.by).toBeLessThanOrEqual(NEAR_CHARACTERS);
    // The watch sees something.
    expect(longest.length).toBeGreaterThan(0);
  });

  it.each<[object, string, string | RegExp]>([
    [{ type: 'text' }, `  ${text}\n\n`, text],
    [{ type: 'text', ignore_case: true }, text.toUpperCase(), text],
    [{ type: 'json' }, json, /^\{"a":\{"b":7\},"list":\[0,1,2/],
    [{ type: 'json', path: 'a.b' }, json, '7'],
    [{ type: 'json', path: 'a.b' }, text, 'unparseable'],
    [{ type: 'regex', pattern: 'w4 (w[0-9]+)' }, text, /^w\d+$/],
    [{ type: 'template', template: '{{sample.output_json.a}}' }, json, '{"b":7}'],
    [{ type: 'grader' }, text, text],
  ])('has its outcome found in no long step: %j', async (outcome, answer, key) => {
    let result: GradingResult | undefined;
    const longest = await longestStep(async () => {
      result = await grading(check({ reference: 'x' }), answer, {}, outcome);
    });
    const got = result?.ok ? result.grade.outcome : null;
    if (typeof key === 'string') expect(got === key).toBe(true);
    else expect(got).toMatch(key);
    expect(longest.length, longest.by).toBeLessThanOrEqual(NEAR_CHARACTERS);
  });

  it.each(Object.entries(tasks))('of %s is verified in no long step', async (name, task) => {
    const [row] = task.generate({ count: 1, seed: 1 });
    const { messages: _, ...item } = row!;
    for (const answer of ['\n'.repeat(LENGTH), '('.repeat(LENGTH), text]) {
      const longest = await longestStep(async () => {
        expect(await grading({ type: 'task', task: name }, answer, item)).toMatchObject({ ok: true });
      });
      expect(longest.length, longest.by).toBeLessThanOrEqual(NEAR_CHARACTERS);
    }
  });

  it('earns what it would earn in one step, whichever side of the limit it is on', async () => {
    const word = fc.constantFrom('one', 'two', 'three', 'ὀδός', 'running', 'ran', '1,5', '😀');
    const words = fc.array(word, { minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...(Object.keys(SIMILARITIES) as (keyof typeof SIMILARITIES)[])),
        words,
        words,
        async (metric, a, b) => {
          // Not long by itself, and long in a row that is padded.
          const [candidate, other] = [a.join(' '), b.join(' ')];
          const grader = compileGrader(similarity(metric));
          const near = await grader.grade(sampleOf(candidate), { reference: other });
          const far = await grader.grade(sampleOf(candidate), { reference: other, pad: ' '.repeat(NEAR_CHARACTERS) });
          expect(far).toEqual(near);
          expect(near.reward).toBe(await SIMILARITIES[metric](candidate, other));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('that lacks something fails or is unreadable as a short one is', async () => {
    const lacking = check({ reference: '{{item.missing}}' });
    expect(await grading(lacking, text, {})).toMatchObject({
      ok: false,
      failure: { kind: 'invalid_variable_error', message: '{{ item.missing }} has no value in the row.' },
    });
    const unreadable = check({ input: '{{sample.output_json.a}}', reference: 'x' });
    expect(await grading(unreadable, text, {})).toMatchObject({
      ok: true,
      grade: { reward: 0, unreadable: { kind: 'sample_parse_error' }, outcome: 'unparseable' },
    });
  });
});

describe('a pattern that takes many steps a character', () => {
  it('is looked for in a thread', async () => {
    const grader = compileGrader(check({ reference: 'x' }));
    const outcome = compileOutcome({ type: 'regex', pattern: '([a-z]{1,60})b$' }, grader);
    expect(outcome.most).toBeLessThan(2000);
    const [result] = await gradeAll([{ sample: sampleOf('ab'.repeat(2000)), item: {} }], { grader, outcome });
    expect(result).toMatchObject({ grade: { outcome: `b${'ab'.repeat(29)}a` } });
  });
});

describe('isLong', () => {
  it('counts the answer and every text of the row', () => {
    const half = 'x'.repeat(NEAR_CHARACTERS / 2);
    const sample = (text: string) => ({ output_text: text });
    expect(isLong(sample(half), { a: half.slice(1) })).toBe(false);
    expect(isLong(sample(half), { a: [{ b: half }] })).toBe(true);
    expect(isLong(sample(half), { [`${half}x`]: 1 })).toBe(true);
    expect(isLong(sample(''), { list: Array.from({ length: 10_000 }, () => 0) })).toBe(true);
    expect(isLong(sample('abc'), {}, 2)).toBe(true);
  });
});

describe('the threads', () => {
  const request = (answer: string, item: object = {}) => ({
    name: 'outcome' as const,
    argument: { config: { type: 'text' as const }, grade: {} },
    answer: { text: answer, finishReason: 'stop' as const },
    item: { ...item },
  });
  const hard = {
    name: 'grade' as const,
    argument: similarity('fuzzy_match'),
    answer: { text: longText(7), finishReason: 'stop' as const },
    item: { reference: longText(11).split('').reverse().join('') },
  };

  it('do their jobs in turn, and go on after one that is given up', async () => {
    const pool = new ThreadPool(1);
    const abort = new AbortController();
    const given = pool.run(hard, abort.signal);
    const others = ['a  b', ' c'].map((answer) => pool.run(request(answer)));
    const left = new AbortController();
    const leaves = pool.run(request('x'), left.signal);
    left.abort(new Error('left'));
    await expect(leaves).rejects.toThrow('left');
    await sleep(50);
    abort.abort(new Error('given up'));
    await expect(given).rejects.toThrow('given up');
    expect(await Promise.all(others)).toEqual(['a b', 'c']);
    await expect(pool.run(request('x'), AbortSignal.abort(new Error('before')))).rejects.toThrow('before');
  });

  it('say so when something cannot be sent, and go on', async () => {
    const pool = new ThreadPool(1);
    await expect(pool.run(request('x', { no: () => 'data' }))).rejects.toMatchObject({ kind: 'other_error' });
    expect(await pool.run(request(' x'))).toBe('x');
  });
});
