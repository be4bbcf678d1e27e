import { type Feed, float32, gatherRows } from '@polymode/autodiff';
import {
  type ParameterTensors,
  type Policy,
  packSequences,
  type Sequence,
  sequenceHidden,
  sequenceInputs,
  type TokenStatistics,
  tokenStatistics,
} from '@polymode/policy';

/**
 * Statistics of completion tokens computed the plain way, each sequence with a copy of its prompt: what everything that
 * shares prompts must agree with.
 */
export function repeatedBatch(
  policy: Policy,
  sequences: readonly Sequence[],
  temperature: number,
): { statistics: TokenStatistics; parameters: ParameterTensors; feeds: Record<string, Feed>; count: number } {
  const { length, count, tokens, positions, at, targets } = packSequences(sequences, policy.paddingToken);
  const inputs = sequenceInputs(length);
  const parameters = policy.parameterInputs();
  const { hidden } = sequenceHidden(policy.config, parameters, inputs.tokens, inputs.positions);
  const chosen = gatherRows(hidden, inputs.at);
  return {
    statistics: tokenStatistics(policy.config, parameters, chosen, inputs.targets, inputs.temperature),
    parameters,
    feeds: { ...policy.weightFeeds(), tokens, positions, at, targets, temperature: float32([temperature], []) },
    count,
  };
}
