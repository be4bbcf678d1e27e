import type { StepReport } from '@polymode/trainer';
import { describe, expect, it } from 'vitest';
import { graderNames, reinforcementReport, stepData } from './reinforcement-report.js';

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
  });

  it('have a count and a share of errors of each kind, in training and in validation, and so has each part', () => {
    const runs = { type: 'python', name: 'runs' };
    const grading = { completions: 8, partErrors: { a: { python_grader_runtime_error: 2 } }, usage: {} };
    const told: StepReport = {
      ...report,
      graderErrors: { python_grader_runtime_error: 2, other_error: 1 },
      grading,
      validation: {
        metrics: {},
        graderErrors: { sample_parse_error: 1 },
        grading: { completions: 4, partErrors: { b: { sample_parse_error: 1 } }, usage: {} },
      },
    };
    const data = stepData(told, graderNames(multi({ a: runs, b: check })));
    const [all, a, b, ...others] = (data.errors as { graders: Record<string, unknown>[] }).graders;
    expect(others).toEqual([]);
    expect(all).toMatchObject({
      name: 'both',
      type: 'multi',
      train_python_grader_runtime_error_count: 2,
      train_python_grader_runtime_error_mean: 0.25,
      train_python_grader_server_error_count: 0,
      train_other_error_mean: 0.125,
      train_formula_parse_error_count: 0,
      valid_sample_parse_error_count: 1,
      valid_sample_parse_error_mean: 0.25,
      valid_python_grader_runtime_error_mean: 0,
    });
    expect(a).toMatchObject({ name: 'a', type: 'python', train_python_grader_runtime_error_mean: 0.25 });
    expect(a).toMatchObject({ train_other_error_count: 0, valid_sample_parse_error_count: 0 });
    expect(b).toMatchObject({ name: 'b', valid_sample_parse_error_mean: 0.25 });
    // Kinds of other types of graders are not there.
    expect(Object.keys(b!).filter((key) => /python|model|formula/.test(key))).toEqual([]);
    expect(data).toMatchObject({ mean_unresponsive_rewards: 0, full_valid_mean_parse_error: 0.25 });
    const validation = { ...told.validation!, metrics: { reward_mean: 0.5 } };
    expect(reinforcementReport(multi({ a: runs, b: check })).message({ ...told, validation })).toBe(
      ' train mean reward=0.50, full validation mean reward=0.50, full validation mean parse error=0.25',
    );
  });

  it('have the tokens of judges, by model', () => {
    const judge = { type: 'score_model', name: 'judge', model: 'm' };
    const used = (n: number) => ({
      completions: 4,
      partErrors: {},
      usage: { m: { prompt_tokens: 8 * n, completion_tokens: 2 * n, cached_tokens: n, total_tokens: 10 * n } },
    });
    const validation = { metrics: { reward_mean: 0 }, graderErrors: {}, grading: used(2) };
    const data = stepData({ ...report, grading: used(1), validation }, graderNames(multi({ j: judge, a: check })));
    expect(data.usage).toEqual({
      graders: [
        {
          name: 'j',
          type: 'score_model',
          model: 'm',
          train_prompt_tokens_count: 8,
          train_prompt_tokens_mean: 2,
          train_completion_tokens_count: 2,
          train_completion_tokens_mean: 0.5,
          valid_prompt_tokens_count: 16,
          valid_prompt_tokens_mean: 4,
          valid_completion_tokens_count: 4,
          valid_completion_tokens_mean: 1,
        },
      ],
    });
    expect(data.model_graders_token_usage).toEqual({
      m: {
        train_prompt_tokens: 8,
        train_completion_tokens: 2,
        train_cached_tokens: 1,
        eval_prompt_tokens: 16,
        eval_completion_tokens: 4,
        eval_cached_tokens: 2,
      },
    });
  });
});
