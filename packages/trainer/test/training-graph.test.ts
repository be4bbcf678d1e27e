import { compileGraph, Engine, type ExecutionProvider, float32, type Profile } from '@polymode/autodiff';
import { findWebGpu } from '@polymode/autodiff/testing';
import { microBatches, type Policy, packGroups, type Sequence } from '@polymode/policy';
import { describe, expect, it } from 'vitest';
import {
  completionValues,
  loadReference,
  REFERENCE_FAMILIES,
  REFERENCE_MODELS,
  type Reference,
  sequencesOf,
  worstGradient,
} from '../../policy/test/references.js';
import { surrogateLoss } from '../dist/surrogate-update.js';
import { GRADIENT, trainingGraph } from '../dist/training-graph.js';

const webGpu = findWebGpu();
Object.assign(process.env, webGpu.env);
if (!webGpu.available) console.log(`Tests on WebGPU are skipped: ${webGpu.reason}.`);

/** The fixture's rows, those with the same prompt next to each other: [0, 3, …] in all of them. */
function rowOrder(values: Reference): number[] {
  const prompts = values.input_ids.map((row, b) => row.slice(0, values.prompt_lengths[b]).join());
  return [...prompts.keys()].sort((a, b) => prompts.indexOf(prompts[a]!) - prompts.indexOf(prompts[b]!) || a - b);
}

/** The real training graph on a fixture's surrogate, all rows in one pass. */
async function surrogate(policy: Policy, values: Reference, profile: Profile, chunkRows: number) {
  const order = rowOrder(values);
  const inOrder = <T>(rows: readonly T[]): T[] => order.map((b) => rows[b]!);
  const lengths = inOrder(values.prompt_lengths);
  const ordered: Reference = {
    ...values,
    lengths: inOrder(values.lengths),
    input_ids: inOrder(values.input_ids),
    prompt_lengths: lengths,
  };
  const sequences: Sequence[] = sequencesOf(ordered, lengths);
  const active = values.completion_mask.flat().reduce((a, b) => a + b, 0);
  const series = (rows: readonly (readonly number[])[]): number[] => completionValues(ordered, inOrder(rows), lengths);
  const perToken = {
    old_log_probabilities: series(values.old_log_probabilities),
    reference_log_probabilities: series(values.reference_log_probabilities),
    advantages: series(values.completion_mask.map((row, b) => row.map(() => values.advantages[b]!))),
    weights: series(values.completion_mask).map((m) => m / active),
  };
  const [pass, ...others] = microBatches(
    sequences.map((s) => ({ ...s, perToken: {} })),
    () => true,
  );
  expect(others).toEqual([]);
  const {
    tokens,
    positions,
    lengths: prompts,
    at,
    targets,
    count,
  } = packGroups(pass!.groups, policy.paddingToken, pass!.shape);
  const chunks = Math.ceil(count / chunkRows);
  const outputs = trainingGraph(policy, surrogateLoss(true), { ...pass!.shape, chunks, chunkRows, accumulate: false });
  const session = await policy.engine.compile(compileGraph(outputs, profile));
  const scalar = (value: number) => float32([value], []);
  const out = await session.run(
    {
      ...policy.weightFeeds(),
      tokens,
      positions,
      lengths: prompts,
      at,
      targets,
      temperature: scalar(1),
      kl_coefficient: scalar(values.beta),
      clip_epsilon: scalar(values.epsilon),
      ...Object.fromEntries(Object.entries(perToken).map(([name, data]) => [name, float32(data, [count])])),
    },
    Object.fromEntries(Object.keys(outputs).map((name) => [name, 'return' as const])),
  );
  const gradients = Object.keys(policy.trainable).map((name): [string, Float32Array] => [
    name,
    out[GRADIENT + name]!.data as Float32Array,
  ]);
  return {
    groups: pass!.groups.length,
    loss: Number(out.loss!.data[0]),
    logProbabilities: out.logProbabilities!.data as Float32Array,
    expectedLogProbabilities: series(values.log_probabilities),
    entropies: out.entropies!.data as Float32Array,
    expectedEntropies: series(values.entropies),
    gradients: Object.fromEntries(gradients),
  };
}

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (v, i) => Math.abs(v - b[i]!)));

async function check(
  model: (typeof REFERENCE_MODELS)[number],
  engine: Engine,
  profile: Profile,
  chunkRows: number,
): Promise<void> {
  try {
    const { values, tensors, policy } = await loadReference(model, engine);
    const made = await surrogate(policy, values, profile, chunkRows);
    // Logits reach 15, where float32 has steps of 1e-6.
    expect(largestDifference(made.logProbabilities, made.expectedLogProbabilities)).toBeLessThan(4e-5);
    expect(largestDifference(made.entropies, made.expectedEntropies)).toBeLessThan(4e-5);
    expect(Math.abs(made.loss - values.losses.surrogate)).toBeLessThan(4e-6);
    const worst = worstGradient(made.gradients, tensors, 'surrogate');
    // Float32 log-probabilities of order 10 carry 1e-6 into every ratio.
    expect(worst.error, worst.name).toBeLessThan(2e-5);
  } finally {
    await engine.close();
  }
}

describe.each(REFERENCE_MODELS)('training on %s, prompts shared, against PyTorch', (model) => {
  it.each([
    ['fused', 1, 1000],
    ['fused', 2, 7],
    ['portable', 2, 7],
  ] satisfies [Profile, number, number][])(
    'has its loss, statistics and gradients with the %s profile at %i threads, %i tokens at the vocabulary at a time',
    async (profile, threads, chunkRows) => {
      await check(model, new Engine({ threads }), profile, chunkRows);
    },
  );
});

describe.skipIf(!webGpu.available)('training on WebGPU, prompts shared, against PyTorch', () => {
  it.each(REFERENCE_FAMILIES)('has the loss, statistics and gradients of %s', { timeout: 120_000 }, async (model) => {
    const provider: ExecutionProvider = 'webgpu';
    await check(model, new Engine({ provider }), 'portable', 7);
  });
});

describe('the fixtures', () => {
  it('have prompts that several rows share', async () => {
    const engine = new Engine();
    const { values, policy } = await loadReference('families/lora-llama', engine);
    const { groups } = await surrogate(policy, values, 'fused', 1000);
    await engine.close();
    expect(groups).toBeLessThan(values.input_ids.length);
  });
});
