import { createTrainer, type GradingSettings, type ReinforcementOptions, type Trainer } from '@polymode/trainer';
import { compileGrader, compileOutcome, type Grade, type Grader, GraderRuntimeError } from '@polymode/verifiers';
import { afterEach, describe, expect, it } from 'vitest';
import { smallJob } from './small-job.js';

const open: Trainer[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((t) => t.close()));
});

/** @param grade of the n-th completion that is graded, from 0 */
async function job(grade: (n: number) => Grade, grading: GradingSettings = {}): Promise<Trainer> {
  let calls = 0;
  const grader: Grader = {
    config: { type: 'test', name: 't' },
    name: 't',
    type: 'test',
    checkItem: () => [],
    grade: async () => grade(calls++),
  };
  return start({ ...smallJob(), validationRows: [], grader, grading });
}

async function start(options: ReinforcementOptions): Promise<Trainer> {
  const trainer = await createTrainer(options);
  open.push(trainer);
  return trainer;
}

function failure(): never {
  throw new GraderRuntimeError('ZeroDivisionError', 'python_grader_runtime_error', {
    details: 'Traceback (most recent call last):\n  line 3, in grade',
  });
}

describe('grading in training', () => {
  it('tells which part of a grader failed, and what judges were asked', async () => {
    const usage = { m: { prompt_tokens: 5, completion_tokens: 2, cached_tokens: 1, total_tokens: 7 } };
    const failing = new GraderRuntimeError("grader 'a': no", 'other_error', { part: 'a' });
    const trainer = await job(
      (n) => {
        if (n < 2) throw failing;
        return { reward: n % 2, usage };
      },
      { maxErrorShare: 0.5 },
    );
    const { graderErrors, grading } = await trainer.runStep();
    expect(graderErrors).toEqual({ other_error: 2 });
    expect(grading).toEqual({
      completions: 24,
      partErrors: { a: { other_error: 2 } },
      usage: { m: { prompt_tokens: 110, completion_tokens: 44, cached_tokens: 22, total_tokens: 154 } },
    });
  });

  it('gives graders the whole row, its conversation too', async () => {
    const options = { ...smallJob(), validationRows: [] };
    const seen: object[] = [];
    const grader: Grader = {
      ...compileGrader(smallJob().grader.config),
      grade: async (_, item) => {
        seen.push(item);
        return { reward: 0 };
      },
    };
    await (await start({ ...options, grader })).runStep();
    for (const item of seen) expect(options.trainRows).toContainEqual(item);
    expect(seen.length).toBeGreaterThan(0);
  });

  it('gives graders the answer as JSON wherever it is some', async () => {
    const seen: { text: string; json: unknown }[] = [];
    const grader: Grader = {
      ...compileGrader(smallJob().grader.config),
      grade: async ({ output_text: text, output_json: json }) => {
        seen.push({ text, json });
        return { reward: 0 };
      },
    };
    // Any token is as likely as another then, digits among them, which are JSON.
    await (
      await start({
        ...smallJob({ max_completion_tokens: 1, group_size: 96, temperature: 20 }),
        validationRows: [],
        grader,
      })
    ).runStep();
    const parsed = (text: string): unknown => {
      try {
        return JSON.parse(text);
      } catch {
        return undefined;
      }
    };
    expect(new Set(seen.map(({ json }) => json === undefined))).toEqual(new Set([true, false]));
    for (const { text, json } of seen) expect(json).toEqual(parsed(text));
  });

  it('counts what the job calls the same answer', async () => {
    const grader = compileGrader({ type: 'task', task: 'hypospace/voxel' });
    const outcome = compileOutcome({ type: 'regex', pattern: '[01]$' }, grader);
    const trainer = await start({ ...smallJob(), grader, grading: { outcome } });
    const outcomes = (await trainer.runStep()).groups.flatMap((g) => g.completions).map((c) => c.outcome);
    expect(new Set(outcomes).size).toBeGreaterThan(1);
    for (const one of outcomes) expect(['0', '1', 'unparseable']).toContain(one);
  });

  it('trains on what could be graded, with groups of which little or nothing could', async () => {
    // The first group of six is lost, the second all but one.
    const trainer = await job((n) => (n < 11 ? failure() : { reward: n % 2, outcome: `${n % 2}` }), {
      maxErrorShare: 0.5,
    });
    const { groups, metrics, graderErrors } = await trainer.runStep();
    expect(graderErrors).toEqual({ python_grader_runtime_error: 11 });
    expect(groups.map((g) => g.hasSpread)).toEqual([false, false, true, true]);
    expect(groups[1]!.completions.map((c) => c.advantage)).toEqual(Array(6).fill(0));
    expect(metrics).toMatchObject({ updated: 1, reward_mean: 7 / 13, unreadable_frac: 0 });
    expect(metrics.ungraded_frac).toBeCloseTo(11 / 24, 12);
    // Over the three groups that have grades: 1 of 1, 2 of 6 and 2 of 6 outcomes; 1, 1/2 and 1/2 are the commonest.
    expect(metrics.unique_outcomes_frac).toBeCloseTo(5 / 9, 12);
    expect(metrics.top_outcome_share).toBeCloseTo(2 / 3, 12);
  });

  it('ends the job beyond the share that it allows, with different tracebacks', async () => {
    const grade = (n: number): Grade => {
      if (n === 3) throw new TypeError('b');
      return n < 3 ? failure() : { reward: 0 };
    };
    const strict = await job(grade);
    await expect(strict.runStep()).rejects.toMatchObject({
      code: 'grader_failed',
      param: 'method.reinforcement.grader',
      message: expect.stringMatching(
        /^the grader failed on 4 of 24 completions of step 1:\n- ZeroDivisionError\n {4}Traceback .*\n {6}line 3, in grade\n- TypeError: b\n {4}TypeError: b\n[\s\S]*max_grader_error_share allows 0\.1/,
      ),
    });
    expect((await (await job(grade, { maxErrorShare: 1 / 6 })).runStep()).metrics.ungraded_frac).toBeCloseTo(1 / 6);
    await expect(
      (await job((n) => (n === 0 ? failure() : { reward: 0 }), { maxErrorShare: 0 })).runStep(),
    ).rejects.toThrow('1 of 24');
    await (await job(failure, { maxErrorShare: 1 })).runStep();
  });

  it('gives answers that cannot be read 0, and counts them', async () => {
    const grader = compileGrader({
      type: 'multi',
      name: 'both',
      graders: {
        json: { type: 'string_check', name: 'j', input: '{{sample.output_json.a}}', reference: 'x', operation: 'eq' },
        text: { type: 'string_check', name: 't', input: 'a', reference: 'a', operation: 'eq' },
      },
      calculate_output: 'json + text / 2',
    });
    const { metrics, graderErrors, groups, grading } = await (await start({ ...smallJob(), grader })).runStep();
    expect(graderErrors).toEqual({ sample_parse_error: 24 });
    expect(grading).toEqual({ completions: 24, partErrors: { json: { sample_parse_error: 24 } }, usage: {} });
    expect(metrics).toMatchObject({ reward_mean: 0.5, unreadable_frac: 1, ungraded_frac: 0 });
    expect(metrics).toMatchObject({ 'reward_mean/json': 0, 'reward_mean/text': 1 });
    expect(groups[0]!.completions[0]).toMatchObject({ reward: 0.5 });
  });

  it('gives up on a grade that takes too long', async () => {
    const grader: Grader = { ...compileGrader(smallJob().grader.config), grade: () => new Promise(() => {}) };
    const trainer = await start({ ...smallJob(), grader, grading: { timeoutMs: 10 } });
    await expect(trainer.runStep()).rejects.toThrow(/24 of 24 .*\n- The grader did not answer within 0.01 seconds/);
  });
});
