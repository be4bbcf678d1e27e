import { readFileSync } from 'node:fs';
import { BadRequestError } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refusal, startTestApi, type TestApi, voxelGrader } from './harness.js';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.stop());

interface Vectors {
  instances: Record<string, Record<string, unknown>>;
  cases: { instance: string; text: string; tag: string; valid: boolean; key: string | null }[];
}

const run = (body: object) => api.client.fineTuning.alpha.graders.run(body as never);
const outcomeOf = (response: Awaited<ReturnType<typeof run>>) => (response.metadata as { outcome?: unknown }).outcome;

describe.each(['boolean', 'voxel'])('the %s task through graders/run', (domain) => {
  const path = new URL(`../../../packages/verifiers/test/vectors/${domain}_cases.json`, import.meta.url);
  const { instances, cases } = JSON.parse(readFileSync(path, 'utf8')) as Vectors;

  it(`rewards 1 exactly for valid answers and names their outcome, in all ${cases.length} cases`, async () => {
    expect(cases.length).toBeGreaterThan(50);
    const wrong: unknown[] = [];
    for (const one of cases) {
      const response = await run({
        grader: { type: 'task', task: `hypospace/${domain}` },
        model_sample: one.text,
        item: instances[one.instance],
      });
      const expected = { reward: one.valid ? 1 : 0, outcome: one.key ?? 'unparseable' };
      const got = { reward: response.reward, outcome: outcomeOf(response) };
      if (JSON.stringify(got) !== JSON.stringify(expected)) wrong.push({ tag: one.tag, text: one.text, expected, got });
    }
    expect(wrong).toEqual([]);
  });
});

describe('graders/run', () => {
  const stringCheck = {
    type: 'string_check' as const,
    name: 'same',
    input: '{{sample.output_text}}',
    reference: '{{item.answer}}',
    operation: 'eq' as const,
  };

  it('answers every key of the API', async () => {
    const response = await run({ grader: stringCheck, model_sample: 'yes', item: { answer: 'yes' } });
    expect(response).toMatchObject({
      reward: 1,
      sub_rewards: {},
      model_grader_token_usage_per_model: {},
      metadata: {
        name: 'same',
        type: 'string_check',
        scores: { same: 1 },
        sampled_model_name: null,
        token_usage: null,
        outcome: 'yes',
        error_message: null,
      },
    });
    expect(Object.values(response.metadata.errors).every((flag) => flag === false || flag === null)).toBe(true);
    expect(Object.keys(response.metadata.errors)).toHaveLength(14);
    expect(response.metadata.execution_time).toBeGreaterThanOrEqual(0);
  });

  it('flags a grader that could not grade, and answers 200', async () => {
    for (const body of [
      { grader: stringCheck, model_sample: 'yes', item: {} },
      { grader: voxelGrader, model_sample: 'yes' },
      { grader: voxelGrader, model_sample: 'yes', item: { grid: 2, max_height: 2, top: '00x1' } },
    ]) {
      const response = await run(body);
      expect(response.reward).toBe(0);
      expect(response.metadata.errors.invalid_variable_error).toBe(true);
      expect(outcomeOf(response)).toBeNull();
      expect(response.metadata).toHaveProperty('error_message', expect.stringContaining('item.'));
    }
    const json = { ...stringCheck, input: '{{sample.output_json.answer}}' };
    const response = await run({ grader: json, model_sample: 'not json', item: { answer: 'yes' } });
    expect(response.metadata.errors.sample_parse_error).toBe(true);
  });

  it.each([
    [{ ...stringCheck, operation: 'neq' }, 'grader.operation'],
    [{ ...stringCheck, input: '{{answer}}' }, 'grader.input'],
    [{ type: 'task', task: 'hypospace/chess' }, 'grader.task'],
    [{ type: 'python', name: 'p', source: 'x' }, 'grader.type'],
    [{ type: 3 }, 'grader.type'],
    [undefined, 'grader'],
  ])('refuses the definition %j and names the field', async (grader, param) => {
    const error = await refusal(run({ grader, model_sample: 'x' }));
    expect(error).toBeInstanceOf(BadRequestError);
    expect(error).toMatchObject({ status: 400, type: 'invalid_request_error', param });
  });

  it('wants the answer as text', async () => {
    const error = await refusal(run({ grader: voxelGrader, model_sample: 3 }));
    expect(error).toMatchObject({ status: 400, param: 'model_sample', code: 'invalid_type' });
  });
});

describe('graders/validate', () => {
  it('answers the definition with its defaults', async () => {
    const body = { grader: { type: 'task', task: 'hypospace/boolean' } };
    const { grader } = await api.client.fineTuning.alpha.graders.validate(body as never);
    expect(grader).toEqual({ type: 'task', name: 'hypospace/boolean', task: 'hypospace/boolean' });
  });

  it('refuses a definition that is wrong', async () => {
    const body = { grader: { type: 'string_check', name: 'n', input: 'a', operation: 'eq' } };
    const error = await refusal(api.client.fineTuning.alpha.graders.validate(body as never));
    expect(error).toMatchObject({ status: 400, param: 'grader.reference', code: 'invalid_grader' });
  });
});
