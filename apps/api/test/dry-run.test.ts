import type { DryRun } from '@polymode/contracts';
import { createLogger } from '@polymode/telemetry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type InferenceService, startInference } from '../../worker/dist/inference/service.js';
import { errorOf, jobBody, startTestApi, type TestApi, uploadRows, voxelRow } from './harness.js';

let api: TestApi;
let training: string;
beforeAll(async () => {
  api = await startTestApi();
  training = await uploadRows(api.client, voxelRow('1010'), voxelRow('0110'), voxelRow('1010'));
});
afterAll(() => api?.stop());

const ask = (body: unknown) =>
  fetch(`${api.url}/v1/fine_tuning/jobs?dry_run=true`, {
    method: 'POST',
    headers: { authorization: `Bearer ${api.key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
const dryRun = async (body: unknown): Promise<DryRun> => {
  const response = await ask(body);
  expect(response.status).toBe(200);
  return (await response.json()) as DryRun;
};

const counts = async () => [
  await api.db.fineTuningJob.count(),
  await api.db.fineTuningEvent.count(),
  await api.db.file.count(),
];

describe('a dry run without a worker', () => {
  it('resolves everything, stores nothing, and says what it cannot know', async () => {
    const validation = await uploadRows(api.client, voxelRow('1010'), voxelRow('0001'));
    const before = await counts();
    const answer = await dryRun(jobBody(training, { validation_file: validation }, { group_size: 8 }));
    expect(answer).toMatchObject({
      object: 'fine_tuning.job.dry_run',
      model: 'polymode-tiny',
      base_model: 'polymode-tiny',
      method: { reinforcement: { hyperparameters: { group_size: 8, batch_size: 3 } } },
      training_file: { id: training, rows: 3, duplicate_rows: 1, tokens: null, rows_beyond_context: null },
      validation_file: { id: validation, rows: 2, duplicate_rows: 0, tokens: null },
      shared_rows: 1,
      memory: null,
    });
    expect(answer.warnings).toEqual([
      '1 rows of the training file repeat earlier ones',
      expect.stringMatching(/^1 validation rows are in the training file too/),
      'tokens and memory are not known, for no worker is running',
    ]);
    expect(await counts()).toEqual(before);
    expect(JSON.stringify(answer.method)).not.toContain('auto');
  });

  // Worked by hand: r₂/r₁ > (G − 1)^(−α), and ε = 1/G never binds: min(G − 1, G) = G − 1.
  it.each([
    [{ group_size: 8 }, 1 / 7],
    [{ group_size: 8, ips: { exponent: 0.5 } }, 1 / Math.sqrt(7)],
    [{ group_size: 8, ips: { epsilon: 0.5 } }, 1 / 2],
    [{ group_size: 8, algorithm: 'grpo' }, 1],
  ])('tells which answers survive: %j', async (hyperparameters, ratio) => {
    const { survival } = await dryRun(jobBody(training, {}, hyperparameters));
    expect(survival?.smallest_reward_ratio).toBeCloseTo(ratio, 12);
    expect(survival).toMatchObject({ group_size: 8, answers_seen_per_group: 8 });
  });

  it('refuses what the job would be refused for', async () => {
    const response = await ask(jobBody('file-none'));
    expect([response.status, await errorOf(response)]).toEqual([
      400,
      expect.objectContaining({ param: 'training_file', code: 'file_not_found' }),
    ]);
    expect((await ask(jobBody(training, {}, { group_size: 1 }))).status).toBe(400);
  });
});

describe('with a live worker', () => {
  let worker: InferenceService;
  beforeAll(async () => {
    worker = await startInference({
      config: {
        host: '127.0.0.1',
        port: 0,
        url: undefined,
        threads: 1,
        memoryBytes: 2 ** 30,
        idleSeconds: 600,
        metricsToken: undefined,
      },
      db: api.db,
      storage: api.storage,
      logger: createLogger({ name: 'worker', level: 'silent' }),
      modelDirs: [],
      device: { provider: 'cpu', deviceId: 0, why: 'asked for' },
      owner: 'worker-test',
    });
  });
  afterAll(() => worker?.stop());

  const long = { ...voxelRow('1111'), messages: [{ role: 'user', content: 'stack '.repeat(3000) }] };

  it('a dry run tells tokens, rows that do not fit, and memory', async () => {
    const file = await uploadRows(api.client, voxelRow('1010'), long);
    const { training_file, memory, warnings } = await dryRun(jobBody(file, { validation_file: training }));
    expect(training_file.rows_beyond_context).toBe(1);
    expect(training_file.tokens!.max).toBeGreaterThan(training_file.tokens!.min);
    expect(training_file.tokens!.total).toBe(training_file.tokens!.min + training_file.tokens!.max);
    expect(memory).toMatchObject({ fits: true, parts: { weights: expect.any(Number), training: expect.any(Number) } });
    expect(warnings).toContainEqual(expect.stringMatching(/^1 row of the training file .*: line 2 \(\d+\)$/));
  });

  it('a dry run says what would fit where a budget does not', async () => {
    const { memory, warnings } = await dryRun(jobBody(training, {}, { memory_budget_mb: 64 }));
    expect(memory).toMatchObject({ fits: false, budget_bytes: 64 * 2 ** 20 });
    expect(warnings).toContainEqual(expect.stringMatching(/the job would fail on this worker: .* MiB/));
  });

  it('a job that is made is warned of rows that do not fit, in its events', async () => {
    const file = await uploadRows(api.client, voxelRow('1010'), long);
    const job = await api.client.fineTuning.jobs.create(jobBody(file));
    await expect
      .poll(
        async () => (await api.client.fineTuning.jobs.listEvents(job.id)).data.filter(({ level }) => level === 'warn'),
        {
          timeout: 30_000,
        },
      )
      .toEqual([expect.objectContaining({ message: expect.stringMatching(/^1 row of the training file .*line 2/) })]);
  });

  it('a worker that does not answer is no reason to refuse', async () => {
    await worker.stop();
    await api.db.inferenceWorker.create({ data: { id: 'dead', url: 'http://127.0.0.1:1', token: 't' } });
    const { memory, warnings } = await dryRun(jobBody(training));
    expect(memory).toBeNull();
    expect(warnings).toContainEqual(
      expect.stringMatching(/^tokens and memory are not known, for a worker could not be asked/),
    );
  });
});
