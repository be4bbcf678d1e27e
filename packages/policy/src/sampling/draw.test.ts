import { readFileSync } from 'node:fs';
import { compileGraph, Engine, float32, input } from '@polymode/autodiff';
import { afterAll, describe, expect, it } from 'vitest';
import { type DrawFeatures, drawer } from './draw.js';
import { drawFeeds, featuresOf } from './draw-feeds.js';
import type { SamplingOptions } from './options.js';
import { Row } from './row.js';

/** more than two blocks of the draw, and no multiple of anything */
const V = 299;
const engine = new Engine();
afterAll(() => engine.close());

/** A small linear congruential generator. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Case {
  readonly logits: readonly number[];
  readonly prompt: readonly number[];
  readonly said: readonly number[];
  readonly u: number;
  readonly options: SamplingOptions;
}

/** What sampling means, in float64: the weight of every token, in the vocabulary's order. */
function weightsByDefinition({ logits, prompt, said, options }: Case): { weights: number[]; shaped: number[] } {
  const { topK = 0, topP = 1, minP = 0, repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0 } = options;
  const allowed = options.allowed?.(said) ?? null;
  const shaped = logits.map((logit, t) => {
    let l = logit;
    if (prompt.includes(t) || said.includes(t)) l = l > 0 ? l / repetitionPenalty : l * repetitionPenalty;
    const count = said.filter((s) => s === t).length;
    l -= frequencyPenalty * count + (count > 0 ? presencePenalty : 0);
    l += options.logitBias?.get(t) ?? 0;
    return allowed === null || (allowed[t >> 5]! >> (t & 31)) & 1 ? l : Number.NEGATIVE_INFINITY;
  });
  const temperature = options.temperature || 1;
  const top = Math.max(...shaped);
  const e = shaped.map((l) => Math.exp((l - top) / temperature));
  const all = e.reduce((a, b) => a + b, 0);
  const probabilities = e.map((v) => v / all);

  const order = probabilities.map((_, t) => t).sort((a, b) => probabilities[b]! - probabilities[a]!);
  const byRank = topK > 0 ? order.slice(0, topK) : order;
  const left = byRank.reduce((s, t) => s + probabilities[t]!, 0);
  const kept = new Set<number>();
  let before = 0;
  for (const t of byRank) {
    if (kept.size === 0 || before < topP * left) kept.add(t);
    before += probabilities[t]!;
  }
  const floor = minP * Math.max(...probabilities);
  return { shaped, weights: probabilities.map((p, t) => (kept.has(t) && p >= floor ? p : 0)) };
}

/** Tokens that u may draw: more than one where it lies within float32's rounding of a step. */
function drawnByDefinition(c: Case): number[] {
  const { weights, shaped } = weightsByDefinition(c);
  if (c.options.temperature === 0) return [shaped.indexOf(Math.max(...shaped))];
  const total = weights.reduce((a, b) => a + b, 0);
  const pick = (u: number): number => {
    let sum = 0;
    for (const [t, w] of weights.entries()) {
      sum += w;
      if (w > 0 && sum >= u * total) return t;
    }
    return weights.findLastIndex((w) => w > 0);
  };
  return [pick(c.u - 1e-5), pick(c.u), pick(c.u + 1e-5)];
}

async function draw(cases: readonly Case[], features?: DrawFeatures) {
  const rows = cases.map(({ prompt, said, options }) => {
    const row = new Row(prompt, options, new Float32Array(options.maxTokens));
    for (const token of said) row.say({ token, logProbability: 0, alternatives: null });
    return row;
  });
  const used =
    features ??
    featuresOf(
      rows,
      rows.some((r) => r.options.allowed !== undefined),
    );
  const { draw: drawn, history } = drawer(used, V);
  const { token, logProbability, alternatives } = drawn(
    input('logits', 'float32', ['B', V]),
    input('uniform', 'float32', ['B']),
    history,
  );
  const outputs = {
    token,
    logProbability,
    ...(alternatives === null ? {} : { tokens: alternatives[0], logs: alternatives[1] }),
  };
  const session = await engine.compile(compileGraph(outputs, engine.profile));
  const out = await session.run(
    {
      logits: float32(
        cases.flatMap((c) => c.logits),
        [cases.length, V],
      ),
      uniform: float32(
        cases.map((c) => c.u),
        [cases.length],
      ),
      ...drawFeeds(rows, used, V),
    },
    Object.fromEntries(Object.keys(outputs).map((name) => [name, 'return' as const])),
  );
  await session.release();
  return out;
}

/** Cases of random logits and histories; `make` gives each its options. */
function randomCases(seed: number, count: number, make: (next: () => number) => Partial<SamplingOptions>): Case[] {
  const next = numbers(seed);
  const token = (): number => Math.floor(next() * V);
  return Array.from({ length: count }, () => {
    const spread = 1 + 8 * next();
    return {
      logits: Array.from({ length: V }, () => Math.fround((next() - 0.5) * spread)),
      prompt: Array.from({ length: 1 + Math.floor(next() * 9) }, token),
      said: Array.from({ length: 1 + Math.floor(next() * 12) }, token),
      u: Math.fround(0.001 + 0.998 * next()),
      options: { maxTokens: 64, stopTokens: [], ...make(next) },
    };
  });
}

const settings: Record<string, (next: () => number) => Partial<SamplingOptions>> = {
  nothing: () => ({}),
  temperature: (next) => ({ temperature: 0.1 + 2 * next() }),
  'temperature 0': () => ({ temperature: 0 }),
  'top-k': (next) => ({ topK: 1 + Math.floor(next() * V) }),
  'top-p': (next) => ({ topP: 0.01 + 0.98 * next() }),
  'min-p': (next) => ({ minP: next() }),
  'repetition penalty': (next) => ({ repetitionPenalty: 0.3 + 2 * next() }),
  'presence penalty': (next) => ({ presencePenalty: 4 * next() - 2 }),
  'frequency penalty': (next) => ({ frequencyPenalty: 4 * next() - 2 }),
  'logit bias': (next) => ({ logitBias: new Map([3, 17, 298].map((t) => [t, 8 * next() - 4])) }),
  mask: (next) => {
    const words = Uint32Array.from({ length: 10 }, () => next() * 2 ** 32);
    words[0] = (words[0]! | 4) >>> 0;
    return { allowed: () => words };
  },
};
const everything = (next: () => number): Partial<SamplingOptions> => {
  const chosen = Object.values(settings).filter(() => next() < 0.4);
  return Object.assign({}, ...chosen.map((setting) => setting(next)));
};

describe('a draw', () => {
  it.each([...Object.entries(settings), ['all of these at random', everything] as const])(
    'follows its definition with %s',
    async (_, setting) => {
      const cases = randomCases(11, 200, setting);
      const { token } = await draw(cases);
      for (const [i, c] of cases.entries()) {
        expect(drawnByDefinition(c), `case ${i}: ${JSON.stringify(c.options)}`).toContain(Number(token!.data[i]));
      }
    },
  );

  it('is defined to keep the tokens that transformers keeps', () => {
    const file = new URL('../../test/fixtures/generation/reference.json', import.meta.url);
    const { filters } = JSON.parse(readFileSync(file, 'utf8'));
    expect(filters.length).toBeGreaterThan(20);
    for (const { logits, temperature, top_k: topK, top_p: topP, min_p: minP, kept } of filters) {
      const options = { maxTokens: 1, stopTokens: [], temperature, topK, topP, minP };
      const { weights } = weightsByDefinition({ logits, prompt: [1], said: [], u: 0.5, options });
      expect(weights.flatMap((w, t) => (w > 0 ? [t] : []))).toEqual(kept);
    }
  });

  it('reports the log-probability of the whole distribution at the temperature, and its likeliest tokens', async () => {
    const cases = randomCases(5, 60, (next) => ({
      ...everything(next),
      alternatives: 20,
      ...(next() < 0.5 ? { reportedTemperature: 0.5 + next() } : {}),
    }));
    const out = await draw(cases);
    for (const [i, { logits, options }] of cases.entries()) {
      const scaled = logits.map((l) => l / (options.reportedTemperature ?? (options.temperature || 1)));
      const top = Math.max(...scaled);
      const norm = top + Math.log(scaled.reduce((s, l) => s + Math.exp(l - top), 0));
      expect(out.logProbability!.data[i]).toBeCloseTo(scaled[Number(out.token!.data[i])]! - norm, 4);
      const best = scaled.map((_, t) => t).sort((a, b) => scaled[b]! - scaled[a]!);
      expect([...out.tokens!.data.slice(20 * i, 20 * i + 20)].map(Number)).toEqual(best.slice(0, 20));
      expect(out.logs!.data[20 * i + 19]).toBeCloseTo(scaled[best[19]!]! - norm, 4);
    }
  });

  it('is the same to the bit whatever neighbours ask for', async () => {
    const plain = randomCases(8, 30, (next) => ({ temperature: next() < 0.3 ? 0 : 0.5 + next() }));
    const alone = await draw(plain);
    const beside = await draw(plain, { greedy: true, shaped: true, masked: true, alternatives: true, reported: true });
    expect(beside.token!.data).toEqual(alone.token!.data);
    expect(beside.logProbability!.data).toEqual(alone.logProbability!.data);
  });

  it.each([
    ['allows nothing', () => new Uint32Array(10), 'allows no token at all'],
    [
      'allows only what is not there',
      () => Uint32Array.from({ length: 10 }, (_, i) => (i === 9 ? 2 ** 31 : 0)),
      'no token',
    ],
    ['is too short', () => Uint32Array.of(1), 'a mask of 1 words does not cover a vocabulary of 299 tokens'],
  ])('ends a row whose mask %s', (_, allowed, message) => {
    const row = new Row([1], { maxTokens: 4, stopTokens: [], allowed }, new Float32Array(4));
    expect(row.mask(V)).toBeNull();
    expect(row.finishReason).toBe('stop');
    expect(row.failure?.message).toContain(message);
  });
});
