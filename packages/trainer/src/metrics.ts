import type { Graded } from './rollout.js';

/** What a set of groups shows, whatever is done with it afterwards. Ungraded completions count in no figure of grades. */
export function rolloutMetrics(groups: readonly (readonly Graded[])[]): Record<string, number> {
  const graded = groups.flat().filter((g) => g.grade !== null);
  const rewards = graded.map((g) => g.grade!.reward);
  const all = groups.flat();
  const outcomes = groups
    .map((group) => group.flatMap((g) => (g.grade === null ? [] : [g.grade.outcome])))
    .filter((known) => known.length > 0);
  const distinct = outcomes.map((known) => new Set(known).size / known.length);
  const top = outcomes.map((known) => {
    const counts = new Map<string, number>();
    for (const outcome of known) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    return Math.max(...counts.values()) / known.length;
  });
  const parts = new Set(graded.flatMap((g) => Object.keys(g.grade!.subRewards ?? {})));
  const partMeans = [...parts].map((part): [string, number] => [
    `reward_mean/${part}`,
    average(graded.map((g) => g.grade!.subRewards?.[part] ?? 0)),
  ]);
  return {
    reward_mean: average(rewards),
    reward_std: deviation(rewards),
    ...Object.fromEntries(partMeans),
    unique_outcomes_frac: average(distinct),
    top_outcome_share: average(top),
    completion_tokens_mean: average(all.map((g) => g.completion.tokens.length)),
    ungraded_frac: average(all.map((g) => (g.grade === null ? 1 : 0))),
    unreadable_frac: average(graded.map((g) => (g.grade!.unreadable === undefined ? 0 : 1))),
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
