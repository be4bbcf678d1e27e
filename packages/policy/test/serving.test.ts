import { Engine } from '@polymode/autodiff';
import {
  initialAdapter,
  type LoraOptions,
  Policy,
  RunningBatch,
  type SamplingOptions,
  SessionCache,
  scorePrompt,
  type Weights,
} from '@polymode/policy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { numbers, randomWeights, tinyConfig } from './tiny-policy.js';

const config = tinyConfig({ maxPositionEmbeddings: 400 });
const lora: LoraOptions = { rank: 2, alpha: 8, rslora: false, targetModules: 'all-linear' };
let engine: Engine;

beforeAll(() => {
  engine = new Engine();
});
afterAll(async () => {
  await engine.close();
});

function adapterOf(seed: number): Weights {
  const next = numbers(seed);
  const fresh = initialAdapter(config, lora, seed);
  return Object.fromEntries(
    Object.entries(fresh).map(([name, { shape, data }]) => [name, { shape, data: data.map(() => next() - 0.5) }]),
  );
}

async function completionsOf(policy: Policy, options: Partial<SamplingOptions> = {}) {
  const batch = new RunningBatch(policy);
  const prompt = [4, 8, 15];
  const request = batch.add({ prompt, n: 3, random: 11, options: { maxTokens: 20, stopTokens: [], ...options } });
  const completions = await request.completions;
  await batch.close();
  return { prompt, completions };
}

describe('policies that share', () => {
  it('several adapters stand over one model, each as if alone, and leave it when they go', async () => {
    const base = new Policy(config, engine, { prefix: 'base/', paddingToken: 0 });
    await base.setWeights(randomWeights(config, 3));
    const bare = await engine.memory();
    const sessions = new SessionCache(engine);
    const shared: Policy[] = [];
    for (const seed of [1, 2]) {
      const options = { prefix: 'base/', adapterPrefix: `adapter ${seed}/`, paddingToken: 0, lora, sessions };
      const policy = new Policy(config, engine, options);
      await policy.setAdapter(adapterOf(seed));
      shared.push(policy);
    }
    const loaded = await engine.memory();
    const size = Object.values(adapterOf(1)).reduce((n, w) => n + 4 * w.data.length, 0);
    expect(loaded.variables - bare.variables).toBe(2 * size);

    const together = await Promise.all([...shared, base].map((policy) => completionsOf(policy)));
    const compiled = sessions.size;
    for (const [i, seed] of [1, 2].entries()) {
      const alone = new Policy(config, engine, { prefix: 'alone/', paddingToken: 0, lora });
      await alone.setWeights(randomWeights(config, 3));
      await alone.setAdapter(adapterOf(seed));
      expect((await completionsOf(alone)).completions).toEqual(together[i]!.completions);
      await alone.drop();
    }
    expect(together[0]!.completions).not.toEqual(together[1]!.completions);
    expect(together[0]!.completions).not.toEqual(together[2]!.completions);
    await completionsOf(shared[0]!);
    expect(sessions.size).toBe(compiled);

    sessions.clear();
    base.sessions.clear();
    for (const policy of shared) await policy.drop();
    expect((await completionsOf(base)).completions).toEqual(together[2]!.completions);
    expect((await engine.memory()).variables).toBe(bare.variables);
    await base.drop();
    expect((await engine.memory()).variables).toBe(0);
  });
});

describe('log-probabilities that are told', () => {
  let policy: Policy;
  beforeAll(async () => {
    policy = new Policy(config, engine, { prefix: 'told/', paddingToken: 0 });
    await policy.setWeights(randomWeights(config, 5));
  });

  it('are of another temperature than the draw’s where that is asked for', async () => {
    const drawn = await completionsOf(policy, { temperature: 0.6 });
    const told = await completionsOf(policy, { temperature: 0.6, reportedTemperature: 1, alternatives: 3 });
    expect(told.completions.map((c) => c.tokens)).toEqual(drawn.completions.map((c) => c.tokens));
    const sequences = told.completions.map((c) => ({ prompt: told.prompt, completion: c.tokens }));
    const expected = await policy.logProbabilities(sequences, 1);
    const made = told.completions.flatMap((c) => [...c.logProbabilities]);
    expect(Math.max(...made.map((l, i) => Math.abs(l - expected[i]!)))).toBeLessThan(2e-5);
    for (const { tokens, logProbabilities, alternatives } of told.completions) {
      for (const [i, list] of alternatives!.entries()) {
        expect(list).toHaveLength(3);
        const same = list.find((a) => a.token === tokens[i]);
        if (same !== undefined) expect(same.logProbability).toBe(logProbabilities[i]);
        else expect(logProbabilities[i]).toBeLessThanOrEqual(list[2]!.logProbability);
      }
    }
    await expect(completionsOf(policy, { reportedTemperature: 0 })).rejects.toThrow('reportedTemperature is 0');
  });

  it('of a prompt come with the likeliest tokens of each place', async () => {
    const next = numbers(9);
    const prompt = Array.from({ length: 150 }, () => Math.floor(next() * config.vocabSize));
    const { logProbabilities, alternatives } = await scorePrompt(policy, prompt, 4);
    expect(logProbabilities[0]).toBeNull();
    expect(alternatives[0]).toEqual([]);
    const expected = await policy.logProbabilities([{ prompt: prompt.slice(0, 1), completion: prompt.slice(1) }], 1);
    for (let t = 1; t < prompt.length; t++) {
      expect(Math.abs(logProbabilities[t]! - expected[t - 1]!)).toBeLessThan(2e-5);
    }
    // The likeliest tokens at a place: against scores of all tokens there.
    for (const t of [1, 64, 65, 149]) {
      const all = await policy.logProbabilities(
        Array.from({ length: config.vocabSize }, (_, token) => ({ prompt: prompt.slice(0, t), completion: [token] })),
        1,
      );
      const order = [...all.keys()].sort((a, b) => all[b]! - all[a]!).slice(0, 4);
      expect(alternatives[t]!.map((a) => a.token)).toEqual(order);
      for (const { token, logProbability } of alternatives[t]!) {
        expect(Math.abs(logProbability - all[token]!)).toBeLessThan(2e-5);
      }
    }
    expect(await scorePrompt(policy, [7], 2)).toEqual({ logProbabilities: [null], alternatives: [[]] });
  });

  it('of a prompt that fills the context of a model with learned positions are right too', async () => {
    const learned = tinyConfig({
      ...{ family: 'gpt2', numKeyValueHeads: 4, headDim: 6, rotary: null, maxPositionEmbeddings: 70 },
    });
    const own = new Policy(learned, engine, { prefix: 'learned/', paddingToken: 0 });
    await own.setWeights(randomWeights(learned, 4));
    const prompt = Array.from({ length: 70 }, (_, i) => (5 * i) % learned.vocabSize);
    const { logProbabilities } = await scorePrompt(own, prompt, 0);
    for (const t of [1, 40, 69]) {
      const one = [{ prompt: prompt.slice(0, t), completion: [prompt[t]!] }];
      expect(Math.abs(logProbabilities[t]! - (await own.logProbabilities(one, 1))[0]!)).toBeLessThan(2e-5);
    }
    await own.drop();
  });
});

describe('a batch with a bound on the tokens that it holds', () => {
  it('lets requests wait until there is room, and answers them alike', async () => {
    const policy = new Policy(config, engine, { prefix: 'bound/', paddingToken: 0 });
    await policy.setWeights(randomWeights(config, 6));
    const ask = async (maxHeldTokens: number | undefined) => {
      const batch = new RunningBatch(policy, maxHeldTokens === undefined ? {} : { maxHeldTokens });
      let most = 0;
      const requests = [1, 2, 3, 4].map((random) =>
        batch.add({
          prompt: Array.from({ length: 50 }, (_, i) => (i * random) % config.vocabSize),
          random,
          options: { maxTokens: 60, stopTokens: [] },
          onProgress: () => {
            most = Math.max(most, batch.load.running);
          },
        }),
      );
      expect(batch.load).toEqual({ running: 0, waiting: 4 });
      const completions = await Promise.all(requests.map((r) => r.completions));
      await batch.close();
      return { most, completions };
    };
    const free = await ask(undefined);
    expect(free.most).toBe(4);
    const bound = await ask(110);
    expect(bound.most).toBe(2);
    expect(bound.completions).toEqual(free.completions);
    // One that is larger than the bound is let in when it is alone.
    expect((await ask(20)).most).toBe(1);
  });
});

describe('a request of one completion', () => {
  it('is the sample of a larger one that it says, however much more it may say', async () => {
    const policy = new Policy(config, engine, { prefix: 'one/', paddingToken: 0 });
    await policy.setWeights(randomWeights(config, 8));
    const { prompt, completions } = await completionsOf(policy, { maxTokens: 100 });
    const batch = new RunningBatch(policy);
    for (const [i, expected] of completions.entries()) {
      const options = { maxTokens: 300, stopTokens: [] };
      const request = batch.add({ prompt, random: 11, firstSample: i, options });
      const [one] = await request.completions;
      expect(one!.tokens.slice(0, 100)).toEqual(expected.tokens);
    }
    await batch.close();
  });
});
