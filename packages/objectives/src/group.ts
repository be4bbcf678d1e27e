/** How the advantages of a group are computed; every field has a default. */
export interface AdvantageOptions {
  /** read by objectives that weight by inverse probability */
  readonly ips?: {
    /** α ≥ 0; 1 is the paper's, 0 is GRPO, and the ideal policy is ∝ r^(1/α). @defaultValue 1 */
    readonly exponent?: number;
    /** ε in (0, 1]: estimated probabilities below it count as ε. At most 1/G it never clips. @defaultValue 1/G */
    readonly epsilon?: number;
  };
  /**
   * What is subtracted from the scaled rewards. `none` leaves them as they are, so that a group of equal rewards other
   * than 0 still has a gradient. @defaultValue 'mean'
   */
  readonly baseline?: 'mean' | 'none';
  /** `none` leaves out the division by the standard deviation, as Dr. GRPO (arXiv:2503.20783) does. @defaultValue 'std' */
  readonly normalize?: 'std' | 'none';
  /** δ ≥ 0, added to the standard deviation, in units of the scaled reward. @defaultValue 1e-6 */
  readonly delta?: number;
}

/** Advantages of one group and how they came about; arrays are in the order of the completions, [G]. */
export interface GroupAdvantages {
  /** all exactly 0 when there is no spread */
  readonly advantages: number[];
  /** r̃: rewards times weights */
  readonly scaledRewards: number[];
  /** p̂: the share of the group that has this completion's outcome */
  readonly frequencies: number[];
  /** largest factor that a reward was multiplied with; 1 without weighting */
  readonly maxWeight: number;
  /**
   * false when the group has nothing to teach: every scaled reward is equal (with baseline `none`: is 0). Leave such
   * completions out of the loss, the average over tokens and the penalty for leaving the reference: they would dilute the
   * one and pull in the other alone.
   */
  readonly hasSpread: boolean;
}

/**
 * One step's advantages of one group.
 *
 * @param rewards_G one finite reward per completion of the same prompt
 * @param outcomes_G what each completion means; equal strings are the same outcome
 * @returns no spread for fewer than two completions under the `mean` baseline
 * @throws RangeError for lengths that differ, rewards that are not finite, or options out of range
 */
export type Objective = (
  rewards_G: readonly number[],
  outcomes_G: readonly string[],
  options?: AdvantageOptions,
) => GroupAdvantages;

/** Relative differences up to this are rounding: r / p̂ of outcomes that tie exactly may differ in the last bits. */
const ROUNDING = 1e-12;

/**
 * Aᵢ = (r̃ᵢ − mean r̃) / (std r̃ + δ), with r̃ᵢ = wᵢ rᵢ.
 *
 * Source: GRPO, arXiv:2402.03300v3, section 4.1.2 (outcome supervision).
 * Ours: the population standard deviation (divided by G), δ for safety, and exact zeros for equal scaled rewards.
 *
 * @param weightOf the factor of a completion's reward from p̂ of its outcome
 */
export function groupAdvantages(
  rewards_G: readonly number[],
  outcomes_G: readonly string[],
  weightOf: (frequency: number) => number,
  options: AdvantageOptions,
): GroupAdvantages {
  const { baseline = 'mean', normalize = 'std', delta = 1e-6 } = options;
  checkGroup(rewards_G, outcomes_G);
  if (!(delta >= 0 && delta < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`delta must be a finite number of at least 0, not ${delta}.`);
  }

  const frequencies_G = shares(outcomes_G);
  const weights_G = frequencies_G.map(weightOf);
  const scaled_G = rewards_G.map((r, i) => r * weights_G[i]!);

  const mean = average(scaled_G);
  const centre = baseline === 'mean' ? mean : 0;
  const hasSpread = scaled_G.some((r) => Math.abs(r - centre) > ROUNDING * Math.abs(centre));
  const std = Math.sqrt(average(scaled_G.map((r) => (r - mean) ** 2)));
  const scale = normalize === 'std' ? std + delta : 1;
  return {
    advantages: scaled_G.map((r) => (hasSpread ? (r - centre) / scale : 0)),
    scaledRewards: scaled_G,
    frequencies: frequencies_G,
    maxWeight: Math.max(1, ...weights_G),
    hasSpread,
  };
}

/** p̂: for each completion, the share of the group with its outcome. */
function shares(outcomes_G: readonly string[]): number[] {
  const counts = new Map<string, number>();
  for (const outcome of outcomes_G) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  return outcomes_G.map((outcome) => counts.get(outcome)! / outcomes_G.length);
}

function checkGroup(rewards_G: readonly number[], outcomes_G: readonly string[]): void {
  if (rewards_G.length !== outcomes_G.length) {
    throw new RangeError(`There are ${rewards_G.length} rewards for ${outcomes_G.length} outcomes; give one of each.`);
  }
  rewards_G.forEach((reward, i) => {
    if (!Number.isFinite(reward)) throw new RangeError(`Reward ${i} is ${reward}; rewards must be finite numbers.`);
  });
}

function average(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, v) => sum + v, 0) / values.length;
}
