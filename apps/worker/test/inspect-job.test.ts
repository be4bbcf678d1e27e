import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InspectRequest } from '@polymode/contracts';
import { readModelDescription, tokenizerOf } from '@polymode/policy';
import { findBaseModel } from '@polymode/policy/registry';
import { openStorage, type Storage } from '@polymode/storage';
import { createTrainer, type TrainerOptions } from '@polymode/trainer';
import { compileGrader, openGraderServices } from '@polymode/verifiers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspectJob } from '../dist/inspect-job.js';

const TINY = findBaseModel('polymode-tiny')!;

let dir: string;
let storage: Storage;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'polymode-inspect-'));
  storage = openStorage({ dir });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const learner = {
  n_epochs: 1,
  batch_size: 2,
  learning_rate_multiplier: 1,
  max_steps: 2,
  trainable: 'lora',
  lora: { rank: 4, alpha: 8, rslora: false, target_modules: 'all-linear' },
  learning_rate: 1e-4,
  lr_schedule: 'constant',
  warmup_steps: 0,
  optimizer: { weight_decay: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-5, max_grad_norm: 1 },
  eval_interval: 1,
  memory_budget_mb: null,
};
const sampling = {
  compute_multiplier: 1,
  reasoning_effort: 'default',
  algorithm: 'ips-grpo',
  group_size: 4,
  temperature: 1,
  top_k: 0,
  top_p: 1,
  min_p: 0,
  repetition_penalty: 1,
  presence_penalty: 0,
  stop: [],
  max_completion_tokens: 16,
  kl_coefficient: 0,
  clip_epsilon: 0.2,
  ips: { exponent: 1, epsilon: 0.25 },
  eval_samples: 1,
};
const grader = { type: 'string_check', name: 'x', operation: 'eq', input: '{{sample.output_text}}', reference: 'a' };

const methodOf = (type: 'reinforcement' | 'supervised' | 'dpo', change: object = {}) => {
  const settings = {
    reinforcement: {
      grader,
      outcome: { type: 'text' },
      max_grader_error_share: 0.1,
      grader_timeout_ms: 1000,
      response_format: null,
      hyperparameters: { ...learner, ...sampling, ...change },
    },
    supervised: { hyperparameters: { ...learner, ...change } },
    dpo: { hyperparameters: { ...learner, beta: 0.1, ...change } },
  };
  return { type, [type]: settings[type] };
};

let files = 0;
/** A blank line and CRLF, as files have them. */
async function file(rows: readonly object[]): Promise<{ storageKey: string }> {
  const storageKey = `files/file-${files++}`;
  const text = `\uFEFF\n${rows.map((row) => JSON.stringify(row)).join('\r\n')}`;
  await storage.put(storageKey, new TextEncoder().encode(text));
  return { storageKey };
}

const inspect = async (method: object, rows: readonly object[], validation?: readonly object[]) =>
  inspectJob(
    { storage, modelDirs: [], device: { provider: 'cpu' } },
    InspectRequest.parse({
      baseModel: 'polymode-tiny',
      method,
      trainingFile: await file(rows),
      validationFile: validation ? await file(validation) : null,
    }),
  );

const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });
const words = (count: number) => Array.from({ length: count }, (_, i) => `w${i}`).join(' ');

/** What the trainer itself plans, with the engine and weights that an inspection does without. */
async function plannedByTrainer(options: object): Promise<object> {
  const services = openGraderServices({ endpointAllow: [] });
  const trainer = (await createTrainer({
    model: { path: TINY.path, name: 'polymode-tiny' },
    seed: 1,
    validationRows: [],
    grader: compileGrader(grader, services),
    ...options,
  } as unknown as TrainerOptions)) as unknown as {
    planMemory(): { estimate: Record<string, number> };
    close(): Promise<void>;
  };
  try {
    return Object.fromEntries(
      Object.entries(trainer.planMemory().estimate).map(([part, bytes]) => [part, Math.ceil(bytes)]),
    );
  } finally {
    await trainer.close();
    services.close();
  }
}

describe('an inspection', () => {
  it('counts the tokens of prompts as the tokenizer does', async () => {
    const { otherFiles } = await readModelDescription(TINY.path);
    const tokenizer = await tokenizerOf(otherFiles);
    const rows = Array.from({ length: 40 }, (_, i) => ({ messages: [user(words(1 + (i % 7)))], answer: 'a' }));
    const { training, validation } = await inspect(methodOf('reinforcement'), rows, rows.slice(0, 1));
    const counts = rows.map(({ messages }) => tokenizer.encodeChat(messages).length);
    const total = counts.reduce((a, b) => a + b, 0);
    expect(training.tokens).toMatchObject({
      min: Math.min(...counts),
      max: Math.max(...counts),
      total,
      mean: total / counts.length,
    });
    // By the definition: the least count that at least 95 of 100 rows do not exceed.
    const share = (limit: number) => counts.filter((count) => count <= limit).length / counts.length;
    expect(share(training.tokens.p95)).toBeGreaterThanOrEqual(0.95);
    expect(share(training.tokens.p95 - 1)).toBeLessThan(0.95);
    expect(training.beyondContext).toBe(0);
    expect(validation?.tokens.total).toBe(counts[0]);
  });

  it.each(['lora', 'full'] as const)('plans memory as the trainer does, %s', async (trainable) => {
    const rl = [{ messages: [user(words(9))] }, { messages: [user(words(3))] }, { messages: [user('a')] }];
    for (const change of [{}, { kl_coefficient: 0.1 }]) {
      const method = methodOf('reinforcement', { trainable, ...change });
      const { memory } = await inspect(method, rl);
      const hyperparameters = { ...learner, ...sampling, trainable, ...change };
      expect(memory.parts).toEqual(await plannedByTrainer({ method: 'reinforcement', trainRows: rl, hyperparameters }));
      expect(memory.fits).toBe(true);
      expect(memory.budget_bytes).toBeGreaterThan(memory.total_bytes);
      const sum = Object.values(memory.parts).reduce((a, b) => a + b, 0);
      expect(Math.abs(sum - memory.total_bytes)).toBeLessThan(10);
    }
    const chat = [{ messages: [user(words(4)), assistant(words(8))] }, { messages: [user('a'), assistant('b')] }];
    const sft = await inspect(methodOf('supervised', { trainable }), chat);
    const settings = { hyperparameters: { ...learner, beta: 0.1, trainable } };
    expect(sft.memory.parts).toEqual(await plannedByTrainer({ method: 'supervised', trainRows: chat, ...settings }));
    const pairs = chat.map(({ messages: [question, answer] }) => ({
      input: { messages: [question] },
      preferred_output: [answer],
      non_preferred_output: [assistant(words(5))],
    }));
    const dpo = await inspect(methodOf('dpo', { trainable }), pairs);
    expect(dpo.memory.parts).toEqual(await plannedByTrainer({ method: 'dpo', trainRows: pairs, ...settings }));
  });

  it('names the lines that do not fit the context', async () => {
    const { config } = await readModelDescription(TINY.path);
    const long = words(config.maxPositionEmbeddings);
    const rows = [{ messages: [user('a')] }, { messages: [user(long)] }, { messages: [user('b')] }];
    const { training, rowTokens, memory } = await inspect(methodOf('reinforcement'), rows);
    expect(rowTokens).toBe(config.maxPositionEmbeddings - 16);
    expect(training.beyondContext).toBe(1);
    // The first line is blank, so the second row is on the third.
    expect(training.longest).toEqual([{ line: 3, tokens: training.tokens.max }]);
    expect(training.tokens.max).toBeGreaterThan(rowTokens);
    // Planned for the rows that fit.
    const { memory: without } = await inspect(methodOf('reinforcement'), [rows[0]!, rows[2]!]);
    expect(memory).toEqual(without);
    const chat = [{ messages: [user('a'), assistant(long)] }];
    expect((await inspect(methodOf('supervised'), chat)).training.beyondContext).toBe(1);
    const pair = {
      input: { messages: [user('a')] },
      preferred_output: [assistant('b')],
      non_preferred_output: [assistant(long)],
    };
    expect((await inspect(methodOf('dpo'), [pair])).training.beyondContext).toBe(1);
  });

  it('says what would fit where the job does not', async () => {
    const rows = [{ messages: [user('a')] }];
    const { memory, problems } = await inspect(methodOf('reinforcement', { memory_budget_mb: 1 }), rows);
    expect(memory).toMatchObject({ fits: false, budget_bytes: 2 ** 20 });
    expect(memory.total_bytes).toBeGreaterThan(2 ** 20);
    expect(problems).toEqual([expect.stringMatching(/the job needs .* MiB at least .*memory_budget_mb of \d+/)]);
  });

  it('refuses what the model does not take, and what is not here', async () => {
    const rows = [{ messages: [user('a')] }];
    const lora = { ...learner.lora, target_modules: ['no_such_proj'] };
    await expect(inspect(methodOf('reinforcement', { lora }), rows)).rejects.toMatchObject({
      status: 400,
      param: expect.stringContaining('lora'),
    });
    const context = { storage, modelDirs: [], device: { provider: 'cpu' as const } };
    const request = InspectRequest.parse({
      baseModel: 'polymode-tiny',
      method: methodOf('supervised'),
      trainingFile: { storageKey: 'files/file-none' },
      validationFile: null,
    });
    await expect(inspectJob(context, request)).rejects.toMatchObject({ status: 404 });
    await expect(inspectJob(context, { ...request, baseModel: 'none' })).rejects.toMatchObject({ status: 404 });
  });

  it('ends when nobody waits for it any more', async () => {
    const rows = Array.from({ length: 3000 }, () => ({ messages: [user(words(30))] }));
    const request = InspectRequest.parse({
      baseModel: 'polymode-tiny',
      method: methodOf('reinforcement'),
      trainingFile: await file(rows),
      validationFile: null,
    });
    const gone = new AbortController();
    const context = { storage, modelDirs: [], device: { provider: 'cpu' as const } };
    setTimeout(() => gone.abort(), 1);
    await expect(inspectJob(context, request, gone.signal)).rejects.toThrow(/abort/i);
  });
});
