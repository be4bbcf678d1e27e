import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Stack, startStack } from '@polymode/cli';
import { tasks } from '@polymode/verifiers';
import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startWandbServer, type WandbServer } from '../../api/test/wandb/server.js';

const KEY = 'wandb-key-that-stays-in-the-environment';
const STEPS = 40;

const dataDir = mkdtempSync(join(tmpdir(), 'polymode-wandb-'));
let wandb: WandbServer;
let stack: Stack;
let client: OpenAI;

async function start(): Promise<void> {
  const env = {
    POLYMODE_LOCK_MS: '1000',
    POLYMODE_THREADS: '1',
    POLYMODE_API_KEY: 'pmk-of-the-wandb-test',
    WANDB_API_KEY: KEY,
    WANDB_BASE_URL: wandb.url,
    WANDB_ENTITY: 'a team',
  };
  stack = await startStack({ dataDir, port: 0, env, restartMs: [50, 50], apiKey: env.POLYMODE_API_KEY });
  client = new OpenAI({ baseURL: stack.baseURL, apiKey: env.POLYMODE_API_KEY, maxRetries: 0 });
}

beforeAll(async () => {
  wandb = await startWandbServer(KEY);
  await start();
});

afterAll(async () => {
  await stack?.stop();
  await wandb?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

it('a job that a worker runs is on Weights & Biases as it is here, though worker and service end in the middle', {
  timeout: 300_000,
}, async () => {
  const rows = tasks['hypospace/voxel'].generate({ blocks: 3, count: 9, seed: 3 });
  const lines = Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const file = await client.files.create({ file: await toFile(lines, 'train.jsonl'), purpose: 'fine-tune' });
  const { id } = await client.fineTuning.jobs.create({
    model: 'polymode-tiny',
    training_file: file.id,
    // As a client of OpenAI asks for it.
    integrations: [{ type: 'wandb', wandb: { project: 'my-project', tags: ['t'] } }],
    method: {
      type: 'reinforcement',
      reinforcement: {
        grader: { type: 'task', task: 'hypospace/voxel' },
        hyperparameters: { batch_size: 3, group_size: 6, max_steps: STEPS, max_completion_tokens: 16 },
      },
    } as unknown as OpenAI.FineTuning.JobCreateParams.Method,
  });
  type Metrics = { data: { step: number; data: Record<string, Record<string, unknown>> }[] };
  const metrics = async (): Promise<Metrics['data']> =>
    ((await client.get(`/fine_tuning/jobs/${id}/metrics?limit=1000`)) as Metrics).data;

  while ((await metrics()).length < 5) await sleep(20);
  process.kill(stack.workerPids()[0]!, 'SIGKILL');
  while ((await metrics()).length < 15) await sleep(20);
  await stack.stop();
  await start();
  const run = () => wandb.runs.get(`a team/my-project/${id}`);
  await expect.poll(() => run()?.exitCode, { timeout: 120_000 }).toBe(0);

  const { lines: sent, summary, config, tags } = run()!;
  const kept = await metrics();
  expect(kept).toHaveLength(STEPS);
  expect(sent.map(({ _step }) => _step)).toEqual(kept.map(({ step }) => step));
  for (const [i, { data }] of kept.entries()) {
    const { scores, grpo, completion_tokens_mean } = sent[i] as Metrics['data'][number]['data'];
    expect(scores!.train_reward_mean).toBe(data.scores!.train_reward_mean);
    expect([grpo, completion_tokens_mean]).toEqual([data.grpo, data.completion_tokens_mean]);
  }
  const job = await client.fineTuning.jobs.retrieve(id);
  expect(summary).toMatchObject({ _step: STEPS, status: 'succeeded', fine_tuned_model: job.fine_tuned_model });
  expect(config).toMatchObject({ job_id: id, seed: job.seed, hyperparameters: { group_size: 6, max_steps: STEPS } });
  expect(tags).toContain('t');
  expect(wandb.wrong).toEqual([]);
  const { data: events } = await client.fineTuning.jobs.listEvents(id, { limit: 100 });
  const told = events.filter(({ message }) => message.startsWith('Weights & Biases'));
  expect(told.map(({ level, message }) => [level, message])).toEqual([
    ['info', `Weights & Biases run created: ${wandb.url}/a%20team/my-project/runs/${id}`],
  ]);

  await stack.stop();
  // Neither logs nor tables have it, encoded or not.
  execFileSync('grep', ['-rqF', id, dataDir]);
  for (const secret of [KEY, Buffer.from(`api:${KEY}`).toString('base64')]) {
    expect(() => execFileSync('grep', ['-rqF', secret, dataDir])).toThrow();
  }
});
