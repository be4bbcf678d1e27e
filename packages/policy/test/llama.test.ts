import { compileGraph, Engine, float32, gradients, input, mul, neg, sum } from '@polymode/autodiff';
import { type ModelConfig, Policy, type Sequence, type Weights } from '@polymode/policy';
import { afterAll, describe, expect, it } from 'vitest';
import { logProbability, referenceLogits, toFloat64, type Weights64 } from './reference-llama.js';
import { repeatedBatch } from './repeated-batch.js';
import { numbers, randomWeights, tinyConfig } from './tiny-policy.js';

const configs: Record<string, ModelConfig> = {
  'grouped queries, tied': tinyConfig(),
  'untied, wide heads, other theta': tinyConfig({
    tieWordEmbeddings: false,
    headDim: 16,
    rotary: { theta: 500, scaling: null },
    numHiddenLayers: 3,
  }),
  'one key head': tinyConfig({ numKeyValueHeads: 1 }),
};

/** Sequences with many repeated tokens: embedding gradients must add up every use. */
const sequences: Sequence[] = [
  { prompt: [1, 1, 1, 5], completion: [1, 1, 2, 1, 0] },
  { prompt: [7], completion: [7, 7, 7] },
  { prompt: [1, 2, 3, 1, 2, 3], completion: [1] },
  { prompt: [1, 1, 1, 5], completion: [22, 1, 1, 1, 1, 1, 1] },
];

const engines: Engine[] = [];
function engine(threads: number): Engine {
  const made = new Engine({ threads });
  engines.push(made);
  return made;
}
afterAll(async () => {
  await Promise.all(engines.map((e) => e.close()));
});

/** Σ of coefficient · log-probability over all completion tokens, in float64. */
function referenceLoss(
  config: ModelConfig,
  weights: Weights64,
  coefficients: readonly number[],
  temperature: number,
): number {
  let [loss, m] = [0, 0];
  for (const { prompt, completion } of sequences) {
    const logits = referenceLogits(config, weights, [...prompt, ...completion.slice(0, -1)]);
    for (const [c, target] of completion.entries()) {
      loss -= coefficients[m++]! * logProbability(logits[prompt.length - 1 + c]!, target, temperature);
    }
  }
  return loss;
}

async function lossGradients(
  policy: Policy,
  coefficients: readonly number[],
  temperature: number,
): Promise<{ loss: number; gradients: Record<string, Float32Array> }> {
  const { statistics, parameters, feeds, count } = repeatedBatch(policy, sequences, temperature);
  const loss = neg(sum(mul(input('coefficients', 'float32', ['M']), statistics.logProbabilities)));
  const names = Object.keys(parameters);
  const made = gradients(loss, Object.values(parameters));
  const outputs = { loss, ...Object.fromEntries(names.map((n, i) => [n, made[i]!])) };
  const session = await policy.engine.compile(compileGraph(outputs, policy.engine.profile));
  const out = await session.run(
    { ...feeds, coefficients: float32(coefficients, [count]) },
    Object.fromEntries(Object.keys(outputs).map((n) => [n, 'return' as const])),
  );
  return {
    loss: Number(out.loss!.data[0]),
    gradients: Object.fromEntries(names.map((n) => [n, out[n]!.data as Float32Array])),
  };
}

describe.each(Object.entries(configs))('a Llama with %s', (_, config) => {
  const weights: Weights = randomWeights(config, 7);
  const count = sequences.reduce((n, s) => n + s.completion.length, 0);
  const next = numbers(3);
  const coefficients = Array.from({ length: count }, () => next() - 0.3);

  it('gives the log-probabilities of an independent float64 implementation', async () => {
    const policy = new Policy(config, engine(2), { paddingToken: 0 });
    await policy.setWeights(weights);
    const logs = await policy.logProbabilities(sequences, 0.8);
    const expected = sequences.flatMap(({ prompt, completion }) => {
      const logits = referenceLogits(config, toFloat64(weights), [...prompt, ...completion.slice(0, -1)]);
      return completion.map((target, c) => logProbability(logits[prompt.length - 1 + c]!, target, 0.8));
    });
    const error = Math.max(...expected.map((e, i) => Math.abs(e - logs[i]!)));
    expect(error).toBeLessThan(1e-5);
  });

  it.each([1, 2])('has the gradients that float64 differences give, with %i threads', async (threads) => {
    const policy = new Policy(config, engine(threads), { paddingToken: 0 });
    await policy.setWeights(weights);
    const { loss, gradients: made } = await lossGradients(policy, coefficients, 1.3);
    expect(Math.abs(loss / referenceLoss(config, toFloat64(weights), coefficients, 1.3) - 1)).toBeLessThan(1e-5);

    // Central differences of the float64 oracle along directions that move one parameter tensor each: with
    // h = 1e-4 their error is near 1e-8, so all of the tolerance is for float32.
    for (const [name, { data, shape }] of Object.entries(weights)) {
      const random = numbers(name.length);
      const direction = Float64Array.from(data, () => random() - 0.5);
      const moved = (h: number): Weights64 => {
        const copy = toFloat64(weights);
        copy[name] = { shape, data: Float64Array.from(data, (v, i) => v + h * direction[i]!) };
        return copy;
      };
      const h = 1e-4;
      const difference =
        (referenceLoss(config, moved(h), coefficients, 1.3) - referenceLoss(config, moved(-h), coefficients, 1.3)) /
        (2 * h);
      const gradient = made[name]!;
      const product = gradient.reduce((s, g, i) => s + g * direction[i]!, 0);
      // Relative to the size of the product's terms: a sum that happens to cancel has no relative accuracy.
      const scale = Math.sqrt(gradient.reduce((s, g, i) => s + (g * direction[i]!) ** 2, 0));
      expect(Math.abs(product - difference) / scale, name).toBeLessThan(1e-4);
    }
  });

  it('samples with the log-probabilities that training computes', async () => {
    const policy = new Policy(config, engine(1), { paddingToken: 0 });
    await policy.setWeights(weights);
    const prompts = [[1, 2, 3], [4], [5, 5, 5, 5, 5, 5]];
    const uniformsOf = (prompt: number, sample: number): Float32Array => {
      const random = numbers(prompt * 100 + sample + 1);
      return Float32Array.from({ length: 9 }, () => 0.001 + 0.998 * random());
    };
    for (const options of [{}, { temperature: 0.7 }, { topP: 0.8 }, { topK: 3 }, { temperature: 0 }]) {
      const groups = await policy.sample(prompts, 5, uniformsOf, { maxTokens: 9, stopTokens: [0, 9], ...options });
      const all = groups.flatMap((group, n) => group.map((c) => ({ prompt: prompts[n]!, completion: c.tokens })));
      const logs = await policy.logProbabilities(all, options.temperature || 1);
      const sampled = groups.flat().flatMap((c) => [...c.logProbabilities]);
      expect(Math.max(...sampled.map((l, i) => Math.abs(l - logs[i]!)))).toBeLessThan(2e-5);
      for (const c of groups.flat()) {
        const stop = c.tokens.findIndex((t) => t === 0 || t === 9);
        expect(c.finishReason).toBe(stop === -1 ? 'length' : 'stop');
        expect(c.tokens.length).toBe(stop === -1 ? 9 : stop + 1);
      }
    }
  });

  it('draws each token by inverse transform from the distribution of the float64 implementation', async () => {
    const policy = new Policy(config, engine(1), { paddingToken: 0 });
    await policy.setWeights(weights);
    const random = numbers(99);
    const uniformRows = Array.from({ length: 40 }, () => Float32Array.from({ length: 4 }, () => random()));
    const settings = [
      { temperature: 1.2 },
      { temperature: 1.2, topK: 4 },
      { temperature: 1.2, topP: 0.6 },
      { temperature: 0 },
    ];
    for (const options of settings) {
      const [group] = await policy.sample([[3, 1, 4]], 40, (_n, s) => uniformRows[s]!, {
        maxTokens: 4,
        stopTokens: [0],
        ...options,
      });
      for (const [s, { tokens }] of group!.entries()) {
        const logits = referenceLogits(config, toFloat64(weights), [3, 1, 4, ...tokens]);
        for (const [c, token] of tokens.entries()) {
          const expected = drawByHand(logits[2 + c]!, uniformRows[s]![c]!, options);
          expect(expected, `sample ${s}, token ${c}`).toContain(token);
        }
      }
    }
  });
});

/** Tokens that the draw may give: more than one where u lies within float32's rounding of a step. */
function drawByHand(
  logits: Float64Array,
  u: number,
  { temperature, topK = 0, topP = 1 }: { temperature: number; topK?: number; topP?: number },
): number[] {
  const order = Array.from(logits.keys());
  if (temperature === 0) return [order.reduce((best, i) => (logits[i]! > logits[best]! ? i : best))];
  const probabilities = order.map((i) => Math.exp(logProbability(logits, i, temperature)));
  const filtered = topK > 0 || topP < 1;
  if (filtered) order.sort((a, b) => probabilities[b]! - probabilities[a]!);
  // Filters look at tokens by rank; the draw itself goes through them in the vocabulary's order.
  const weights = probabilities.map(() => 0);
  let before = 0;
  for (const [rank, i] of order.entries()) {
    if (before < topP && (topK === 0 || rank < topK)) weights[i] = probabilities[i]!;
    before += probabilities[i]!;
  }
  const total = weights.reduce((a, b) => a + b, 0);
  const pick = (v: number): number => {
    let sumSoFar = 0;
    for (const [i, weight] of weights.entries()) {
      sumSoFar += weight;
      if (weight > 0 && sumSoFar >= v * total) return i;
    }
    return weights.findLastIndex((w) => w > 0);
  };
  return [pick(u - 1e-5), pick(u), pick(u + 1e-5)];
}
