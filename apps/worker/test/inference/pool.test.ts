import { mkdirSync, renameSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { Engine } from '@polymode/autodiff';
import type { CheckpointRecord } from '@polymode/db';
import { samplingBytes } from '@polymode/policy';
import { findBaseModel } from '@polymode/policy/registry';
import { createTrainer } from '@polymode/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ModelPool } from '../../dist/inference/model-pool.js';
import { openModelSource } from '../../dist/inference/model-source.js';
import { pieceOf, segmentOf } from '../../dist/inference/pace.js';
import { chat, openPlace, type Place, referencePolicy, TINY, text, trainedBytes } from './place.js';

let place: Place;
let adapters: [CheckpointRecord, CheckpointRecord];
let fully: CheckpointRecord;
/** of the base model's weights */
let baseBytes: number;
let config: Parameters<typeof samplingBytes>[0];

beforeAll(async () => {
  place = await openPlace();
  adapters = [await place.checkpoint('lora', 1), await place.checkpoint('lora', 2)];
  fully = await place.checkpoint('full', 3);
  const reference = await referencePolicy(place, null);
  baseBytes = reference.bytes;
  config = reference.policy.config;
  await reference.close();
});
afterAll(async () => {
  await place?.close();
});

const question = chat('Say 3.');
const said = (checkpoint: CheckpointRecord | null, maxTokens = 20) => ({
  input: question,
  checkpointId: checkpoint?.id ?? null,
  temperature: 0,
  maxTokens,
});

/** Of the base model's shape, for a short prompt and so many tokens. */
function cacheBytes(maxTokens: number): number {
  return samplingBytes(config, { prompts: 1, promptTokens: 6, rows: 1, maxTokens, pieceTokens: 256 });
}

/** What a model by itself says, greedily. */
async function expectedOf(checkpoint: CheckpointRecord | null): Promise<{ text: string; first: number }> {
  const { policy, tokenizer, close } = await referencePolicy(place, checkpoint);
  const prompt = tokenizer.encodeChat([{ role: 'user', content: 'Say 3.' }]);
  const options = { maxTokens: 20, temperature: 0, stopTokens: tokenizer.stopTokens };
  const [completions] = await policy.sample([prompt], 1, () => new Float32Array(20).fill(0.5), options);
  await close();
  const { tokens, logProbabilities } = completions![0]!;
  return { text: tokenizer.decode(tokens), first: logProbabilities[0]! };
}

async function modelBytes(server: Awaited<ReturnType<Place['serve']>>): Promise<number> {
  return (await server.metrics()).polymode_inference_model_bytes!;
}

describe('models', () => {
  it('of a base, two adapters over it and full weights answer as each does alone, with one copy of the base', async () => {
    const server = await place.serve();
    expect(await server.models()).toEqual([]);
    const all = [null, ...adapters, fully];
    const made = await Promise.all(
      all.map(async (c) => {
        const { events, texts } = await server.generate({ ...said(c), logprobs: 0 });
        const told = events.flatMap((e) => (e.type === 'delta' ? (e.logprobs ?? []) : []));
        return { text: texts[0], first: told[0]!.logprob! };
      }),
    );
    for (const [i, checkpoint] of all.entries()) {
      const expected = await expectedOf(checkpoint);
      expect(made[i]!.text).toBe(expected.text);
      expect(made[i]!.first).toBeCloseTo(expected.first, 5);
      for (const other of made.slice(i + 1)) expect(Math.abs(made[i]!.first - other.first)).toBeGreaterThan(1e-3);
    }
    expect(await server.models()).toEqual([TINY, ...all.slice(1).map((c) => c!.id)].sort());
    const own = adapters.map((a) => trainedBytes(a)).reduce((a, b) => a + b, 0) + trainedBytes(fully);
    // Files have headers; weights in memory have not.
    expect(await modelBytes(server)).toBeLessThan(baseBytes + own);
    expect(await modelBytes(server)).toBeGreaterThan(2 * baseBytes);
    expect(await modelBytes(server)).toBeLessThan(2.5 * baseBytes);
  });

  it('are loaded once for all who ask at the same time', async () => {
    const server = await place.serve();
    await Promise.all(Array.from({ length: 8 }, (_, i) => server.generate(said(adapters[i % 2]!))));
    const counted = await server.metrics();
    expect(counted['polymode_inference_model_load_seconds_count{base_model="polymode-tiny"}']).toBe(3);
  });

  it('are let go when room is needed, the one used longest ago first, and come back', async () => {
    const server = await place.serve({ memoryBytes: Math.floor(2.2 * baseBytes) + cacheBytes(20) });
    const first = (await server.generate(said(adapters[0]))).texts;
    await server.generate(said(fully));
    expect(await server.models()).toEqual([TINY, adapters[0].id, fully.id].sort());
    // A second fully trained model: of the others the adapter was used first, and then its base is free to go.
    const another = await place.checkpoint('full', 7);
    await server.generate(said(another));
    expect(await server.models()).toEqual([another.id, fully.id].sort());
    expect((await server.generate(said(adapters[0]))).texts).toEqual(first);
    expect(await server.models()).toEqual([TINY, adapters[0].id, another.id].sort());
    expect(await modelBytes(server)).toBeLessThanOrEqual(2.2 * baseBytes);
  });

  it('that do not fit are refused with what to change, alone or with what they are asked to say', async () => {
    const small = await place.serve({ memoryBytes: Math.floor(0.5 * baseBytes) });
    await expect(small.generate(said(null))).rejects.toMatchObject({
      status: 503,
      failure: { code: 'insufficient_memory', param: null },
      message: expect.stringMatching(/^polymode-tiny needs [\d.]+ MiB .*POLYMODE_INFERENCE_MEMORY_MB/),
    });
    const some = await place.serve({ memoryBytes: baseBytes + cacheBytes(20) - 1 });
    await expect(some.generate(said(null))).rejects.toMatchObject({
      status: 503,
      failure: { code: 'insufficient_memory' },
      message: expect.stringMatching(/^A prompt of \d+ tokens with 20 more needs .*POLYMODE_INFERENCE_MEMORY_MB/),
    });
  });

  it('wait for completions of others to end where these leave no room, and answer then', async () => {
    const server = await place.serve({ memoryBytes: baseBytes + cacheBytes(900) });
    const { texts } = await (await place.serve()).generate(said(fully));
    const hangUp = new AbortController();
    const input = text('a');
    const endless = { input, n: 8, maxTokens: 900, logitBias: [[0, -100]] as [number, number][] };
    const reader = (await server.post(endless, { signal: hangUp.signal })).body!.getReader();
    await reader.read();
    let answered = false;
    const other = server.generate(said(fully)).then((answer) => {
      answered = true;
      return answer;
    });
    await reader.read();
    expect([answered, await server.models()]).toEqual([false, [TINY]]);
    hangUp.abort();
    await expect(reader.read()).rejects.toThrow();
    expect((await other).texts).toEqual(texts);
    await server.generate({ ...said(fully), maxTokens: 820 });
    expect(await server.models()).toEqual([fully.id]);
  });

  it('that wait for each other answer one after the other, but for one that is told to come again', async () => {
    // Room for two models, or for one and a completion.
    const server = await place.serve({ memoryBytes: Math.floor(1.5 * baseBytes) + cacheBytes(20) });
    const asked = [null, fully].map((checkpoint) => server.generate(said(checkpoint)));
    const refused = (await Promise.allSettled(asked)).filter((one) => one.status === 'rejected');
    for (const { reason } of refused) {
      expect(reason).toMatchObject({ status: 503, message: expect.stringMatching(/models that are in use/) });
    }
    expect(refused.length).toBeLessThanOrEqual(1);
    for (const checkpoint of [null, fully]) expect((await server.generate(said(checkpoint))).texts).toHaveLength(1);
  });

  it('never have more of the budget together than there is, however many ask, and say what each says alone', async () => {
    const memoryBytes = 3 * baseBytes + cacheBytes(60);
    const server = await place.serve({ memoryBytes });
    const requests = Array.from({ length: 12 }, (_, i) => ({
      ...{ ...said([null, fully, adapters[0]][i % 3]!), temperature: 1, seed: i },
      ...{ maxTokens: i === 5 ? null : 20 + 3 * i, logitBias: (i % 2 === 0 ? [[0, -100]] : []) as [number, number][] },
    }));
    let most = 0;
    let watching = true;
    const watch = (async () => {
      while (watching) {
        const figures = await server.metrics();
        most = Math.max(most, figures.polymode_inference_model_bytes! + figures.polymode_inference_cache_bytes!);
      }
    })();
    const together = await Promise.all(requests.map((request) => server.generate(request)));
    watching = false;
    await watch;
    expect(most).toBeLessThanOrEqual(memoryBytes);
    expect(most).toBeGreaterThan(0.5 * memoryBytes);
    for (const [i, request] of requests.entries()) {
      expect((await server.generate(request)).texts).toEqual(together[i]!.texts);
    }
    await expect.poll(async () => (await server.metrics()).polymode_inference_cache_bytes).toBe(0);
  });

  it('whose checkpoint was deleted are not found any more, loaded or not', async () => {
    const server = await place.serve();
    const checkpoint = await place.checkpoint('lora', 5);
    await server.generate(said(checkpoint));
    await place.db.checkpoint.update({ where: { id: checkpoint.id }, data: { deletedAt: new Date() } });
    await expect(server.generate(said(checkpoint))).rejects.toMatchObject({
      status: 404,
      failure: { code: 'model_not_found', param: 'model' },
    });
    expect(await server.models()).toEqual([TINY]);
    await server.generate(said(null));
  });

  it('that cannot be loaded fail all who wait, and are tried again', async () => {
    const server = await place.serve();
    const dir = join(place.dir, 'models', 'mine');
    mkdirSync(join(place.dir, 'models'), { recursive: true });
    await cp(findBaseModel(TINY)!.path, dir, { recursive: true });
    renameSync(join(dir, 'tokenizer.json'), join(dir, 'hidden'));
    const ask = () => server.generate({ input: text('one'), model: 'mine', baseModel: 'mine' });
    const failed = await Promise.allSettled([ask(), ask()]);
    for (const one of failed) {
      expect(one).toMatchObject({
        status: 'rejected',
        reason: { status: 500, message: expect.stringMatching(/tokenizer.json/) },
      });
    }
    expect(await modelBytes(server)).toBe(0);
    renameSync(join(dir, 'hidden'), join(dir, 'tokenizer.json'));
    expect((await ask()).events.at(-1)).toEqual({ type: 'end' });
    expect(await server.models()).toEqual(['mine']);
  });

  it('come back on a new engine when theirs has failed', async () => {
    const engines: Engine[] = [];
    const pool = new ModelPool({
      source: openModelSource(place.db, place.storage, []),
      openEngine: () => {
        engines.push(new Engine());
        return engines.at(-1)!;
      },
      budgetBytes: 2 ** 30,
    });
    const say = async () => {
      const { model, release } = await pool.lease({ baseModel: TINY, checkpointId: adapters[0].id });
      try {
        const options = { maxTokens: 8, stopTokens: [], temperature: 0 };
        return (await model.batch.add({ prompt: [40, 41, 42], random: 1, options }).completions)[0]!.tokens;
      } finally {
        release();
      }
    };
    const expected = await say();
    await engines[0]!.close();
    expect(await say()).toEqual(expected);
    expect(engines).toHaveLength(2);
    expect(pool.loaded).toEqual([TINY, adapters[0].id].sort());
    await pool.close();
    expect(engines[1]!.ended).toBe(true);
    await expect(pool.lease({ baseModel: TINY, checkpointId: null })).rejects.toThrow('this worker is stopping');
  });

  it('and the engine go when nothing was asked for long, and come back', async () => {
    const server = await place.serve({ idleSeconds: 0.05 });
    const { texts } = await server.generate(said(adapters[1]));
    await expect.poll(() => server.models(), { timeout: 20_000 }).toEqual([]);
    expect(await modelBytes(server)).toBe(0);
    expect((await server.generate(said(adapters[1]))).texts).toEqual(texts);
  });
});

it('segments and pieces of prompts are shorter for larger models', () => {
  const parameters = [0.35e6, 25e6, 56e6, 135e6, 500e6, 8e9];
  expect(parameters.map((p) => segmentOf(4 * p))).toEqual([16, 10, 4, 2, 1, 1]);
  expect(parameters.map((p) => pieceOf(4 * p))).toEqual([256, 128, 128, 128, 128, 128]);
});

it('a job that trains in the same process goes on while requests are answered', async () => {
  const server = await place.serve();
  const trainer = await createTrainer({
    method: 'supervised',
    model: { path: findBaseModel(TINY)!.path, name: TINY },
    trainRows: Array.from({ length: 4 }, (_, i) => ({ prompt: `Say ${i}.`, completion: 'no '.repeat(20) })),
    validationRows: [],
    hyperparameters: {
      batch_size: 4,
      max_steps: 200,
      trainable: 'full',
      lora: { rank: 4, alpha: 16, rslora: false, target_modules: 'all-linear' },
      learning_rate: 1e-3,
      lr_schedule: 'constant',
      warmup_steps: 0,
      optimizer: { weight_decay: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-5, max_grad_norm: 1 },
      eval_interval: 200,
      memory_budget_mb: null,
    },
    seed: 1,
  });
  try {
    const expected = (await server.generate({ input: question, n: 4, maxTokens: 200 })).texts;
    let answered = false;
    const answer = server.generate({ input: question, n: 4, maxTokens: 200 }).then((made) => {
      answered = true;
      return made;
    });
    let steps = 0;
    while (!answered && steps < 200) {
      await trainer.runStep();
      steps++;
    }
    expect(steps).toBeGreaterThan(0);
    expect((await answer).texts).toEqual(expected);
  } finally {
    await trainer.close();
  }
});
