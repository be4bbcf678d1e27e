import { type AdvantageOptions, type GroupAdvantages, groupAdvantages } from './group.js';

/**
 * Group-relative advantages: Aᵢ = (rᵢ − mean r) / (std r + δ). Outcomes are counted for the diagnostics only.
 *
 * Source: GRPO, arXiv:2402.03300v3, section 4.1.2 (outcome supervision).
 */
export function grpo(
  rewards_G: readonly number[],
  outcomes_G: readonly string[],
  options: AdvantageOptions = {},
): GroupAdvantages {
  return groupAdvantages(rewards_G, outcomes_G, () => 1, options);
}
