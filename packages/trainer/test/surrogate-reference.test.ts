import { Engine, type Profile } from '@polymode/autodiff';
import { Policy } from '@polymode/policy';
import { afterAll, describe, expect, it } from 'vitest';
import {
  completionValues,
  loadReference,
  REFERENCE_MODELS,
  sequencesOf,
  worstGradient,
} from '../../policy/test/references.js';
import { surrogateGradients } from './surrogate-gradients.js';

const engines: Engine[] = [];
afterAll(async () => {
  await Promise.all(engines.map((e) => e.close()));
});

describe.each(REFERENCE_MODELS)('the surrogate of %s against PyTorch', (model) => {
  it.each([
    ['fused', 1],
    ['fused', 2],
    ['portable', 2],
  ] satisfies [Profile, number][])(
    'has its loss and gradients with the %s profile at %i threads',
    async (profile, threads) => {
      const { config, weights, values, tensors } = await loadReference(model);
      const engine = new Engine({ threads });
      engines.push(engine);
      const policy = new Policy(config, engine, '', values.padding);
      await policy.setWeights(weights);
      // Tokens of inactive groups weigh nothing; the others share one.
      const picked = (rows: readonly (readonly number[])[]): number[] =>
        completionValues(values, rows, values.prompt_lengths);
      const active = values.completion_mask.flat().reduce((a, b) => a + b, 0);
      const { loss, ...made } = await surrogateGradients(
        policy,
        profile,
        sequencesOf(values, values.prompt_lengths),
        {
          old: picked(values.old_log_probabilities),
          reference: picked(values.reference_log_probabilities),
          advantages: picked(values.completion_mask.map((row, b) => row.map(() => values.advantages[b]!))),
          weights: picked(values.completion_mask).map((m) => m / active),
        },
        { temperature: 1, beta: values.beta, epsilon: values.epsilon },
      );
      expect(loss![0]).toBeCloseTo(values.losses.surrogate, 6);
      const worst = worstGradient(made, tensors, 'surrogate');
      // Measured 6e-6; float32 log-probabilities of order 10 carry 1e-6 into every ratio.
      expect(worst.error, worst.name).toBeLessThan(2e-5);
    },
  );
});
