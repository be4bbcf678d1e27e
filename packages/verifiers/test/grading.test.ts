import { setTimeout as sleep } from 'node:timers/promises';
import {
  compileGrader,
  compileOutcome,
  type Grade,
  type Grader,
  GraderRuntimeError,
  gradeAll,
  sampleOf,
} from '@polymode/verifiers';
import { describe, expect, it } from 'vitest';

/** A grader that does what a test says. */
function graderOf(grade: Grader['grade']): Grader {
  return { config: { type: 'test', name: 't' }, name: 't', type: 'test', checkItem: () => [], grade };
}

const answers = (...texts: string[]) => texts.map((text) => ({ sample: sampleOf(text), item: {} }));

describe('gradeAll', () => {
  it('keeps the order, whichever grade comes first, and adds outcomes', async () => {
    const grader = graderOf(async ({ output_text }) => {
      await sleep(output_text === 'slow' ? 20 : 1);
      return { reward: output_text.length };
    });
    const results = await gradeAll(answers('slow', ' a  b '), { grader });
    expect(results).toEqual([
      { ok: true, grade: { reward: 4, outcome: 'slow' } },
      { ok: true, grade: { reward: 6, outcome: 'a b' } },
    ]);
    const outcome = compileOutcome({ type: 'regex', pattern: '[a-z]' }, grader);
    expect(await gradeAll(answers('slow', '1'), { grader, outcome })).toMatchObject([
      { grade: { outcome: 's' } },
      { grade: { outcome: 'unparseable' } },
    ]);
  });

  it('tells failures by their kind, and grades the others', async () => {
    const behaviours: Record<string, () => Promise<Grade>> = {
      fine: async () => ({ reward: 1 }),
      throws: async () => {
        throw new TypeError('x is not a function');
      },
      'throws at once': () => {
        throw new RangeError('too deep');
      },
      'throws a string': () => Promise.reject('no'),
      'fails by kind': async () => {
        throw new GraderRuntimeError('raised', 'python_grader_runtime_error', { details: 'Traceback …' });
      },
      'is silent': () => new Promise(() => {}),
      'returns NaN': async () => ({ reward: Number.NaN }),
      'returns infinity': async () => ({ reward: Number.POSITIVE_INFINITY }),
      'returns a string': async () => ({ reward: '1' }) as unknown as Grade,
      'returns nothing': async () => undefined as unknown as Grade,
    };
    const grader = graderOf(({ output_text }) => behaviours[output_text]!());
    const results = await gradeAll(answers(...Object.keys(behaviours)), { grader, timeoutMs: 30 });
    const found = results.map((one) => (one.ok ? one.grade.reward : `${one.failure.kind}: ${one.failure.message}`));
    expect(found).toEqual([
      1,
      'other_error: TypeError: x is not a function',
      'other_error: RangeError: too deep',
      'other_error: no',
      'python_grader_runtime_error: raised',
      'unresponsive_reward_error: The grader did not answer within 0.03 seconds.',
      "other_error: The grader's reward is NaN, not a finite number.",
      "other_error: The grader's reward is Infinity, not a finite number.",
      "other_error: The grader's reward is 1, not a finite number.",
      "other_error: The grader's reward is undefined, not a finite number.",
    ]);
    expect(results[1]).toMatchObject({ failure: { details: expect.stringContaining('grading.test.ts') } });
    expect(results[4]).toMatchObject({ failure: { details: 'Traceback …' } });
  });

  it('tells graders to stop when their time is over or nobody waits', async () => {
    const stopped: string[] = [];
    const grader = graderOf(
      ({ output_text }, _item, options) =>
        new Promise((_, reject) => {
          options!.signal!.addEventListener('abort', () => {
            stopped.push(output_text);
            // What it says now is no unhandled rejection.
            reject(new Error('late'));
          });
        }),
    );
    await gradeAll(answers('a'), { grader, timeoutMs: 5 });
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 5);
    const [result] = await gradeAll(answers('b'), { grader, signal: abort.signal });
    expect(result).toMatchObject({ ok: false, failure: { kind: 'unresponsive_reward_error' } });
    expect(stopped).toEqual(['a', 'b']);
    expect(await gradeAll(answers('c'), { grader, signal: abort.signal })).toMatchObject([{ ok: false }]);
  });

  it('grades no more at once than it is told', async () => {
    let underWay = 0;
    let most = 0;
    const grader = graderOf(async () => {
      most = Math.max(most, ++underWay);
      await sleep(1);
      underWay--;
      return { reward: 0 };
    });
    await gradeAll(answers(...Array<string>(40).fill('x')), { grader, concurrency: 7 });
    expect(most).toBe(7);
  });

  it('fails where the outcome lacks a value of the row', async () => {
    const grader = graderOf(async () => ({ reward: 1 }));
    const outcome = compileOutcome({ type: 'template', template: '{{item.a}}{{sample.output_text}}' }, grader);
    expect(await gradeAll(answers('x'), { grader, outcome })).toMatchObject([
      { ok: false, failure: { kind: 'invalid_variable_error' } },
    ]);
  });

  it('lets the process do other things between short computations', async () => {
    const grader = compileGrader({
      type: 'text_similarity',
      name: 'alike',
      input: '{{sample.output_text}}',
      reference: '{{item.reference}}',
      evaluation_metric: 'bleu',
    });
    const text = Array.from({ length: 300 }, (_, i) => `w${i % 37}`).join(' ');
    const many = Array.from({ length: 512 }, () => ({ sample: sampleOf(text), item: { reference: text } }));
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const before = process.cpuUsage();
    await gradeAll(many, { grader });
    const used = process.cpuUsage(before);
    clearInterval(timer);
    expect(turns).toBeGreaterThan((used.user + used.system) / 1000 / 40);
  });
});
