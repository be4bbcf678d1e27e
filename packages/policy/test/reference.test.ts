import {
  AdamW,
  compileGraph,
  Engine,
  type ExecutionProvider,
  float32,
  gradients,
  input,
  mul,
  type Profile,
  sum,
  type Tensor,
  type Value,
} from '@polymode/autodiff';
import { findWebGpu } from '@polymode/autodiff/testing';
import { positionRows, sequenceHidden, vocabularyLogits } from '@polymode/policy';
import { afterAll, describe, expect, it } from 'vitest';
import {
  completionValues,
  flat,
  loadAdamW,
  loadReference,
  REFERENCE_FAMILIES,
  REFERENCE_MODELS,
  sequencesOf,
  tokenRows,
  worstGradient,
} from './references.js';
import { repeatedBatch } from './repeated-batch.js';

const webGpu = findWebGpu();
Object.assign(process.env, webGpu.env);
if (!webGpu.available) console.log(`Tests on WebGPU are skipped: ${webGpu.reason}.`);

const engines: Engine[] = [];
function engine(threads: number, provider: ExecutionProvider = 'cpu'): Engine {
  const made = new Engine({ threads, provider });
  engines.push(made);
  return made;
}
afterAll(async () => {
  await Promise.all(engines.map((e) => e.close()));
});

const returned = (names: Iterable<string>) => Object.fromEntries([...names].map((n) => [n, 'return' as const]));
const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  expect(a.length).toBe(b.length);
  return Math.max(...Array.from(a, (v, i) => Math.abs(v - b[i]!)));
};

// Logits reach 15, where float32 has steps of 1e-6. Measured: logits 1.0e-5, log-probabilities 1.3e-5, gradients 4e-6
// of their norm; the tolerances leave room for processors that sum in another order.
const VALUE_TOLERANCE = 4e-5;
const GRADIENT_TOLERANCE = 2e-5;

describe.each(REFERENCE_MODELS)('%s against PyTorch', (model) => {
  it('has its logits wherever there is a token', async () => {
    const { config, values, tensors, policy } = await loadReference(model, engine(1));
    const [rows, time] = tokenRows(values).shape as [number, number];
    const tokens = input('tokens', 'int32', ['B', time]);
    const positions = input('positions', 'int32', ['B', time]);
    const parameters = policy.parameterInputs();
    const { hidden } = sequenceHidden(config, parameters, tokens, positions);
    const graph = compileGraph({ logits: vocabularyLogits(config, parameters, hidden) }, policy.engine.profile);
    const session = await policy.engine.compile(graph);
    const out = await session.run(
      { ...policy.weightFeeds(), tokens: tokenRows(values), positions: positionRows(rows, time) },
      { logits: 'return' },
    );
    const real = values.attention_mask.flat();
    const atTokens = (logits: ArrayLike<number>): number[] =>
      Array.from(logits).filter((_, i) => real[Math.floor(i / config.vocabSize)] === 1);
    const made = atTokens(out.logits!.data as Float32Array);
    expect(largestDifference(made, atTokens(tensors.logits!.data))).toBeLessThan(VALUE_TOLERANCE);
  });

  it('has its log-probabilities, at temperature 1 and another', async () => {
    const { values, policy } = await loadReference(model, engine(2));
    const sequences = sequencesOf(values, values.prompt_lengths);
    for (const [temperature, rows] of [
      [1, values.log_probabilities],
      [values.temperature, values.log_probabilities_at_temperature],
    ] as const) {
      const logs = await policy.logProbabilities(sequences, temperature);
      const expected = completionValues(values, rows, values.prompt_lengths);
      expect(largestDifference(logs, expected)).toBeLessThan(VALUE_TOLERANCE);
    }
  });
});

// Prompts of one token, so that every token but the first of a row takes part.
const settings: [ExecutionProvider, Profile, number][] = [
  ['cpu', 'fused', 1],
  ['cpu', 'fused', 2],
  ['cpu', 'portable', 1],
  ['cpu', 'portable', 2],
];
if (webGpu.available) settings.push(['webgpu', 'portable', 1]);
describe.each(REFERENCE_FAMILIES)('sequences of %s that each have their own prompt, against PyTorch', (model) => {
  it.each(settings)(
    'have its gradients and entropies on %s with the %s profile at %i threads',
    async (provider, profile, threads) => {
      const { values, tensors, policy } = await loadReference(model, engine(threads, provider));
      const prompts = values.lengths.map(() => 1);
      const { statistics, parameters, feeds, count } = repeatedBatch(policy, sequencesOf(values, prompts), 1);
      const loss = sum(mul(input('weights', 'float32', ['M']), statistics.logProbabilities));
      const names = Object.keys(policy.trainable);
      const made = gradients(
        loss,
        names.map((name) => parameters[name]!),
      );
      const outputs: Record<string, Tensor> = { loss, entropies: statistics.entropies };
      for (const [i, name] of names.entries()) outputs[name] = made[i]!;
      const session = await policy.engine.compile(compileGraph(outputs, profile));
      const weights = float32(completionValues(values, values.weights, prompts), [count]);
      // A race in summing the gradients of repeated tokens would show only now and then.
      for (let run = 0; run < (threads > 1 ? 5 : 1); run++) {
        const out = await session.run({ ...feeds, weights }, returned(Object.keys(outputs)));
        expect(Number(out.loss!.data[0])).toBeCloseTo(values.losses.weighted_sum, 4);
        const expected = completionValues(values, values.entropies, prompts);
        expect(largestDifference(out.entropies!.data as Float32Array, expected)).toBeLessThan(VALUE_TOLERANCE);
        const byName = Object.fromEntries(names.map((name) => [name, out[name]!.data as Float32Array]));
        const worst = worstGradient(byName, tensors, 'weighted_sum');
        expect(worst.error, worst.name).toBeLessThan(GRADIENT_TOLERANCE);
      }
    },
  );
});

const optimizerProviders: ExecutionProvider[] = webGpu.available ? ['cpu', 'webgpu'] : ['cpu'];
describe.each(optimizerProviders)('AdamW on %s against PyTorch', (provider) => {
  it('makes the same three steps, clipped by global norm', async () => {
    const { options, shapes, initial, steps } = loadAdamW();
    const names = Object.keys(shapes);
    const own = engine(1, provider);
    const parameters = names.map((name) => ({
      value: `parameters/${name}`,
      gradient: `gradients/${name}`,
      moment1: `moment1/${name}`,
      moment2: `moment2/${name}`,
      shape: shapes[name]!,
    }));
    await own.allocate(
      parameters.flatMap(({ shape, ...kinds }) => Object.values(kinds).map((name) => ({ name, shape }))),
    );
    const given = (kind: string, values: Readonly<Record<string, Parameters<typeof flat>[0]>>): Record<string, Value> =>
      Object.fromEntries(names.map((name) => [`${kind}/${name}`, float32(flat(values[name]!), shapes[name]!)]));
    await own.set(given('parameters', initial));
    const optimizer = new AdamW(own, parameters, {
      beta1: options.beta1,
      beta2: options.beta2,
      epsilon: options.epsilon,
      weightDecay: options.weight_decay,
      maxGradientNorm: options.max_gradient_norm,
    });
    for (const [i, step] of steps.entries()) {
      await own.set(given('gradients', step.gradients));
      const { gradientNorm } = await optimizer.step(i + 1, options.learning_rate);
      expect(gradientNorm / step.gradient_norm).toBeCloseTo(1, 6);
      for (const kind of ['parameters', 'moment1', 'moment2'] as const) {
        const made = await own.get(names.map((name) => `${kind}/${name}`));
        for (const name of names) {
          const expected = flat(step[kind][name]!);
          // Relative to the largest value: float32 has 6e-8 of that, over a handful of operations.
          const scale = Math.max(...expected.map(Math.abs));
          const error = largestDifference(made[`${kind}/${name}`]!.data as Float32Array, expected) / scale;
          expect(error, `step ${i + 1}, ${kind} ${name}`).toBeLessThan(5e-7);
        }
      }
    }
    await optimizer.close();
  });
});
