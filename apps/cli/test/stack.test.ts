import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Stack, StackError, startStack } from '@polymode/cli';
import {
  connectDatabase,
  type Database,
  disconnectDatabase,
  ensureDefaultProject,
  listApiKeys,
  listInferenceWorkers,
  listSteps,
} from '@polymode/db';
import { tasks } from '@polymode/verifiers';
import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** Locks of a second, so that a killed worker's job is soon another's; a snapshot after every step. */
const ENV = { POLYMODE_LOCK_MS: '1000', POLYMODE_SNAPSHOT_SECONDS: '0', POLYMODE_THREADS: '1', LOG_LEVEL: 'info' };

/** Of a job that is interrupted: more than it can do while it is being interrupted. */
const STEPS = 100;

const dataDir = mkdtempSync(join(tmpdir(), 'polymode-stack-'));
let stack: Stack;
let client: OpenAI;
let db: Database;
let apiKey: string;
let trainingFile: string;
let validationFile: string;

async function start(): Promise<void> {
  stack = await startStack({ dataDir, port: 0, env: ENV, restartMs: [50, 50] });
  apiKey = stack.apiKey ?? apiKey;
  client = new OpenAI({ baseURL: stack.baseURL, apiKey, maxRetries: 0 });
  db = connectDatabase(stack.databaseUrl, { maxConnections: 1 });
}

async function stop(): Promise<void> {
  await disconnectDatabase(db);
  await stack.stop();
}

beforeAll(async () => {
  await start();
  const rows = tasks['hypospace/voxel'].generate({ blocks: 3, count: 12, seed: 3 });
  const lines = (part: object[]): Buffer => Buffer.from(part.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const upload = async (name: string, part: object[]): Promise<string> =>
    (await client.files.create({ file: await toFile(lines(part), name), purpose: 'fine-tune' })).id;
  trainingFile = await upload('train.jsonl', rows.slice(0, 9));
  validationFile = await upload('valid.jsonl', rows.slice(9));
});

afterAll(async () => {
  await stop();
  rmSync(dataDir, { recursive: true, force: true });
});

async function createJob(hyperparameters: object = {}): Promise<string> {
  const method = {
    type: 'reinforcement',
    reinforcement: {
      grader: { type: 'task', task: 'hypospace/voxel' },
      hyperparameters: {
        batch_size: 3,
        group_size: 6,
        max_steps: STEPS,
        eval_interval: 20,
        eval_samples: 2,
        max_completion_tokens: 16,
        ...hyperparameters,
      },
    },
  } as unknown as OpenAI.FineTuning.JobCreateParams.Method;
  const job = await client.fineTuning.jobs.create({
    model: 'polymode-tiny',
    training_file: trainingFile,
    validation_file: validationFile,
    seed: 7,
    method,
  });
  expect(job.status).toBe('queued');
  return job.id;
}

async function ended(id: string): Promise<OpenAI.FineTuning.FineTuningJob> {
  while (true) {
    const job = await client.fineTuning.jobs.retrieve(id);
    if (job.finished_at !== null) return job;
    await sleep(50);
  }
}

async function untilStep(id: string, step: number): Promise<void> {
  while ((await recordedSteps(id)).length < step) await sleep(20);
}

async function recordedSteps(id: string): Promise<number[]> {
  return (await listSteps(db, id, { afterStep: 0 })).map((s) => s.step);
}

/** What a job left behind, without ids and times: equal for equal jobs, however often they were interrupted. */
async function remains(id: string): Promise<{ manifest: string; steps: number[]; events: string[] }> {
  const [last] = (await client.fineTuning.jobs.checkpoints.list(id)).data;
  const response = await fetch(`${stack.baseURL}/fine_tuning/jobs/${id}/checkpoints/${last!.id}/files/manifest.json`, {
    headers: { authorization: `Bearer ${apiKey}` },
  });
  expect(response.status).toBe(200);
  const events: string[] = [];
  for await (const event of client.fineTuning.jobs.listEvents(id, { limit: 50 })) {
    events.push(event.message.replaceAll(id.slice(-8), '').replace(/ftjob-\w+/, ''));
  }
  return {
    manifest: createHash('sha256')
      .update(Buffer.from(await response.arrayBuffer()))
      .digest('hex'),
    steps: await recordedSteps(id),
    events: events.reverse(),
  };
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

describe('a job', () => {
  it('leaves the same behind when its worker is killed at ten random moments, and when the stack is stopped', {
    timeout: 300_000,
  }, async () => {
    const undisturbed = await createJob();
    expect((await ended(undisturbed)).status).toBe('succeeded');
    const expected = await remains(undisturbed);
    expect(expected.steps).toEqual(upTo(STEPS));
    expect(new Set(expected.events).size).toBe(expected.events.length);
    expect(expected.events.filter((e) => e.startsWith('Step '))).toHaveLength(STEPS);

    const killed = await createJob();
    let random = 2601;
    const next = (): number => {
      random = (random * 1103515245 + 12345) % 2 ** 31;
      return random / 2 ** 31;
    };
    let victim = 0;
    for (let kill = 1; kill <= 10; kill++) {
      // Bound to the job's progress, not to the clock, so that ten kills find it unfinished on any machine; the pause
      // then lets them fall anywhere: in a step, in a snapshot, between the files and their row.
      await untilStep(killed, 6 * (kill - 1) + 1 + Math.floor(next() * 5));
      await sleep(next() * 60);
      while (stack.workerPids()[0] === victim || stack.workerPids().length === 0) await sleep(5);
      victim = stack.workerPids()[0]!;
      process.kill(victim, 'SIGKILL');
    }
    expect((await client.fineTuning.jobs.retrieve(killed)).status).toBe('running');
    expect((await ended(killed)).status).toBe('succeeded');
    expect(await remains(killed)).toEqual(expected);

    const stopped = await createJob();
    await untilStep(stopped, 10);
    await stop();
    await start();
    expect(await recordedSteps(stopped)).not.toHaveLength(STEPS);
    expect((await ended(stopped)).status).toBe('succeeded');
    expect(await remains(stopped)).toEqual(expected);
  });

  it('ends when it is cancelled, keeps its checkpoints and frees the worker', async () => {
    const id = await createJob({ max_steps: 5000, eval_interval: 5 });
    await untilStep(id, 6);
    expect((await client.fineTuning.jobs.cancel(id)).status).toBe('cancelled');
    const next = await createJob({ max_steps: 2 });
    expect((await ended(next)).status).toBe('succeeded');
    const { data } = await client.fineTuning.jobs.checkpoints.list(id);
    expect(data.map((c) => c.step_number)).toContain(5);
    const steps = await recordedSteps(id);
    expect(steps).toEqual(upTo(steps.length));
    expect(steps.length).toBeLessThan(5000);
  });

  it('fails with one error that says what to change when a prompt does not fit', async () => {
    const job = await ended(await createJob({ max_completion_tokens: 1020 }));
    expect(job.status).toBe('failed');
    expect(job.error).toMatchObject({ code: 'invalid_training_file', param: 'training_file' });
    expect(job.error?.message).toMatch(/longer than the 4 tokens .* lower max_completion_tokens/);
    const { data } = await client.fineTuning.jobs.listEvents(job.id);
    expect(data.filter((e) => e.level === 'error')).toHaveLength(1);
  });

  it('leaves a result file and a model behind', async () => {
    const job = await ended(await createJob({ max_steps: 3, eval_interval: 2 }));
    expect(job.fine_tuned_model).toMatch(/^ft:polymode-tiny:polymode::\w{8}$/);
    expect(job.trained_tokens).toBeGreaterThan(0);
    const csv = await (await client.files.content(job.result_files[0]!)).text();
    const lines = csv.trim().split('\n');
    expect(lines[0]).toBe('step,train_reward_mean,valid_reward_mean,completion_tokens_mean');
    expect(lines.slice(1).map((line) => line.split(',')[0])).toEqual(['1', '2', '3']);
    // Validated at steps 2 and 3 only.
    expect(lines.slice(1).map((line) => line.split(',')[2] === '')).toEqual([true, false, false]);
  });
});

describe('other methods', () => {
  const rows = (row: (i: number) => object): Buffer =>
    Buffer.from(Array.from({ length: 12 }, (_, i) => `${JSON.stringify(row(i))}\n`).join(''));
  const upload = async (lines: Buffer): Promise<string> =>
    (await client.files.create({ file: await toFile(lines, 'rows.jsonl'), purpose: 'fine-tune' })).id;
  const messages = (i: number) => [{ role: 'user', content: `Name digit ${i % 3}.` }];
  const answer = (content: string) => [{ role: 'assistant', content }];
  const steps = async (id: string) => {
    const events = (await client.fineTuning.jobs.listEvents(id, { limit: 100 })).data;
    return events.filter((e) => e.type === 'metrics').reverse();
  };
  const resultLines = async (job: OpenAI.FineTuning.FineTuningJob): Promise<string[]> =>
    (await (await client.files.content(job.result_files[0]!)).text()).trim().split('\n');

  it('supervised: a client of OpenAI asks for nothing else, and the loss falls', async () => {
    const { id } = await client.fineTuning.jobs.create({
      model: 'polymode-tiny',
      training_file: await upload(rows((i) => ({ messages: [...messages(i), ...answer(`${i % 3}`)] }))),
      validation_file: await upload(rows((i) => ({ messages: [...messages(i), ...answer(`${i % 3}`)], tools: [] }))),
      hyperparameters: { n_epochs: 4, learning_rate_multiplier: 10 },
    });
    const job = await ended(id);
    expect(job).toMatchObject({
      status: 'succeeded',
      hyperparameters: { n_epochs: 4, batch_size: 8 },
      method: { type: 'supervised' },
    });
    expect(job.trained_tokens).toBeGreaterThan(0);
    const told = await steps(id);
    expect(told[0]!.message).toMatch(/^Step 1\/8: training loss=\d+\.\d\d$/);
    expect(told[1]!.message).toMatch(/^Step 2\/8: training loss=\d+\.\d\d, validation loss=\d+\.\d\d$/);
    const losses = told.map((e) => (e.data as { train_loss: number }).train_loss);
    expect(losses.at(-1)!).toBeLessThan(0.7 * losses[0]!);
    const lines = await resultLines(job);
    expect(lines[0]).toBe('step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy');
    expect(lines).toHaveLength(9);
    const [checkpoint] = (await client.fineTuning.jobs.checkpoints.list(id)).data;
    expect(checkpoint!.metrics).toMatchObject({ step: 8, train_loss: losses.at(-1) });
    expect(checkpoint!.metrics.full_valid_loss).toBe(checkpoint!.metrics.valid_loss);
  });

  it('dpo: an adapter learns what is preferred, and comes in every format', async () => {
    const { id } = await client.fineTuning.jobs.create({
      model: 'polymode-tiny',
      training_file: await upload(
        rows((i) => ({
          input: { messages: messages(i) },
          preferred_output: answer('1 0 1'),
          non_preferred_output: answer('0 0 0'),
        })),
      ),
      method: {
        type: 'dpo',
        dpo: {
          hyperparameters: { beta: 0.5, n_epochs: 3, lora: { rank: 4 }, learning_rate: 0.01 },
          checkpoint_formats: ['adapter', 'merged', 'onnx', 'gguf'],
          gguf_type: 'Q8_0',
        },
      } as object as OpenAI.FineTuning.JobCreateParams.Method,
    });
    const job = await ended(id);
    expect(job.error).toBeNull();
    const told = (await steps(id)).map((e) => e.data as { train_loss: number; dpo: { reward_accuracy: number } });
    expect(told[0]!.train_loss).toBeCloseTo(Math.log(2), 4);
    expect(told.at(-1)!.train_loss).toBeLessThan(0.5);
    expect(told.at(-1)!.dpo.reward_accuracy).toBe(1);
    expect((await resultLines(job))[0]).toBe('step,train_loss,train_reward_accuracy,valid_loss,valid_reward_accuracy');
    const [checkpoint] = (await client.fineTuning.jobs.checkpoints.list(id)).data;
    const get = (path: string) =>
      fetch(`${stack.baseURL}/fine_tuning/jobs/${id}/checkpoints/${checkpoint!.id}/files${path}`, {
        headers: { authorization: `Bearer ${apiKey}` },
      });
    const manifest = (await (await get('/manifest.json')).json()) as {
      files: { path: string }[];
      exports: { format: string; largest_logit_difference: number; logit_spread: number }[];
    };
    expect(manifest.exports.map((e) => e.format)).toEqual(['adapter', 'merged', 'onnx', 'gguf']);
    for (const { format, largest_logit_difference: difference, logit_spread: spread } of manifest.exports) {
      expect(difference / spread, format).toBeLessThan(format === 'gguf' ? 0.1 : 1e-4);
    }
    const paths = manifest.files.map((f) => f.path);
    for (const path of ['adapter/adapter_model.safetensors', 'onnx/onnx/model.onnx', 'gguf/model.gguf']) {
      expect(paths).toContain(path);
    }
    expect((await get('/gguf/model.gguf')).status).toBe(200);
  });
});

describe('the worker', () => {
  it('serves inference with nothing to configure, also while it trains, and what it has just trained', async () => {
    // Workers that were killed above may still be listed.
    const [pid] = stack.workerPids();
    const find = async () => (await listInferenceWorkers(db, 60_000)).find((w) => w.id.includes(`:${pid}:`));
    await expect.poll(find, { timeout: 30_000 }).toBeDefined();
    const worker = await find();
    const say = async (checkpointId: string | null, maxTokens: number): Promise<string> => {
      const response = await fetch(`${worker!.url}/generate`, {
        method: 'POST',
        headers: { authorization: `Bearer ${worker!.token}` },
        body: JSON.stringify({
          ...{ model: 'polymode-tiny', baseModel: 'polymode-tiny', checkpointId, n: 2, seed: 1, maxTokens },
          ...{ temperature: 0, topP: 1, presencePenalty: 0, frequencyPenalty: 0, logitBias: [], stop: [] },
          ...{ logprobs: null, echo: false, format: { type: 'text' } },
          input: { type: 'chat', messages: [{ role: 'user', content: 'Name a digit.' }] },
        }),
      });
      expect(response.status).toBe(200);
      return response.text();
    };
    const id = await createJob({ max_steps: 5000, eval_interval: 2 });
    await untilStep(id, 3);
    const before = (await recordedSteps(id)).length;
    const base = await say(null, 400);
    expect(base).toContain('{"type":"end"}');
    const [checkpoint] = (await client.fineTuning.jobs.checkpoints.list(id)).data;
    const tuned = await say(checkpoint!.id, 100);
    expect(tuned).toContain('{"type":"end"}');
    await untilStep(id, before + 1);
    expect((await client.fineTuning.jobs.cancel(id)).status).toBe('cancelled');
    await expect
      .poll(async () => (await find())?.models, { timeout: 30_000 })
      .toEqual([checkpoint!.id, 'polymode-tiny'].sort());
    expect(await say(null, 400)).toBe(base);
  });
});

describe('the stack', () => {
  it('has graders ask the models that it serves, with a key of their own that ends with it', async () => {
    const { reward, metadata } = await client.fineTuning.alpha.graders.run({
      grader: { type: 'score_model', name: 'j', model: 'no-such-model', input: [{ role: 'user', content: 'x' }] },
      model_sample: 'y',
    });
    expect(reward).toBe(0);
    // Not 401: the key was taken. Not unreachable: our API answered.
    expect(metadata.errors.model_grader_server_error).toBe(true);
    expect(metadata).toMatchObject({ error_message: expect.stringMatching(/^The judge answered with status 404: /) });
    const { id: projectId } = await ensureDefaultProject(db, 'polymode');
    const keys = (await listApiKeys(db, projectId, { limit: 100, includeRevoked: true })).data;
    const ours = keys.filter(({ name }) => name === 'graders of this machine');
    expect(ours.map(({ scope }) => scope)).toContain('admin');
    expect(ours.filter(({ revokedAt }) => revokedAt === null)).toHaveLength(1);
  });

  it('refuses a data folder in use and a port in use', async () => {
    await expect(startStack({ dataDir, port: 0 })).rejects.toThrow(StackError);
    await expect(startStack({ dataDir, port: 0 })).rejects.toThrow(`is in use by process ${process.pid}`);
    const other = mkdtempSync(join(tmpdir(), 'polymode-stack-'));
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((listening) => server.once('listening', listening));
    const { port } = server.address() as { port: number };
    await expect(startStack({ dataDir: other, port })).rejects.toThrow(`Port ${port} is in use`);
    server.close();
    rmSync(other, { recursive: true, force: true });
  });

  it('comes up by the command line, prints one line of JSON, and leaves nothing running', async () => {
    const other = mkdtempSync(join(tmpdir(), 'polymode-up-'));
    const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
    const env = { ...process.env, POLYMODE_API_KEY: 'pmk-chosen-by-the-operator' };
    const up = spawn(process.execPath, [main, 'up', '--json', '--port', '0', '--data-dir', other], { env });
    const line = await new Promise<string>((done) => up.stdout.once('data', (data) => done(String(data))));
    const { baseURL, pid } = JSON.parse(line);
    expect(pid).toBe(up.pid);
    const models = await new OpenAI({ baseURL, apiKey: 'pmk-chosen-by-the-operator' }).models.list();
    expect(models.data.map((m) => m.id)).toContain('polymode-tiny');
    up.kill('SIGTERM');
    expect(await new Promise((done) => up.once('exit', done))).toBe(0);
    const left = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).split('\n');
    expect(left.filter((args) => args.includes(other))).toEqual([]);
    await expect(fetch(`${baseURL}/models`)).rejects.toThrow();
    rmSync(other, { recursive: true, force: true });
  });

  it('says how to call it when it is called wrongly', () => {
    const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
    const run = (...args: string[]): { status: number; stderr: string } => {
      try {
        execFileSync(process.execPath, [main, ...args], { stdio: 'pipe' });
        return { status: 0, stderr: '' };
      } catch (error) {
        const { status, stderr } = error as { status: number; stderr: Buffer };
        return { status, stderr: String(stderr) };
      }
    };
    expect(run('down')).toMatchObject({ status: 2, stderr: expect.stringContaining('Usage: polymode up') });
    expect(run('up', '--port', 'x')).toMatchObject({ status: 2, stderr: expect.stringContaining("--port is 'x'") });
  });
});
