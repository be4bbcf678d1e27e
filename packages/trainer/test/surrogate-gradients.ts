import { compileGraph, float32, gradients, input, type Profile, type Tensor } from '@polymode/autodiff';
import { clippedSurrogate } from '@polymode/objectives';
import {
  type Policy,
  packSequences,
  parameterInputs,
  type Sequence,
  tokenStatistics,
  trainingInputs,
} from '@polymode/policy';

/** What the surrogate reads of each completion token, sequence after sequence: [M] each. */
export interface PerToken {
  readonly old: readonly number[];
  readonly reference: readonly number[];
  readonly advantages: readonly number[];
  readonly weights: readonly number[];
}

/** The surrogate's value under `loss`, and its gradient by every parameter under the parameter's name. */
export async function surrogateGradients(
  policy: Policy,
  profile: Profile,
  sequences: readonly Sequence[],
  perToken: PerToken,
  scalars: { readonly temperature: number; readonly beta: number; readonly epsilon: number },
): Promise<Record<string, Float32Array>> {
  const { length, count, tokens, positions, at, targets } = packSequences(sequences, policy.paddingToken);
  const inputs = trainingInputs(length);
  const parameters = parameterInputs(policy.config);
  const { logProbabilities } = tokenStatistics(
    policy.config,
    parameters,
    inputs.tokens,
    inputs.positions,
    inputs.at,
    inputs.targets,
    inputs.temperature,
  );
  const vector = (name: keyof PerToken): Tensor => input(name, 'float32', ['M']);
  const loss = clippedSurrogate(
    {
      logProbabilities,
      oldLogProbabilities: vector('old'),
      advantages: vector('advantages'),
      weights: vector('weights'),
      reference: { logProbabilities: vector('reference'), coefficient: input('beta', 'float32', []) },
    },
    input('epsilon', 'float32', []),
  );
  const made = gradients(loss, Object.values(parameters));
  const outputs: Record<string, Tensor> = { loss };
  for (const [i, name] of Object.keys(parameters).entries()) outputs[name] = made[i]!;
  const session = await policy.engine.compile(compileGraph(outputs, profile));
  const out = await session.run(
    {
      ...policy.weightFeeds(),
      tokens,
      positions,
      at,
      targets,
      ...Object.fromEntries(Object.entries(perToken).map(([name, values]) => [name, float32(values, [count])])),
      ...Object.fromEntries(Object.entries(scalars).map(([name, value]) => [name, float32([value], [])])),
    },
    Object.fromEntries(Object.keys(outputs).map((name) => [name, 'return' as const])),
  );
  return Object.fromEntries(Object.keys(outputs).map((name) => [name, out[name]!.data as Float32Array]));
}
