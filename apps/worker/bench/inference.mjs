/**
 * What serving costs: requests and tokens a second, and the time to the first token, of clients that each ask again as soon as
 * they are answered; beside the sampler alone doing the same, which is the limit; for several lengths of a segment. The last
 * line is JSON. Server and clients share this process and its cores.
 *
 *     node apps/worker/bench/inference.mjs [--model FOLDER] [--layers 30] [--clients 1,4,16] [--segments 1,2,4,8,16]
 *       [--prompt-tokens 64] [--tokens 64] [--requests 6] [--threads 1]
 *
 * Without --model it is the model that ships; with --layers one of SmolLM2-135M's shape with random weights.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { Engine } from '@polymode/autodiff';
import { connectDatabase, disconnectDatabase } from '@polymode/db';
import { startTestDatabase } from '@polymode/db/testing';
import { Policy, RunningBatch, readModel, tokenizerOf } from '@polymode/policy';
import { findBaseModel } from '@polymode/policy/registry';
import { openStorage } from '@polymode/storage';
import { createLogger } from '@polymode/telemetry';
import { makeSyntheticModel } from '../../../packages/trainer/bench/synthetic-model.mjs';
import { startInference } from '../dist/inference/service.js';

const text = (value) => ({ type: 'string', default: String(value) });
const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    layers: { type: 'string' },
    clients: text('1,4,16'),
    segments: text('1,2,4,8,16'),
    'prompt-tokens': text(64),
    tokens: text(64),
    requests: text(6),
    threads: text(process.env.POLYMODE_BENCH_THREADS ?? 1),
  },
});
const list = (names) => names.split(',').map(Number);
const [promptTokens, tokens, requests, threads] = ['prompt-tokens', 'tokens', 'requests', 'threads'].map((name) =>
  Number(values[name]),
);

const dir = await mkdtemp(join(tmpdir(), 'polymode-bench-'));
try {
  let folder = values.model ?? findBaseModel('polymode-tiny').path;
  if (values.layers !== undefined) {
    folder = join(dir, 'models', 'synthetic');
    await makeSyntheticModel(folder, Number(values.layers));
  }
  const { config, otherFiles } = await readModel(folder);
  const { stopTokens } = await tokenizerOf(otherFiles);
  const never = stopTokens.map((token) => [token, -1000]);
  /** Of request i: half to one and a half times as many as asked for, so that requests do not all end together. */
  const lengthOf = (i) => Math.round(tokens * (0.5 + ((i * 0.618034) % 1)));
  const prompt = (i) => Array.from({ length: promptTokens }, (_, k) => 3 + ((7 * i + 31 * k) % (config.vocabSize - 3)));
  console.log(
    `${cpus()[0].model}, ${threads} thread${threads === 1 ? '' : 's'}; ${basename(folder)}; prompts of ${promptTokens}, completions of ${tokens} tokens on average, ` +
      `${requests} a client`,
  );

  const results = [];
  for (const segmentTokens of list(values.segments)) {
    for (const clients of list(values.clients)) {
      const alone = await measure(clients, await openBatch(folder, segmentTokens));
      const served = await measure(clients, await openServer(folder, segmentTokens));
      results.push({ segmentTokens, clients, alone, served, share: served.tokensPerSecond / alone.tokensPerSecond });
      const ms = (seconds) => `${(1000 * seconds).toFixed(0)} ms`.padStart(8);
      console.log(
        `segments of ${String(segmentTokens).padStart(2)}, ${String(clients).padStart(3)} clients: ` +
          `${served.requestsPerSecond.toFixed(1).padStart(6)} requests/s ${served.tokensPerSecond.toFixed(0).padStart(6)} tokens/s ` +
          `(sampler alone ${alone.tokensPerSecond.toFixed(0).padStart(6)}), processor ${served.processorMsPerToken.toFixed(3)} ms a token ` +
          `(${alone.processorMsPerToken.toFixed(3)}), first token p50 ${ms(served.firstTokenP50)} ` +
          `p99 ${ms(served.firstTokenP99)}, pause between deltas p50 ${ms(served.pauseP50)}`,
      );
    }
  }
  const { node } = process.versions;
  console.log(JSON.stringify({ results, model: basename(folder), promptTokens, tokens, threads, node }));

  /** @param ask does one request, and calls `heard` for each piece of it */
  async function measure(clients, { ask, close }) {
    await Promise.all(Array.from({ length: clients }, (_, i) => ask(prompt(i), 1000 + i, () => {})));
    const firsts = [];
    const pauses = [];
    let said = 0;
    const began = performance.now();
    const used = process.cpuUsage();
    await Promise.all(
      Array.from({ length: clients }, async (_, client) => {
        for (let i = 0; i < requests; i++) {
          let last = performance.now();
          let first = true;
          said += lengthOf(client * requests + i);
          await ask(prompt(client + i), client * requests + i, () => {
            const now = performance.now();
            (first ? firsts : pauses).push((now - last) / 1000);
            first = false;
            last = now;
          });
        }
      }),
    );
    const seconds = (performance.now() - began) / 1000;
    const { user, system } = process.cpuUsage(used);
    await close();
    const answered = clients * requests;
    return {
      requestsPerSecond: answered / seconds,
      tokensPerSecond: said / seconds,
      // Of server and clients; says the same on a busy machine.
      processorMsPerToken: (user + system) / 1000 / said,
      firstTokenP50: quantile(firsts, 0.5),
      firstTokenP99: quantile(firsts, 0.99),
      pauseP50: quantile(pauses, 0.5),
    };
  }

  async function openBatch(path, segmentTokens) {
    const { config, weights } = await readModel(path);
    const engine = new Engine({ threads });
    const policy = new Policy(config, engine, { paddingToken: 0 });
    await policy.moveWeights(weights);
    const batch = new RunningBatch(policy, { segmentTokens });
    return {
      ask: async (prompt, seed, heard) => {
        const options = { maxTokens: lengthOf(seed), stopTokens: [], logitBias: new Map(never) };
        await batch.add({ prompt, random: seed, options, onProgress: heard }).completions;
      },
      close: async () => {
        await batch.close();
        await engine.close();
      },
    };
  }

  async function openServer(path, segmentTokens) {
    const database = await startTestDatabase();
    const db = connectDatabase(database.url);
    const service = await startInference({
      config: {
        ...{ host: '127.0.0.1', port: 0, url: undefined, threads, memoryBytes: 8 * 2 ** 30, idleSeconds: 3600 },
        ...{ metricsToken: undefined, segmentTokens },
      },
      db,
      storage: openStorage({ dir: join(dir, 'storage') }),
      logger: createLogger({ name: 'worker', level: 'silent' }),
      modelDirs: [path],
      device: { provider: 'cpu', deviceId: 0, why: 'asked for' },
      owner: 'bench',
    });
    const { token } = await db.inferenceWorker.findFirstOrThrow();
    const model = basename(path);
    return {
      ask: async (prompt, seed, heard) => {
        const response = await fetch(`${service.url}/generate`, {
          method: 'POST',
          headers: { authorization: `Bearer ${token}` },
          body: JSON.stringify({
            ...{ model, baseModel: model, checkpointId: null, input: { type: 'tokens', tokens: prompt }, n: 1, seed },
            ...{ maxTokens: lengthOf(seed), temperature: 1, topP: 1, presencePenalty: 0, frequencyPenalty: 0 },
            ...{ logitBias: never, stop: [], logprobs: null, echo: false, format: { type: 'text' } },
          }),
        });
        let said = '';
        for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
          said += chunk;
          if (chunk.includes('"delta"')) heard();
        }
        if (!said.includes(`"tokens":${lengthOf(seed)}`)) throw new Error(`the server said ${said.slice(-500)}`);
      },
      close: async () => {
        await service.stop();
        await disconnectDatabase(db);
        await database.stop();
      },
    };
  }
} finally {
  await rm(dir, { recursive: true, force: true });
}

function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}
