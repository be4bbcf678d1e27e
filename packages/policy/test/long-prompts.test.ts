import { compileGraph, Engine, float32, gradients, input, mul, sum } from '@polymode/autodiff';
import { Policy, RunningBatch } from '@polymode/policy';
import { afterAll, expect, it } from 'vitest';
import { logProbability, referenceLogits, toFloat64, type Weights64 } from './reference-llama.js';
import { repeatedBatch } from './repeated-batch.js';
import { numbers, randomWeights, tinyConfig } from './tiny-policy.js';

/** Prompts longer than one block of attention: more than 1,024 tokens. */
const config = tinyConfig({ maxPositionEmbeddings: 1200, numHiddenLayers: 1 });
const next = numbers(17);
const prompt = Array.from({ length: 1050 }, () => Math.floor(next() * 23));
const completion = [5, 1, 1, 22, 7];
const weights = randomWeights(config, 3);

const engine = new Engine({ threads: 2 });
afterAll(() => engine.close());
async function openPolicy(): Promise<Policy> {
  const policy = new Policy(config, engine, { paddingToken: 0 });
  await policy.setWeights(weights);
  return policy;
}

function reference(of: Weights64): number[] {
  const logits = referenceLogits(config, of, [...prompt, ...completion]);
  return completion.map((token, c) => logProbability(logits[prompt.length - 1 + c]!, token, 1));
}

it('a long prompt’s completion has the log-probabilities of an independent float64 implementation', async () => {
  const policy = await openPolicy();
  const expected = reference(toFloat64(weights));
  const logs = await policy.logProbabilities([{ prompt, completion }], 1);
  for (const [c, e] of expected.entries()) expect(logs[c]).toBeCloseTo(e, 4);

  // Sampling reads the prompt too: the same tokens, forced.
  const batch = new RunningBatch(policy);
  const [said] = await batch.add({
    prompt,
    random: 1,
    options: {
      maxTokens: completion.length,
      stopTokens: [],
      allowed: (t) => Uint32Array.of(1 << completion[t.length]!),
    },
  }).completions;
  await batch.close();
  expect(said!.tokens).toEqual(completion);
  for (const [c, e] of expected.entries()) expect(said!.logProbabilities[c]).toBeCloseTo(e, 4);
});

it('gradients flow through all blocks', async () => {
  const policy = await openPolicy();
  const { statistics, parameters, feeds, count } = repeatedBatch(policy, [{ prompt, completion }], 1);
  const loss = sum(mul(input('coefficients', 'float32', ['M']), statistics.logProbabilities));
  const made = gradients(loss, Object.values(parameters));
  const names = Object.keys(parameters);
  const outputs = Object.fromEntries(names.map((n, i) => [n, made[i]!]));
  const session = await engine.compile(compileGraph(outputs, engine.profile));
  const coefficients = [0.5, -1, 0.7, 0.3, 0.4];
  const out = await session.run(
    { ...feeds, coefficients: float32(coefficients, [count]) },
    Object.fromEntries(names.map((n) => [n, 'return' as const])),
  );
  await session.release();

  // One central difference along a random direction of all parameters at once.
  const random = numbers(8);
  const direction: Weights64 = Object.fromEntries(
    Object.entries(weights).map(([name, { shape, data }]) => [
      name,
      { shape, data: Float64Array.from(data, () => random() - 0.5) },
    ]),
  );
  const lossAt = (h: number): number => {
    const moved = Object.fromEntries(
      Object.entries(weights).map(([name, { shape, data }]) => [
        name,
        { shape, data: Float64Array.from(data, (v, i) => v + h * direction[name]!.data[i]!) },
      ]),
    );
    return reference(moved).reduce((s, l, c) => s + coefficients[c]! * l, 0);
  };
  const h = 1e-4;
  const difference = (lossAt(h) - lossAt(-h)) / (2 * h);
  let [product, square] = [0, 0];
  for (const name of names) {
    for (const [i, g] of (out[name]!.data as Float32Array).entries()) {
      product += g * direction[name]!.data[i]!;
      square += (g * direction[name]!.data[i]!) ** 2;
    }
  }
  expect(Math.abs(product - difference) / Math.sqrt(square)).toBeLessThan(1e-4);
});
