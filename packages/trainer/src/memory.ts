import type { GroupShape, Policy } from '@polymode/policy';

/**
 * Bytes of everything that one forward and backward pass over so many groups keeps beside weights and optimizer state.
 */
export function trainingBytes(policy: Policy, shape: GroupShape, groups: number): number {
  const { config } = policy;
  const { promptLength: p, completionLength: c, groupSize: g } = shape;
  const queries = config.numAttentionHeads * config.headDim;
  const keys = config.numKeyValueHeads * config.headDim;
  const rows = p + g * c;
  const perRow = 6 * config.hiddenSize + 6 * queries + 4 * keys + 5 * config.intermediateSize;
  const scores = config.numAttentionHeads * (p * p + g * c * (p + c));
  return 4 * groups * config.numHiddenLayers * (rows * perRow + 2 * scores);
}
