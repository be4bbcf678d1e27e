import { type AdvantageOptions, type GroupAdvantages, groupAdvantages } from './group.js';

/**
 * GRPO on rewards divided by how often their outcome was sampled, which makes the policy's fixed point proportional to
 * the reward instead of its commonest best answer:
 *
 *     p̂(o) = (completions of the group with outcome o) / G
 *     r̃ᵢ   = rᵢ / max(p̂(oᵢ), ε)^α
 *     Aᵢ   = (r̃ᵢ − mean r̃) / (std r̃ + δ)
 *
 * Source: IPS-GRPO, arXiv:2601.21669v1, Eq. (9) and Algorithm 1. Ours: the exponent α, which is 1 there.
 *
 * Limits: beside an outcome of reward r₁, one of reward r₂ < r₁ survives at α = 1 only if G > 1 + r₁/r₂; and when there
 * are many more good outcomes than G, counts in one group tell little about them.
 */
export function ipsGrpo(
  rewards_G: readonly number[],
  outcomes_G: readonly string[],
  options: AdvantageOptions = {},
): GroupAdvantages {
  const { exponent = 1, epsilon = 1 / Math.max(1, rewards_G.length) } = options.ips ?? {};
  if (!(exponent >= 0 && exponent < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`ips.exponent must be a finite number of at least 0, not ${exponent}.`);
  }
  if (!(epsilon > 0 && epsilon <= 1))
    throw new RangeError(`ips.epsilon must be above 0 and at most 1, not ${epsilon}.`);
  return groupAdvantages(rewards_G, outcomes_G, (p) => 1 / Math.max(p, epsilon) ** exponent, options);
}
