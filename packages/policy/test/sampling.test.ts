import { Engine, type ExecutionProvider } from '@polymode/autodiff';
import { findWebGpu } from '@polymode/autodiff/testing';
import {
  type Completion,
  initialAdapter,
  type ModelConfig,
  Policy,
  promptLogProbabilities,
  RunningBatch,
  type RunningBatchOptions,
  type SamplingOptions,
} from '@polymode/policy';
import { afterAll, describe, expect, it } from 'vitest';
import { numbers, randomWeights, tinyConfig } from './tiny-policy.js';

const webGpu = findWebGpu();
Object.assign(process.env, webGpu.env);

const engines: Engine[] = [];
afterAll(async () => {
  await Promise.all(engines.map((e) => e.close()));
});
async function openPolicy(
  config: ModelConfig,
  {
    provider = 'cpu',
    threads = 1,
    lora = false,
  }: { provider?: ExecutionProvider; threads?: number; lora?: boolean } = {},
): Promise<Policy> {
  const engine = new Engine({ provider, threads });
  engines.push(engine);
  const adapter = { rank: 3, alpha: 6, rslora: false, targetModules: 'all-linear' } as const;
  const policy = new Policy(config, engine, { paddingToken: 0, ...(lora ? { lora: adapter } : {}) });
  await policy.setWeights(randomWeights(config, 21));
  if (lora) {
    const next = numbers(4);
    const fresh = initialAdapter(config, adapter, 1);
    // B is zero in a fresh adapter, which would then do nothing.
    await policy.setAdapter(
      Object.fromEntries(
        Object.entries(fresh).map(([name, { shape, data }]) => [name, { shape, data: data.map(() => next() - 0.5) }]),
      ),
    );
  }
  return policy;
}

const gpt2 = tinyConfig({
  family: 'gpt2',
  numKeyValueHeads: 4,
  headDim: 6,
  rotary: null,
  maxPositionEmbeddings: 160,
});
const long = { maxPositionEmbeddings: 160 };
const models: Record<string, [ModelConfig, { threads?: number; lora?: boolean }]> = {
  llama: [tinyConfig(long), {}],
  'llama with an adapter, on two threads': [tinyConfig(long), { lora: true, threads: 2 }],
  'sliding windows': [
    tinyConfig({ ...long, family: 'mistral', slidingWindows: [11, null, 30], numHiddenLayers: 3 }),
    {},
  ],
  gpt2: [gpt2, {}],
};

/** Requests of different prompts, lengths and options, with one completion each. */
function makeRequests(count: number): { prompt: number[]; seed: number; options: SamplingOptions }[] {
  const next = numbers(77);
  const whole = (below: number): number => Math.floor(next() * below);
  const words = Uint32Array.of(0b0111_1111_0111_1011_1110);
  const kinds: Partial<SamplingOptions>[] = [
    {},
    { temperature: 0.6 },
    { temperature: 0 },
    { topK: 5, topP: 0.9 },
    { minP: 0.2, temperature: 1.5 },
    { repetitionPenalty: 1.4, presencePenalty: 0.3, frequencyPenalty: 0.2 },
    { logitBias: new Map([[3, 2]]), alternatives: 4 },
    { temperature: 0.7, reportedTemperature: 1, alternatives: 2 },
    { allowed: (tokens) => (tokens.length % 2 === 0 ? words : null) },
  ];
  return Array.from({ length: count }, (_, i) => ({
    prompt: Array.from({ length: 1 + whole(i % 5 === 0 ? 80 : 14) }, () => whole(23)),
    seed: 1000 + i,
    // Some stop early, and some outlast two growths of their cache.
    options: {
      maxTokens: i % 7 === 0 ? 75 : 3 + whole(30),
      stopTokens: i % 2 === 0 ? [7] : [],
      ...kinds[i % kinds.length],
    },
  }));
}

async function together(
  policy: Policy,
  requests: ReturnType<typeof makeRequests>,
  bounds: RunningBatchOptions = {},
): Promise<Completion[]> {
  const batch = new RunningBatch(policy, bounds);
  const all = requests.map(({ prompt, seed, options }) => batch.add({ prompt, random: seed, options }));
  const made = await Promise.all(all.map((r) => r.completions));
  await batch.close();
  return made.map(([completion]) => completion!);
}

describe.each(Object.entries(models))('a completion of %s', (_, [config, settings]) => {
  const requests = makeRequests(24);

  it('has the same tokens and log-probabilities, to the bit, whatever else is in the batch', async () => {
    const policy = await openPolicy(config, settings);
    const made = await together(policy, requests);
    const reversed = (await together(policy, requests.toReversed())).toReversed();
    expect(reversed).toEqual(made);
    for (const i of [0, 5, 6, 7, 11, 14, 16]) {
      const [alone] = await together(policy, [requests[i]!]);
      expect(alone, `request ${i}`).toEqual(made[i]);
    }

    // And when it joins late, while others leave.
    const batch = new RunningBatch(policy, { maxRows: 5 });
    const later: Promise<Completion[]>[] = [];
    const waiting = requests.slice(1);
    const joinOne = (): void => {
      const next = waiting.shift();
      if (next === undefined) return;
      const { prompt, seed, options } = next;
      later.push(batch.add({ prompt, random: seed, options, onProgress: joinOne }).completions);
    };
    const { prompt, seed, options } = requests[0]!;
    const first = batch.add({ prompt, random: seed, options, onProgress: joinOne }).completions;
    const staggered = [(await first)[0]!];
    while (staggered.length < requests.length) {
      joinOne();
      staggered.push((await later[staggered.length - 1]!)[0]!);
    }
    await batch.close();
    expect(staggered).toEqual(made);
  });

  it('has the log-probabilities that training computes', async () => {
    const policy = await openPolicy(config, settings);
    const made = await together(policy, requests);
    for (const [i, { tokens, logProbabilities }] of made.entries()) {
      const { prompt, options } = requests[i]!;
      const temperature = options.reportedTemperature ?? (options.temperature || 1);
      const scored = await policy.logProbabilities([{ prompt, completion: tokens }], temperature);
      const error = Math.max(...scored.map((l, c) => Math.abs(l - logProbabilities[c]!)));
      expect(error, `request ${i}`).toBeLessThan(3e-5);
    }
  });
});

describe.each(Object.entries(models))('a long prompt of %s, read in pieces', (_, [shape, settings]) => {
  const config = { ...shape, maxPositionEmbeddings: 420 } as ModelConfig;
  const whole = numbers(5);
  const prompt = (length: number): number[] => Array.from({ length }, () => Math.floor(whole() * 23));
  // Shorter than a piece, of whole pieces, a token more, and up to the end of the context.
  const lengths = [9, 64, 65, 128, 129, 200, 30, 257, 320, 400, 65];
  const requests = lengths.map((length, i) => ({
    prompt: prompt(length),
    seed: i,
    options: {
      maxTokens: length === 400 ? 20 : 12 + i,
      stopTokens: [],
      ...(i % 4 === 3 ? { allowed: () => null } : {}),
    },
  }));
  const pieces = { pieceTokens: 64 };

  it('has the log-probabilities of one that is read in one go', async () => {
    const policy = await openPolicy(config, settings);
    const made = await together(policy, requests, pieces);
    for (const [i, { tokens, logProbabilities }] of made.entries()) {
      const scored = await policy.logProbabilities([{ prompt: requests[i]!.prompt, completion: tokens }], 1);
      const error = Math.max(...scored.map((l, c) => Math.abs(l - logProbabilities[c]!)));
      expect(error, `a prompt of ${lengths[i]}`).toBeLessThan(3e-5);
    }
    const atOnce = await together(policy, requests);
    expect(made.map((c) => c.tokens)).toEqual(atOnce.map((c) => c.tokens));
  });

  it('is answered the same, to the bit, whatever else is read and said meanwhile', async () => {
    const policy = await openPolicy(config, settings);
    const made = await together(policy, requests, pieces);
    expect((await together(policy, requests.toReversed(), pieces)).toReversed()).toEqual(made);
    for (const i of [2, 5, 9]) expect(await together(policy, [requests[i]!], pieces)).toEqual([made[i]]);
    expect(await together(policy, requests, { ...pieces, maxRows: 3 })).toEqual(made);
  });
});

describe('prompts read in pieces', () => {
  it('let others speak in between', async () => {
    const policy = await openPolicy(tinyConfig({ maxPositionEmbeddings: 2000 }));
    const batch = new RunningBatch(policy, { pieceTokens: 64, segmentTokens: 1 });
    const heard: string[] = [];
    const options = { stopTokens: [], maxTokens: 60 };
    const note = (who: string) => () => heard.push(who);
    const speaking = batch.add({
      prompt: [1],
      random: 1,
      options: { ...options, maxTokens: 200 },
      onProgress: note('a'),
    });
    while (heard.length === 0) await new Promise((resolve) => setImmediate(resolve));
    heard.length = 0;
    const prompt = Array.from({ length: 64 * 25 }, (_, i) => i % 23);
    const long = batch.add({ prompt, random: 2, options, onProgress: note('long') });
    const short = batch.add({ prompt: [7, 7], random: 3, options, onProgress: note('short') });
    await Promise.all([speaking, long, short].map((r) => r.completions));
    // Of 25 pieces each stops the others for a segment's time or for one piece.
    expect(heard.indexOf('short')).toBeLessThan(heard.indexOf('long'));
    expect(heard.slice(0, heard.indexOf('long')).filter((who) => who === 'a').length).toBeGreaterThan(2);
    await batch.close();
  });

  it('are given up when nobody waits for them, and leave nothing in the engine', async () => {
    const policy = await openPolicy(tinyConfig({ maxPositionEmbeddings: 2000 }));
    const batch = new RunningBatch(policy, { pieceTokens: 64, segmentTokens: 1 });
    const before = (await policy.engine.memory()).variableCount;
    const options = { stopTokens: [], maxTokens: 40 };
    const prompt = Array.from({ length: 1900 }, (_, i) => i % 23);
    const speaking = batch.add({ prompt: [1], random: 1, options, onProgress: () => given.cancel() });
    const given = batch.add({ prompt, random: 2, options });
    expect((await given.completions)[0]!.tokens).toEqual([]);
    expect((await speaking.completions)[0]!.tokens).toHaveLength(40);
    await batch.close();
    expect((await policy.engine.memory()).variableCount).toBe(before);
  });

  it('end at multiples of 64', async () => {
    const policy = await openPolicy(tinyConfig());
    for (const pieceTokens of [0, 32, 65])
      expect(() => new RunningBatch(policy, { pieceTokens })).toThrow('pieceTokens');
  });
});

describe('a group', () => {
  it('gives each sample its own random numbers and options, and one prompt said twice the same answers', async () => {
    const policy = await openPolicy(tinyConfig());
    const prompts = [
      [1, 2, 3],
      [1, 2, 3],
      [9, 9],
    ];
    const uniforms = (_: number, sample: number): Float32Array => {
      const next = numbers(sample + 1);
      return Float32Array.from({ length: 12 }, () => 0.001 + 0.998 * next());
    };
    const groups = await policy.sample(prompts, 5, uniforms, (prompt, sample) => ({
      maxTokens: 2 + sample,
      stopTokens: [],
      temperature: prompt === 2 ? 0 : 1,
    }));
    expect(groups[1]).toEqual(groups[0]);
    expect(groups.map((g) => g.map((c) => c.tokens.length))).toEqual([2, 3, 4].map(() => [2, 3, 4, 5, 6]));
    expect(new Set(groups[0]!.map((c) => c.tokens.slice(0, 2).join())).size).toBeGreaterThan(1);
    // Greedy samples are prefixes of one another.
    for (const c of groups[2]!) expect(groups[2]![4]!.tokens.slice(0, c.tokens.length)).toEqual(c.tokens);
  });

  it('is drawn anew by another seed, and again by the same', async () => {
    const policy = await openPolicy(tinyConfig());
    const batch = new RunningBatch(policy);
    const options = { maxTokens: 20, stopTokens: [] };
    const draw = (seed: number) => batch.add({ prompt: [4, 5], n: 3, random: seed, options }).completions;
    const [a, b] = await Promise.all([draw(1), draw(2)]);
    expect(await draw(1)).toEqual(a);
    expect(b).not.toEqual(a);
    expect(a![0]).not.toEqual(a![1]);
    await batch.close();
  });
});

describe('a running batch', () => {
  it('draws a request with more rows than it holds in turns', async () => {
    const policy = await openPolicy(tinyConfig());
    const request = { prompt: [3, 1, 4], n: 23, random: 6, options: { maxTokens: 30, stopTokens: [2, 5] } };
    const made = await Promise.all(
      [256, 5].map(async (maxRows) => {
        const batch = new RunningBatch(policy, { maxRows });
        const completions = await batch.add(request).completions;
        await batch.close();
        return completions;
      }),
    );
    expect(made[1]).toEqual(made[0]);
  });

  const decode = (tokens: readonly number[]): string => tokens.map((t) => String.fromCharCode(97 + t)).join('');

  it('ends a completion at a stop string, cuts its text there, and streams nothing of it', async () => {
    const policy = await openPolicy(tinyConfig());
    const batch = new RunningBatch(policy);
    const options = { maxTokens: 50, stopTokens: [], decode, alternatives: 2 };
    const [free] = await batch.add({ prompt: [2, 3], random: 9, options }).completions;
    expect(free!.text).toBe(decode(free!.tokens));
    const stop = free!.text!.slice(21, 24);
    const end = free!.text!.indexOf(stop);
    const pieces: string[] = [];
    const [stopped] = await batch.add({
      prompt: [2, 3],
      random: 9,
      options: { ...options, stopStrings: ['not there', stop] },
      onProgress: (_, { text }) => pieces.push(text!),
    }).completions;
    expect(stopped).toEqual({
      tokens: free!.tokens.slice(0, end + 3),
      logProbabilities: free!.logProbabilities.slice(0, end + 3),
      alternatives: free!.alternatives!.slice(0, end + 3),
      finishReason: 'stop',
      text: free!.text!.slice(0, end),
    });
    expect(pieces.join('')).toBe(stopped!.text);
    expect(pieces.length).toBeGreaterThan(1);
    await batch.close();
  });

  it('asks a mask before every token, and says nothing that it forbids', async () => {
    const policy = await openPolicy(tinyConfig());
    const asked: number[] = [];
    const batch = new RunningBatch(policy);
    const [made] = await batch.add({
      prompt: [1],
      random: 3,
      options: {
        maxTokens: 12,
        stopTokens: [],
        // Token n may be n or n + 10.
        allowed: (tokens) => {
          asked.push(tokens.length);
          return Uint32Array.of((1 << tokens.length) | (1 << (tokens.length + 10)));
        },
      },
    }).completions;
    expect(asked).toEqual(Array.from({ length: 12 }, (_, i) => i));
    for (const [i, token] of made!.tokens.entries()) expect([i, i + 10]).toContain(token);
    await batch.close();
  });

  it('ends what is cancelled, and fails what is left when it is closed', async () => {
    const policy = await openPolicy(tinyConfig());
    const batch = new RunningBatch(policy, { segmentTokens: 4 });
    const options = { maxTokens: 50, stopTokens: [] };
    const one = batch.add({
      prompt: [1],
      random: 1,
      options,
      onProgress: () => one.cancel(),
    });
    const other = batch.add({ prompt: [1, 2], random: 1, options });
    const [cancelled] = await one.completions;
    expect(cancelled!.tokens.length).toBeLessThan(50);
    expect((await other.completions)[0]!.tokens.length).toBe(50);
    const third = batch.add({ prompt: [1, 2], random: 1, options });
    await Promise.all([batch.close(), expect(third.completions).rejects.toThrow('the batch was closed')]);
    expect(() => batch.add({ prompt: [1], random: 1, options })).toThrow('the batch is closed');
  });

  it('goes on after all of it was cancelled', async () => {
    const policy = await openPolicy(tinyConfig());
    const batch = new RunningBatch(policy, { segmentTokens: 4 });
    const options = { maxTokens: 50, stopTokens: [] };
    const [expected] = await batch.add({ prompt: [6], random: 2, options }).completions;
    const stopped = batch.add({ prompt: [1, 2, 3], n: 3, random: 1, options, onProgress: () => stopped.cancel() });
    const never = batch.add({ prompt: [1, 2, 3], random: 1, options });
    never.cancel();
    expect((await never.completions)[0]!.tokens).toEqual([]);
    expect((await stopped.completions).every((c) => c.tokens.length < 50)).toBe(true);
    expect(await batch.add({ prompt: [6], random: 2, options }).completions).toEqual([expected]);
    await batch.close();
  });

  it('fails a request alone whose own functions fail', async () => {
    const policy = await openPolicy(tinyConfig());
    const batch = new RunningBatch(policy);
    const options = { maxTokens: 20, stopTokens: [] };
    const broken = (): never => {
      throw new Error('broken');
    };
    const good = batch.add({ prompt: [1], random: 1, options }).completions;
    const bad = [
      batch.add({ prompt: [1], random: 1, options, onProgress: broken }),
      batch.add({ prompt: [1], random: 1, options: { ...options, decode: broken } }),
      batch.add({ prompt: [1], random: 1, options: { ...options, allowed: broken } }),
      batch.add({ prompt: [1], random: 1, options: { ...options, allowed: () => new Uint32Array(1) } }),
    ];
    const results = await Promise.allSettled(bad.map((r) => r.completions));
    expect(results.map((r) => (r.status === 'rejected' ? r.reason.message : r))).toEqual([
      'broken',
      'broken',
      'broken',
      'a mask allows no token at all; allow a stop token to end the completion',
    ]);
    expect((await good)[0]!.tokens.length).toBe(20);
    await batch.close();
  });

  it('leaves no variables behind', async () => {
    const policy = await openPolicy(tinyConfig());
    const { variableCount } = await policy.engine.memory();
    const batch = new RunningBatch(policy);
    await batch.add({ prompt: [1, 2], n: 20, random: 1, options: { maxTokens: 30, stopTokens: [3] } }).completions;
    await batch.close();
    expect((await policy.engine.memory()).variableCount).toBe(variableCount);
  });

  it('says what to change', async () => {
    const policy = await openPolicy(tinyConfig());
    const batch = new RunningBatch(policy);
    const add = (options: Partial<SamplingOptions>, prompt = [1]) =>
      batch.add({ prompt, random: 1, options: { maxTokens: 4, stopTokens: [], ...options } });
    expect(() => add({}, [])).toThrow('a prompt has no tokens');
    expect(() => add({}, [23])).toThrow('a prompt has token 23, but the vocabulary has 0 to 22');
    expect(() => add({ maxTokens: 64 })).toThrow('1 tokens and 64 more do not fit the context of 64');
    expect(() => add({ maxTokens: 0 })).toThrow('maxTokens is 0, but must be a positive integer');
    expect(() => add({ temperature: -1 })).toThrow('temperature is -1, but must be at least 0');
    expect(() => add({ topP: 0 })).toThrow('topP is 0, but must be above 0 and at most 1');
    expect(() => add({ minP: 2 })).toThrow('minP is 2, but must be from 0 to 1');
    expect(() => add({ repetitionPenalty: 0 })).toThrow('repetitionPenalty is 0, but must be above 0');
    expect(() => add({ alternatives: 21 })).toThrow('alternatives is 21, but must be a whole number from 0 to 20');
    expect(() => add({ logitBias: new Map([[30, 1]]) })).toThrow('logitBias is 30, but must be of tokens from 0 to 22');
    expect(() => add({ stopStrings: ['x'] })).toThrow('must be given with stopStrings');
    await batch.close();
  });
});

it('a prompt may fill the context to its last learned position', async () => {
  const policy = await openPolicy({ ...gpt2, maxPositionEmbeddings: 40 } as ModelConfig);
  const batch = new RunningBatch(policy);
  const prompt = Array.from({ length: 37 }, (_, i) => (5 * i) % 23);
  const [made] = await batch.add({ prompt, random: 1, options: { maxTokens: 3, stopTokens: [] } }).completions;
  await batch.close();
  // Training pads to more positions than there are, too; with a longer table it needs no clamp.
  const scored = await policy.logProbabilities([{ prompt, completion: made!.tokens }], 1);
  const roomy = await openPolicy({ ...gpt2, maxPositionEmbeddings: 160 } as ModelConfig);
  const weights = await policy.weights();
  const table = new Float32Array(160 * 24);
  table.set(weights['transformer.wpe.weight']!.data);
  await roomy.setWeights({ ...weights, 'transformer.wpe.weight': { shape: [160, 24], data: table } });
  const expected = await roomy.logProbabilities([{ prompt, completion: made!.tokens }], 1);
  expect(scored).toEqual(expected);
  for (const [c, l] of expected.entries()) expect(made!.logProbabilities[c]).toBeCloseTo(l, 4);
});

it('a prompt’s own log-probabilities are those that training computes', async () => {
  const policy = await openPolicy(tinyConfig());
  const prompt = [5, 1, 5, 9, 2];
  const logs = await promptLogProbabilities(policy, prompt, 0.7);
  expect(logs[0]).toBeNull();
  for (let t = 1; t < prompt.length; t++) {
    const [expected] = await policy.logProbabilities([{ prompt: prompt.slice(0, t), completion: [prompt[t]!] }], 0.7);
    expect(logs[t]).toBeCloseTo(expected!, 5);
  }
});

describe.runIf(webGpu.available)('on WebGPU', () => {
  it('draws what the CPU draws', async () => {
    const requests = makeRequests(8).map((r) => ({ ...r, options: { ...r.options, maxTokens: 6 } }));
    const [here, there] = [
      await openPolicy(tinyConfig(long)),
      await openPolicy(tinyConfig(long), { provider: 'webgpu' }),
    ];
    const [expected, made] = [await together(here, requests), await together(there, requests)];
    expect(made.map((c) => c.tokens)).toEqual(expected.map((c) => c.tokens));
    const error = Math.max(
      ...made.flatMap((c, i) => [...c.logProbabilities.map((l, t) => Math.abs(l - expected[i]!.logProbabilities[t]!))]),
    );
    expect(error).toBeLessThan(1e-4);
  });
});
