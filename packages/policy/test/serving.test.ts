import { Engine } from '@polymode/autodiff';
import {
  type CacheMemory,
  initialAdapter,
  type LoraOptions,
  Policy,
  RunningBatch,
  type SamplingOptions,
  SessionCache,
  samplingBytes,
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

describe('a batch that shares its memory', () => {
  /** So many bytes and no more, some of them now and then another's. */
  function memory(bytes: number) {
    const seen = { most: 0, held: 0, refused: 0, others: 0 };
    let listeners: (() => void)[] = [];
    const own: CacheMemory = {
      claim: (asked, joining) => {
        if (asked > seen.held && asked + seen.others > bytes) {
          seen.refused += joining ? 0 : 1;
          return false;
        }
        seen.held = asked;
        seen.most = Math.max(seen.most, asked);
        return true;
      },
      release: () => {
        seen.held = 0;
      },
      freed: () => new Promise((resolve) => listeners.push(resolve)),
    };
    const lend = (count: number): void => {
      seen.others = count;
      const heard = listeners;
      listeners = [];
      for (const listener of heard) listener();
    };
    return { own, seen, lend };
  }
  let policy: Policy;
  beforeAll(async () => {
    policy = new Policy(config, engine, { prefix: 'bound/', paddingToken: 0 });
    await policy.setWeights(randomWeights(config, 6));
  });
  const alone = (maxTokens: number, rows = 1) =>
    samplingBytes(config, { prompts: rows, promptTokens: 50, rows, maxTokens });
  const anything = new Uint32Array(Math.ceil(config.vocabSize / 32)).fill(0xffffffff);

  async function ask(own: CacheMemory | undefined, lengths: readonly number[], masked = 2) {
    const batch = new RunningBatch(policy, { ...(own === undefined ? {} : { memory: own }) });
    const heard = lengths.map((): { tokens: number[]; logs: number[] } => ({ tokens: [], logs: [] }));
    let most = 0;
    const requests = lengths.map((maxTokens, i) =>
      batch.add({
        prompt: Array.from({ length: 50 }, (_, k) => (k * (i + 1)) % config.vocabSize),
        random: i,
        // Those with masks advance apart.
        options: { maxTokens, stopTokens: [], ...((i + 1) % masked === 0 ? { allowed: () => anything } : {}) },
        onProgress: (_, { tokens, logProbabilities }) => {
          heard[i]!.tokens.push(...tokens);
          heard[i]!.logs.push(...logProbabilities);
          most = Math.max(most, batch.load.running);
        },
      }),
    );
    return { batch, heard, completions: Promise.all(requests.map((r) => r.completions)), most: () => most, requests };
  }

  it.each([
    ['alike', Number.POSITIVE_INFINITY, 1.02],
    ['of which some have masks', 3, 2.1],
  ])(
    'never has more than there is for rows %s, and answers each as if it were alone, told once',
    async (_, masked, share) => {
      const lengths = Array.from({ length: 24 }, (_, i) => 340 - ((i * 89) % 320));
      const free = await ask(undefined, lengths, masked);
      const expected = await free.completions;
      const bytes = Math.ceil(share * alone(256, 8));
      const { own, seen } = memory(bytes);
      const bound = await ask(own, lengths, masked);
      expect(await bound.completions).toEqual(expected);
      for (const [i, [one]] of expected.entries()) {
        expect(bound.heard[i]!.tokens).toEqual(one!.tokens);
        expect(bound.heard[i]!.logs).toEqual([...one!.logProbabilities]);
      }
      expect(seen.most).toBeLessThanOrEqual(bytes);
      expect(bound.most()).toBeLessThan(free.most());
      // Some were let in, outgrew the memory with the others and began anew.
      if (masked > lengths.length) expect(seen.refused).toBeGreaterThan(0);
      await bound.batch.close();
      await free.batch.close();
      expect(seen.held).toBe(0);
    },
  );

  it('waits with nothing in hand while others have it all, and goes on when they give it back', async () => {
    const { own, seen, lend } = memory(alone(60));
    lend(1);
    const { batch, completions, requests } = await ask(own, [60, 60]);
    requests[1]!.cancel();
    expect((await requests[1]!.completions)[0]!.tokens).toEqual([]);
    expect([batch.load.waiting, seen.held]).toEqual([1, 0]);
    lend(0);
    expect((await completions)[0]![0]!.tokens).toHaveLength(60);
    await batch.close();
  });

  it('fails the request for which there will be no memory, and no other', async () => {
    const { own } = memory(alone(60));
    const claim = (bytes: number, joining: boolean): boolean => {
      if (bytes > alone(60)) throw new Error('never');
      return own.claim(bytes, joining);
    };
    const { batch, requests, completions } = await ask({ ...own, claim }, [60, 300]);
    await expect(completions).rejects.toThrow('never');
    expect((await requests[0]!.completions)[0]!.tokens).toHaveLength(60);
    await batch.close();
  });

  it('ends at once when it is closed while it waits', async () => {
    const { own, lend } = memory(alone(60));
    lend(1);
    const { batch, completions } = await ask(own, [60]);
    const ended = expect(completions).rejects.toThrow('was closed');
    await new Promise((resolve) => setTimeout(resolve, 20));
    await batch.close();
    await ended;
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
