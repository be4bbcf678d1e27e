import type { Graded } from './rollout.js';

/** What a set of groups shows, whatever is done with it afterwards. */
export function rolloutMetrics(groups: readonly (readonly Graded[])[]): Record<string, number> {
  const graded = groups.flat().filter((g) => g.grade !== null);
  const rewards = graded.map((g) => g.grade!.reward);
  const all = groups.flat();
  const distinct = groups.map((group) => {
    const outcomes = group.flatMap((g) => (g.grade === null ? [] : [g.grade.outcome]));
    return outcomes.length === 0 ? 0 : new Set(outcomes).size / outcomes.length;
  });
  const top = groups.map((group) => {
    const counts = new Map<string, number>();
    for (const g of group) if (g.grade !== null) counts.set(g.grade.outcome, (counts.get(g.grade.outcome) ?? 0) + 1);
    return counts.size === 0 ? 0 : Math.max(...counts.values()) / group.length;
  });
  return {
    reward_mean: average(rewards),
    reward_std: deviation(rewards),
    unique_outcomes_frac: average(distinct),
    top_outcome_share: average(top),
    completion_tokens_mean: average(all.map((g) => g.completion.tokens.length)),
    truncated_frac: average(all.map((g) => (g.completion.finishReason === 'length' ? 1 : 0))),
  };
}

export function average(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((a, b) => a + b, 0) / values.length;
}

function deviation(values: readonly number[]): number {
  const mean = average(values);
  return Math.sqrt(average(values.map((v) => (v - mean) ** 2)));
}
