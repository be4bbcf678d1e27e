import { NotFoundError } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jobBody, refusal, startTestApi, type TestApi, uploadRows, voxelRow } from './harness.js';

let api: TestApi;
let training: string;
beforeAll(async () => {
  const modelAliases = {
    'gpt-3.5-turbo': 'polymode-tiny',
    'gpt-4o-mini*': 'Qwen/Qwen3-0.6B',
    'gpt-4*': 'polymode-tiny',
    'polymode-tiny': 'Qwen/Qwen3-0.6B',
    gone: 'not-here',
  };
  api = await startTestApi({ modelAliases });
  training = await uploadRows(api.client, voxelRow('1010'));
});
afterAll(() => api?.stop());

const trained = async (model: string): Promise<string> =>
  (await api.client.fineTuning.jobs.create(jobBody(training, { model }))).model;

describe('names that stand for base models', () => {
  it('start jobs, which tell the model that they train', async () => {
    expect(await trained('gpt-3.5-turbo')).toBe('polymode-tiny');
    // The first that fits.
    expect(await trained('gpt-4o-mini-2024-07-18')).toBe('Qwen/Qwen3-0.6B');
    expect(await trained('gpt-4.1')).toBe('polymode-tiny');
  });

  it('never hide a model that has the name itself', async () => {
    expect(await trained('polymode-tiny')).toBe('polymode-tiny');
  });

  it('are listed where they are whole names of what is here, and looked up', async () => {
    const ids = (await api.client.models.list()).data.map(({ id }) => id);
    expect(ids).toEqual(['polymode-tiny', 'Qwen/Qwen3-0.6B', 'gpt-3.5-turbo']);
    for (const id of [...ids, 'gpt-4o-mini']) {
      expect(await api.client.models.retrieve(id)).toMatchObject({ id, owned_by: 'polymode' });
    }
    expect(await refusal(api.client.models.delete('gpt-3.5-turbo'))).toMatchObject({ status: 403 });
  });

  it('are none of models that are not here, nor of fine-tuned ones', async () => {
    for (const model of ['gone', 'gpt-3.5-turbo-0125', 'ft:gpt-4o:acme::abc']) {
      const error = await refusal(api.client.fineTuning.jobs.create(jobBody(training, { model })));
      expect(error).toMatchObject({ status: 400, param: 'model', code: 'model_not_found' });
      expect(error.message).toContain('POLYMODE_MODEL_ALIASES');
      expect(await refusal(api.client.models.retrieve(model))).toBeInstanceOf(NotFoundError);
    }
  });
});
