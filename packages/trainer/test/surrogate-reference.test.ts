import { compileGraph, Engine, float32, gradients, input, type Profile, type Tensor } from '@polymode/autodiff';
import { clippedSurrogate } from '@polymode/objectives';
import { Policy, packSequences, parameterInputs, tokenStatistics, trainingInputs } from '@polymode/policy';
import { afterAll, describe, expect, it } from 'vitest';
import {
  completionValues,
  loadReference,
  REFERENCE_MODELS,
  sequencesOf,
  worstGradient,
} from '../../policy/test/references.js';

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
      const batch = packSequences(sequencesOf(values, values.prompt_lengths), values.padding);
      const inputs = trainingInputs(batch.length);
      const parameters = parameterInputs(config);
      const { logProbabilities } = tokenStatistics(
        config,
        parameters,
        inputs.tokens,
        inputs.positions,
        inputs.at,
        inputs.targets,
        inputs.temperature,
      );
      const perToken = (name: string): Tensor => input(name, 'float32', ['M']);
      const loss = clippedSurrogate(
        {
          logProbabilities,
          oldLogProbabilities: perToken('old'),
          advantages: perToken('advantages'),
          weights: perToken('weights'),
          reference: { logProbabilities: perToken('reference'), coefficient: input('beta', 'float32', []) },
        },
        input('epsilon', 'float32', []),
      );
      const names = Object.keys(parameters);
      const made = gradients(loss, Object.values(parameters));
      const outputs: Record<string, Tensor> = { loss };
      for (const [i, name] of names.entries()) outputs[name] = made[i]!;
      const session = await engine.compile(compileGraph(outputs, profile));

      // Tokens of inactive groups weigh nothing; the others share one.
      const picked = (rows: readonly (readonly number[])[]): number[] =>
        completionValues(values, rows, values.prompt_lengths);
      const active = values.completion_mask.flat().reduce((a, b) => a + b, 0);
      const vector = (data: number[]) => float32(data, [batch.count]);
      const { tokens, positions, at, targets } = batch;
      const out = await session.run(
        {
          ...policy.weightFeeds(),
          tokens,
          positions,
          at,
          targets,
          temperature: float32([1], []),
          old: vector(picked(values.old_log_probabilities)),
          reference: vector(picked(values.reference_log_probabilities)),
          advantages: vector(picked(values.completion_mask.map((row, b) => row.map(() => values.advantages[b]!)))),
          weights: vector(picked(values.completion_mask).map((m) => m / active)),
          beta: float32([values.beta], []),
          epsilon: float32([values.epsilon], []),
        },
        Object.fromEntries(Object.keys(outputs).map((name) => [name, 'return' as const])),
      );
      expect(Number(out.loss!.data[0])).toBeCloseTo(values.losses.surrogate, 6);
      const byName = Object.fromEntries(names.map((name) => [name, out[name]!.data as Float32Array]));
      const worst = worstGradient(byName, tensors, 'surrogate');
      // Measured 6e-6; float32 log-probabilities of order 10 carry 1e-6 into every ratio.
      expect(worst.error, worst.name).toBeLessThan(2e-5);
    },
  );
});
