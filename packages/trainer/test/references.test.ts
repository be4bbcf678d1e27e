import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Engine, type Profile } from '@polymode/autodiff';
import { Policy, readModelFolder, readSafetensors, type Weights } from '@polymode/policy';
import { afterAll, describe, expect, it } from 'vitest';
import { GradientStep, type GradientStepOptions } from '../dist/gradient-step.js';
import { surrogateUpdate } from '../dist/surrogate-update.js';

/** Values that PyTorch computed in float64; packages/policy/test/fixtures/README.md describes them. */
interface Reference {
  readonly temperature: number;
  readonly epsilon: number;
  readonly beta: number;
  readonly learning_rate: number;
  readonly losses: readonly number[];
  readonly gradient_norms: readonly number[];
  readonly sequences: readonly {
    readonly prompt: readonly number[];
    readonly completion: readonly number[];
    readonly advantage: number;
    readonly log_probabilities: readonly number[];
    readonly old_log_probabilities: readonly number[];
    readonly reference_log_probabilities: readonly number[];
  }[];
}

const PADDING = 0;
const LOG_PROBABILITY_TOLERANCE = 1e-5;
const LOSS_TOLERANCE = 1e-5;
/** of the norm */
const NORM_TOLERANCE = 1e-5;
/**
 * After three updates, of the learning rate: the most that Adam's first step moves a weight. Adam divides each gradient
 * by its own size, so an error δ of gradient g moves its weight by up to δ/|g| of a step, however small g is. Where |g| is
 * under FAINT_GRADIENT of its tensor's largest, float32's rounding is a visible part of g, and such weights have a
 * tolerance of their own. Zero gradients are exact and have the strict one: their weights may not move unasked.
 */
const WEIGHT_TOLERANCE = 1e-3;
const FAINT_GRADIENT = 1e-5;
const FAINT_WEIGHT_TOLERANCE = 2e-2;

const engines: Engine[] = [];
afterAll(async () => {
  await Promise.all(engines.map((e) => e.close()));
});

async function load(model: string) {
  const folder = fileURLToPath(new URL(`../../policy/test/fixtures/${model}`, import.meta.url));
  const { config, weights } = await readModelFolder(folder);
  const values: Reference = JSON.parse(await readFile(`${folder}/reference.json`, 'utf8'));
  const tensors = readSafetensors(await readFile(`${folder}/reference.safetensors`));
  return { config, weights, values, tensors };
}

async function policyOf(
  { config, weights }: Awaited<ReturnType<typeof load>>,
  profile: Profile,
  threads: number,
): Promise<Policy> {
  // An engine takes its profile from its provider; CPUs run both.
  const engine = Object.assign(new Engine({ threads }), { profile });
  engines.push(engine);
  const policy = new Policy(config, engine, { paddingToken: PADDING });
  await policy.setWeights(weights);
  return policy;
}

const largest = (values: Iterable<number>): number => Math.max(...Array.from(values, Math.abs));

function difference(a: ArrayLike<number>, b: ArrayLike<number>): number[] {
  expect(a.length).toBe(b.length);
  return Array.from(a, (v, i) => v - b[i]!);
}

/** Weights and losses after as many updates as the reference made. */
async function train(
  policy: Policy,
  values: Reference,
  memory: GradientStepOptions = {},
): Promise<{ losses: number[]; norms: number[]; applied: boolean[]; weights: Weights }> {
  const step = new GradientStep(policy, memory);
  await step.allocate();
  const sequences = values.sequences.map((s) => ({
    prompt: s.prompt,
    completion: s.completion,
    advantage: s.advantage,
    oldLogProbabilities: Float32Array.from(s.old_log_probabilities),
    referenceLogProbabilities: Float32Array.from(s.reference_log_probabilities),
  }));
  const [losses, norms]: [number[], number[]] = [[], []];
  const applied: boolean[] = [];
  for (const update of values.losses.keys()) {
    const report = await surrogateUpdate(step, sequences, update + 1, {
      learningRate: values.learning_rate,
      clipEpsilon: values.epsilon,
      klCoefficient: values.beta,
      temperature: values.temperature,
    });
    losses.push(report.loss);
    norms.push(report.gradientNorm);
    applied.push(report.applied);
  }
  return { losses, norms, applied, weights: await policy.weights() };
}

describe.each(['updates-tied', 'updates-untied'])('%s against PyTorch', (model) => {
  describe.each([
    ['fused', 1],
    ['fused', 2],
    ['portable', 1],
    ['portable', 2],
  ] satisfies [Profile, number][])('with the %s profile at %i threads', (profile, threads) => {
    it('has its log-probabilities', async () => {
      const fixture = await load(model);
      const policy = await policyOf(fixture, profile, threads);
      const { sequences, temperature } = fixture.values;
      const logs = await policy.logProbabilities(sequences, temperature);
      const error = largest(
        difference(
          logs,
          sequences.flatMap((s) => s.log_probabilities),
        ),
      );
      expect(error).toBeLessThan(LOG_PROBABILITY_TOLERANCE);
    });

    it.each([
      ['all at once', {}],
      ['in passes of one sequence', { passBytes: 0, sessionBytes: 0 }],
    ])('makes its three updates %s', async (_, memory) => {
      const fixture = await load(model);
      const { values, tensors } = fixture;
      const { losses, norms, weights } = await train(await policyOf(fixture, profile, threads), values, memory);
      for (const [u, expected] of values.losses.entries()) {
        expect(Math.abs(losses[u]! - expected), `loss ${u + 1}`).toBeLessThan(LOSS_TOLERANCE);
        expect(Math.abs(norms[u]! / values.gradient_norms[u]! - 1), `norm ${u + 1}`).toBeLessThan(NORM_TOLERANCE);
      }
      let [ordinary, faint, faintWeights] = [{ name: '', error: 0 }, 0, 0];
      for (const [name, { data }] of Object.entries(weights)) {
        const gradient = tensors[`gradient/${name}`]!.data;
        const threshold = FAINT_GRADIENT * largest(gradient);
        for (const [i, d] of difference(data, tensors[`updated/${name}`]!.data).entries()) {
          const error = Math.abs(d) / values.learning_rate;
          const isFaint = gradient[i] !== 0 && Math.abs(gradient[i]!) < threshold;
          if (isFaint) [faint, faintWeights] = [Math.max(faint, error), faintWeights + 1];
          else if (error > ordinary.error) ordinary = { name: `${name}[${i}]`, error };
        }
      }
      expect(ordinary.error, ordinary.name).toBeLessThan(WEIGHT_TOLERANCE);
      expect(faint).toBeLessThan(FAINT_WEIGHT_TOLERANCE);
      expect(faintWeights).toBeLessThanOrEqual(3);
    });
  });
});

describe('a gradient that is no number', () => {
  it('changes nothing: the updates after it are as if it had not been', async () => {
    const fixture = await load('updates-tied');
    const undisturbed = await train(await policyOf(fixture, 'fused', 1), fixture.values);
    const policy = await policyOf(fixture, 'fused', 1);
    const spoilt = fixture.values.sequences.map((s, i) => ({ ...s, advantage: i === 1 ? Number.NaN : s.advantage }));
    const { losses, applied } = await train(policy, { ...fixture.values, sequences: spoilt });
    expect(losses.every(Number.isNaN)).toBe(true);
    expect(applied).toEqual([false, false, false]);
    expect(await policy.weights()).toEqual(fixture.weights);
    const { weights } = await train(policy, fixture.values);
    expect(weights).toEqual(undisturbed.weights);
  });
});
