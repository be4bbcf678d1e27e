import { type AdvantageOptions, objectives } from '@polymode/objectives/advantages';
import { expect, it } from 'vitest';

const REWARDS = [4, 1] as const;

/**
 * Expected change of z₂ − z₁ in one gradient step of a softmax policy over two outcomes, the second with probability p.
 * Exact: the completions of a group are interchangeable, so a sum over how many of the G are the second outcome.
 *
 * The step on group members i is (1/G) Σ Aᵢ ∇ log π(oᵢ), and d(z₂ − z₁) of ∇ log π(o) is (o is 2 ? 1 : −1) − (p₂ − p₁).
 */
function drift(p: number, groupSize: number, options: AdvantageOptions): number {
  let expected = 0;
  let binomial = 1;
  for (let second = 0; second <= groupSize; second++) {
    const kinds = Array.from({ length: groupSize }, (_, i) => (i < second ? 1 : 0));
    const { advantages } = objectives['ips-grpo'](
      kinds.map((kind) => REWARDS[kind]!),
      kinds.map(String),
      options,
    );
    const step = kinds.reduce<number>(
      (sum, kind, i) => sum + advantages[i]! * ((kind === 1 ? 1 : -1) - (2 * p - 1)),
      0,
    );
    expected += (binomial * p ** second * (1 - p) ** (groupSize - second) * step) / groupSize;
    binomial = (binomial * (groupSize - second)) / (second + 1);
  }
  return expected;
}

/** Where the drift changes from + to −, by a scan and bisection; [0] when it is negative all the way down to 0. */
function stableShares(groupSize: number, options: AdvantageOptions): number[] {
  const found: number[] = drift(1e-7, groupSize, options) < 0 ? [0] : [];
  const grid = Array.from({ length: 2000 }, (_, i) => (i + 0.5) / 2000);
  for (const [i, low] of grid.slice(0, -1).entries()) {
    let [a, b] = [low, grid[i + 1]!];
    if (!(drift(a, groupSize, options) > 0 && drift(b, groupSize, options) <= 0)) continue;
    for (let k = 0; k < 40; k++) {
      const middle = (a + b) / 2;
      if (drift(middle, groupSize, options) > 0) a = middle;
      else b = middle;
    }
    found.push((a + b) / 2);
  }
  return found;
}

const settings = {
  none: { baseline: 'none', normalize: 'none' },
  mean: { baseline: 'mean', normalize: 'none' },
  'mean and std': { baseline: 'mean', normalize: 'std' },
} as const satisfies Record<string, AdvantageOptions>;

it.each([
  ['none', 5, 0.073],
  ['none', 6, 0.115],
  ['none', 8, 0.157],
  ['none', 16, 0.195],
  ['mean', 5, 0],
  ['mean', 6, 0.073],
  ['mean', 8, 0.14],
  ['mean', 16, 0.194],
  ['mean and std', 5, 0],
  ['mean and std', 6, 0.186],
  ['mean and std', 8, 0.133],
  ['mean and std', 16, 0.204],
] as const)('baseline %s, G = %i: the weaker outcome settles at %f', (setting, groupSize, share) => {
  const stable = stableShares(groupSize, settings[setting]);
  expect(stable.map((s) => Math.round(s * 1000) / 1000)).toEqual([share]);
});
