import {
  argMax,
  cast,
  div,
  equal,
  exp,
  gatherElements,
  linear,
  logSoftmax,
  mul,
  neg,
  squeeze,
  stopGradient,
  sum,
  type Tensor,
  unsqueeze,
} from '@polymode/autodiff';
import type { ModelConfig } from '../config.js';
import { familyOf } from '../families/index.js';
import { type ParameterTensors, weightOf } from './parameters.js';

/** Logits of hidden states. @param hidden [M, d], before the last norm @returns [M, V] */
export function vocabularyLogits(config: ModelConfig, parameters: ParameterTensors, hidden: Tensor): Tensor {
  const family = familyOf(config);
  return linear(family.finalNorm(config, parameters, hidden), weightOf(parameters, family.vocabularyWeight(config)));
}

export interface TokenStatistics {
  /** log π(target | everything before it) at the sampling temperature, [M] */
  readonly logProbabilities: Tensor;
  /** entropy of the next-token distribution at the sampling temperature, in nats, [M]; carries no gradient */
  readonly entropies: Tensor;
  /** 1 where the target is the likeliest token, else 0: float32 [M]; carries no gradient */
  readonly matches: Tensor;
}

/**
 * Teacher-forced log-probabilities of chosen next tokens.
 *
 * @param hidden [M, d], before the last norm: only positions whose next token is asked for
 * @param targets int32 [M]: those next tokens
 * @param temperature float32 scalar > 0
 */
export function tokenStatistics(
  config: ModelConfig,
  parameters: ParameterTensors,
  hidden: Tensor,
  targets: Tensor,
  temperature: Tensor,
): TokenStatistics {
  const family = familyOf(config);
  // Divided before they are so many.
  const scaled = div(family.finalNorm(config, parameters, hidden), temperature);
  const logs = logSoftmax(linear(scaled, weightOf(parameters, family.vocabularyWeight(config)))); // [M, V]
  const logProbabilities = squeeze(gatherElements(logs, unsqueeze(targets, [1]), 1), [1]);
  const fixed = stopGradient(logs);
  return {
    logProbabilities,
    entropies: neg(sum(mul(exp(fixed), fixed), [1])),
    matches: cast(equal(cast(argMax(fixed), 'int32'), targets), 'float32'),
  };
}
