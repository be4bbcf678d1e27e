import type { Tensor } from '@polymode/autodiff';
import type { Sequence, TokenStatistics } from '@polymode/policy';

/**
 * A loss over completion tokens, a sum with one term a token, so that it may be computed some tokens at a time. Its
 * inputs are made on demand, by name: one value a token, or one a step.
 */
export interface TokenLoss {
  /** Losses with one name have one graph. */
  readonly name: string;
  /** figures of each token, as they were before the update, that a step is to return */
  readonly reports: readonly (keyof TokenStatistics)[];
  /** @returns the sum over the tokens of these statistics, a scalar */
  build(statistics: TokenStatistics, perToken: (name: string) => Tensor, perStep: (name: string) => Tensor): Tensor;
}

/** A completion and what the loss reads about each of its tokens: name → one value a completion token. */
export interface TrainingSequence extends Sequence {
  readonly perToken: Readonly<Record<string, Float32Array>>;
}
