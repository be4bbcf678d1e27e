import type { Assessment } from './task.js';

/** What the metrics say about N answers to one instance. */
export interface Summary {
  readonly parse_rate: number;
  readonly validity: number;
  readonly mean_reward: number;
  readonly uniqueness: number;
  readonly recovery: number;
  readonly top_outcome_share: number;
  readonly l1_to_target: number;
}

/** Share of the answers that could be read. */
export function parseRate(answers: readonly Assessment[]): number {
  return answers.filter((a) => a.key !== null).length / countOf(answers);
}

/** V: share of the answers that are in the admissible set, repeats included. */
export function validity(answers: readonly Assessment[]): number {
  return answers.filter((a) => a.valid).length / countOf(answers);
}

export function meanReward(answers: readonly Assessment[]): number {
  return answers.reduce((sum, a) => sum + a.reward, 0) / countOf(answers);
}

/**
 * U: distinct keys over all N answers. Whether an answer that is not valid counts is the task's rule: voxel structures
 * count once they are read, Boolean expressions only if they lie in the hypothesis space.
 */
export function uniqueness(answers: readonly Assessment[]): number {
  return new Set(answers.filter((a) => a.countsForUniqueness).map((a) => a.key)).size / countOf(answers);
}

/**
 * Share of the admissible set that was found: distinct valid keys over |H|.
 *
 * @param admissibleCount |H| ≥ 1
 */
export function recovery(answers: readonly Assessment[], admissibleCount: number): number {
  countOf(answers);
  if (!(admissibleCount >= 1)) {
    throw new RangeError(`Recovery needs an admissible set with members; it has ${admissibleCount}.`);
  }
  return new Set(answers.filter((a) => a.valid).map((a) => a.key)).size / admissibleCount;
}

/** Share of the N answers that the commonest key has. Answers that cannot be read have no key. */
export function topOutcomeShare(answers: readonly Assessment[]): number {
  const n = countOf(answers);
  return Math.max(0, ...countKeys(answers).values()) / n;
}

/**
 * ℓ1 distance between the answers and the reward-proportional target: Σ_{k ∈ H} |p̂(k) − r(k) / Σ r| plus the share of answers
 * outside H. Between 0 and 2.
 *
 * @param rewards r of each member of H, not all 0
 */
export function l1ToTarget(answers: readonly Assessment[], rewards: ReadonlyMap<string, number>): number {
  const n = countOf(answers);
  const total = [...rewards.values()].reduce((a, b) => a + b, 0);
  if (!(total > 0))
    throw new RangeError(`The distance needs an admissible set that earns something; it earns ${total}.`);
  // A key may be coarser than an answer, so that wrong answers have the key of right ones.
  const counts = countKeys(answers.filter((a) => a.valid));
  let inside = 0;
  let distance = 0;
  for (const [key, reward] of rewards) {
    const count = counts.get(key) ?? 0;
    inside += count;
    distance += Math.abs(count / n - reward / total);
  }
  return distance + (n - inside) / n;
}

/** Every metric of N ≥ 1 answers to one instance. @param rewards of each member of H, not all 0 */
export function summarize(answers: readonly Assessment[], rewards: ReadonlyMap<string, number>): Summary {
  return {
    parse_rate: parseRate(answers),
    validity: validity(answers),
    mean_reward: meanReward(answers),
    uniqueness: uniqueness(answers),
    recovery: recovery(answers, rewards.size),
    top_outcome_share: topOutcomeShare(answers),
    l1_to_target: l1ToTarget(answers, rewards),
  };
}

function countOf(answers: readonly Assessment[]): number {
  if (answers.length === 0) throw new RangeError('A metric needs at least one answer.');
  return answers.length;
}

function countKeys(answers: readonly Assessment[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { key } of answers) if (key !== null) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}
