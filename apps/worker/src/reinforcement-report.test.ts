import type { StepReport } from '@polymode/trainer';
import { describe, expect, it } from 'vitest';
import { graderNames, stepData } from './reinforcement-report.js';

const check = { type: 'string_check', name: 'same' };
const alike = { type: 'text_similarity', name: 'alike' };
const multi = (graders: unknown) => ({ type: 'multi', name: 'both', graders, calculate_output: '1' });

const report: StepReport = {
  step: 1,
  totalSteps: 2,
  metrics: { reward_mean: 0.5, 'reward_mean/a': 0.25, 'reward_mean/b': 0.75 },
  groups: [],
  graderErrors: { python_grader_runtime_error: 2 },
  warnings: [],
  validation: { metrics: { reward_mean: 0.1, 'reward_mean/a': 0.2 }, graderErrors: {} },
  timing: {},
};

describe('the graders of a step’s metrics', () => {
  it('are the job’s, then its parts by the names of their rewards', () => {
    expect(graderNames(check)).toEqual({ name: 'same', type: 'string_check', parts: [] });
    expect(graderNames({ type: 'task', task: 'x' })).toEqual({ name: 'task', type: 'task', parts: [] });
    const parts = (graders: unknown) => graderNames(multi(graders)).parts;
    expect(parts({ a: check, b: alike })).toEqual([
      { name: 'a', type: 'string_check' },
      { name: 'b', type: 'text_similarity' },
    ]);
    expect(parts([check, alike]).map(({ name }) => name)).toEqual(['same', 'alike']);
    expect(parts(alike)).toEqual([{ name: 'alike', type: 'text_similarity' }]);
  });

  it('have a series of rewards each', () => {
    const data = stepData(report, graderNames(multi({ a: check, b: alike })));
    expect(data.scores).toEqual({
      train_reward_mean: 0.5,
      valid_reward_mean: 0.1,
      graders: [
        { name: 'both', type: 'multi', train_reward_mean: 0.5, valid_reward_mean: 0.1 },
        { name: 'a', type: 'string_check', train_reward_mean: 0.25, valid_reward_mean: 0.2 },
        { name: 'b', type: 'text_similarity', train_reward_mean: 0.75, valid_reward_mean: null },
      ],
    });
    expect(data.errors).toMatchObject({ graders: [{ name: 'both', train_python_grader_runtime_error_count: 2 }] });
  });
});
