import { likelihoodLoss } from './likelihood-loss.js';
import type { MemoryDemand } from './memory-plan.js';
import { surrogateLoss } from './surrogate-update.js';
import type { LearnerHyperparameters, ReinforcementHyperparameters } from './types.js';

/** What a method asks of memory at its fullest, whatever the model. */
export type JobDemand = Omit<MemoryDemand, 'policy' | 'secondModel'>;

/** Tokens of a sequence's two parts. */
export interface SequenceLengths {
  readonly prompt: number;
  readonly completion: number;
}

export const lengthsOf = ({
  prompt,
  completion,
}: {
  prompt: readonly number[];
  completion: readonly number[];
}): SequenceLengths => ({ prompt: prompt.length, completion: completion.length });

/** Of learning given answers. @param groupSize answers of a row that share a prompt */
export function imitationDemand(
  sequences: readonly SequenceLengths[],
  groupSize: 1 | 2,
  { batch_size: groups }: LearnerHyperparameters,
): JobDemand {
  return {
    loss: likelihoodLoss,
    sampling: null,
    promptTokens: longest(sequences.map(({ prompt }) => prompt)),
    completionTokens: longest(sequences.map(({ completion }) => completion)),
    groupSize,
    groups,
  };
}

/** Of sampling and grading. @param training, validation tokens of their prompts */
export function reinforcementDemand(
  training: readonly number[],
  validation: readonly number[],
  h: ReinforcementHyperparameters,
): JobDemand {
  const promptTokens = longest(training);
  return {
    loss: surrogateLoss(h.kl_coefficient > 0),
    sampling: {
      prompts: h.batch_size,
      groupSize: h.group_size,
      promptLength: Math.max(promptTokens, longest(validation)),
      completionLength: h.max_completion_tokens,
    },
    promptTokens,
    completionTokens: h.max_completion_tokens,
    groupSize: h.group_size,
    groups: h.batch_size,
  };
}

const longest = (lengths: readonly number[]): number => lengths.reduce((a, b) => Math.max(a, b), 0);
