import { add, clip, exp, minimum, mul, neg, sub, sum, type Tensor } from '@polymode/autodiff';

export interface SurrogateInputs {
  /** log π_θ of each completion token, [M] */
  readonly logProbabilities: Tensor;
  /** log π_old: what the token was sampled with, [M] */
  readonly oldLogProbabilities: Tensor;
  /** the advantage of the completion that the token belongs to, [M] */
  readonly advantages: Tensor;
  /** what the token counts for, [M]; 1 / (completion tokens of all groups with spread) gives the token mean */
  readonly weights: Tensor;
  /** log π_ref, [M], and β ≥ 0, scalar; absent without a reference */
  readonly reference?: { readonly logProbabilities: Tensor; readonly coefficient: Tensor };
}

/**
 * The clipped token-level surrogate with a penalty for leaving the reference, as a scalar to minimise:
 *
 *     L = −Σ_t w_t · ( min(ρ_t A_t, clip(ρ_t, 1−ε, 1+ε) A_t) − β·k_t )
 *     ρ_t = exp(log π_θ − log π_old),   k_t = exp(d_t) − d_t − 1,  d_t = log π_ref − log π_θ
 *
 * Source: GRPO, arXiv:2402.03300v3, Eq. (3), with its unbiased KL estimator, Eq. (4). Ours: tokens are averaged over
 * the whole step (as DAPO, arXiv:2503.14476, does) rather than within each completion first, so that a long completion's tokens
 * count as much as a short one's. Weights of tokens whose group has no spread must be zero or, better, the tokens
 * left out: they would dilute the mean and pull in the penalty alone.
 *
 * @param epsilon ε, float32 scalar in (0, 1)
 */
export function clippedSurrogate(inputs: SurrogateInputs, epsilon: Tensor): Tensor {
  const { logProbabilities, oldLogProbabilities, advantages, weights, reference } = inputs;
  const ratio = exp(sub(logProbabilities, oldLogProbabilities));
  const clipped = clip(ratio, sub(1, epsilon), add(1, epsilon));
  let gain = minimum(mul(ratio, advantages), mul(clipped, advantages));
  if (reference !== undefined) {
    const difference = sub(reference.logProbabilities, logProbabilities);
    const divergence = sub(sub(exp(difference), difference), 1);
    gain = sub(gain, mul(reference.coefficient, divergence));
  }
  return neg(sum(mul(weights, gain)));
}
