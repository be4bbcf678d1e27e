/**
 * Whether serving stays within POLYMODE_INFERENCE_MEMORY_MB: clients ask for completions of all lengths, every eighth says
 * nothing of their length, and a process of its own serves them, whose resident memory is looked at all the while. What one short
 * answer takes beside weights is of node, onnxruntime and compiled graphs, and not of the budget. The last line is JSON.
 *
 *     node apps/worker/bench/memory.mjs [--layers 6] [--budgets 400,700,1200] [--clients 48] [--requests 2] [--most 300] [--threads 1]
 *
 * It is a model of SmolLM2-135M's width with random weights.
 */
import { fork } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { connectDatabase, disconnectDatabase } from '@polymode/db';
import { startTestDatabase } from '@polymode/db/testing';
import { openStorage } from '@polymode/storage';
import { createLogger } from '@polymode/telemetry';
import { makeSyntheticModel } from '../../../packages/trainer/bench/synthetic-model.mjs';
import { startInference } from '../dist/inference/service.js';

if (process.send === undefined) await bench();
else await serve(JSON.parse(process.argv[2]));

async function bench() {
  const text = (value) => ({ type: 'string', default: String(value) });
  const { values } = parseArgs({
    options: {
      layers: text(6),
      budgets: text('400,700,1200'),
      clients: text(48),
      requests: text(2),
      most: text(300),
      threads: text(process.env.POLYMODE_BENCH_THREADS ?? 1),
    },
  });
  const [layers, clients, requests, most, threads] = ['layers', 'clients', 'requests', 'most', 'threads'].map((name) =>
    Number(values[name]),
  );
  const dir = await mkdtemp(join(tmpdir(), 'polymode-bench-'));
  const database = await startTestDatabase();
  const results = [];
  try {
    const path = join(dir, 'models', 'synthetic');
    await makeSyntheticModel(path, layers);
    console.log(
      `${cpus()[0].model}; ${layers} layers; ${clients} clients, ${requests} requests each, up to ${most} tokens`,
    );
    for (const budgetMb of values.budgets.split(',').map(Number)) {
      const settings = { dir, path, databaseUrl: database.url, budgetMb, threads };
      const child = fork(import.meta.filename, [JSON.stringify(settings)], { execArgv: ['--expose-gc'] });
      const told = await new Promise((resolve) => child.once('message', resolve));
      const resident = async () =>
        Number(/^VmRSS:\s+(\d+) kB/m.exec(await readFile(`/proc/${child.pid}/status`, 'utf8'))[1]) / 1024;
      const idle = await resident();
      const figure = async (name) => {
        const figures = await (await fetch(`${told.url}/metrics`)).text();
        return Number(new RegExp(`^polymode_inference_${name} (\\S+)`, 'm').exec(figures)?.[1] ?? 0);
      };
      await ask(told, basename(path), 0, 1);
      // What loading has left lies there until it is collected.
      for (let i = 0; i < 3; i++) {
        child.send('collect');
        await new Promise((resolve) => child.once('message', resolve));
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
      const engine = (await resident()) - idle - (await figure('model_bytes')) / 2 ** 20;
      let [peak, running, promised, watching] = [0, 0, 0, true];
      const watch = (async () => {
        for (; watching; await new Promise((resolve) => setTimeout(resolve, 20))) {
          peak = Math.max(peak, await resident());
          running = Math.max(running, await figure('rows\\{state="running"\\}'));
          promised = Math.max(promised, ((await figure('model_bytes')) + (await figure('cache_bytes'))) / 2 ** 20);
        }
      })();
      const began = performance.now();
      let tokens = 0;
      const outcomes = {};
      await Promise.all(
        Array.from({ length: clients }, async (_, client) => {
          for (let i = 0; i < requests; i++) {
            const n = client * requests + i;
            const { said, outcome } = await ask(told, basename(path), n, most);
            tokens += said;
            outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
          }
        }),
      );
      const seconds = (performance.now() - began) / 1000;
      watching = false;
      await watch;
      child.send('stop');
      await new Promise((resolve) => child.once('exit', resolve));
      const result = {
        budgetMb,
        residentMb: peak - idle - engine,
        engineMb: engine,
        promisedMb: promised,
        rows: running,
        tokensPerSecond: tokens / seconds,
        outcomes,
      };
      results.push(result);
      console.log(
        `budget ${budgetMb} MiB: resident ${result.residentMb.toFixed(0)} beside ${(idle + engine).toFixed(0)} of node and the engine, promised ${promised.toFixed(0)}, ` +
          `${running} rows at most, ${result.tokensPerSecond.toFixed(0)} tokens/s, ${JSON.stringify(outcomes)}`,
      );
    }
    console.log(JSON.stringify({ results, layers, clients, requests, most, threads, node: process.versions.node }));
  } finally {
    await database.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

async function ask({ url, token }, model, n, most) {
  const length = most > 1 && n % 8 === 7 ? null : 1 + ((n * 89) % most);
  const prompt = Array.from({ length: 8 + ((n * 37) % 200) }, (_, k) => 3 + ((7 * n + 31 * k) % 40_000));
  const response = await fetch(`${url}/generate`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({
      ...{ model, baseModel: model, checkpointId: null, input: { type: 'tokens', tokens: prompt }, n: 1, seed: n },
      ...{ maxTokens: length, temperature: 1, topP: 1, presencePenalty: 0, frequencyPenalty: 0 },
      // Those that say nothing of their length end by themselves after some 100 tokens.
      ...{
        logitBias: length === null ? [[0, 6]] : [],
        stop: [],
        logprobs: null,
        echo: false,
        format: { type: 'text' },
      },
    }),
  });
  const text = await response.text();
  if (response.status !== 200) return { said: 0, outcome: response.status };
  return { said: Number(/"finish".*"tokens":(\d+)/.exec(text)?.[1] ?? 0), outcome: 200 };
}

async function serve({ dir, path, databaseUrl, budgetMb, threads }) {
  const db = connectDatabase(databaseUrl);
  const owner = `bench ${budgetMb}`;
  const service = await startInference({
    config: {
      ...{ host: '127.0.0.1', port: 0, url: undefined, threads, memoryBytes: budgetMb * 2 ** 20, idleSeconds: 3600 },
      metricsToken: undefined,
    },
    db,
    storage: openStorage({ dir: join(dir, 'storage') }),
    logger: createLogger({ name: 'worker', level: 'silent' }),
    modelDirs: [path],
    device: { provider: 'cpu', deviceId: 0, why: 'asked for' },
    owner,
  });
  const { token } = await db.inferenceWorker.findUniqueOrThrow({ where: { id: owner } });
  process.on('message', async (wish) => {
    if (wish === 'collect') {
      globalThis.gc();
      process.send('collected');
      return;
    }
    await service.stop();
    await disconnectDatabase(db);
    process.disconnect();
  });
  process.send({ url: service.url, token });
}
