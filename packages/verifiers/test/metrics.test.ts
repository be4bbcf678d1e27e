import {
  type Assessment,
  equalRewards,
  idealL1,
  idealRecovery,
  idealSummary,
  idealTopOutcomeShare,
  l1ToTarget,
  recovery,
  summarize,
  topOutcomeShare,
  validity,
} from '@polymode/verifiers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const H = ['a', 'b', 'c', 'd'];
const REWARDS = equalRewards(H);

function answers(keys: readonly (string | null)[]): Assessment[] {
  return keys.map((key) => {
    const valid = key !== null && H.includes(key);
    return { key, valid, reward: valid ? 1 : 0, countsForUniqueness: key !== null };
  });
}

describe('metrics', () => {
  it('worked by hand: a a a b z and one unreadable, of four right answers', () => {
    // p̂: a 1/2, b 1/6, c 0, d 0; |1/2−1/4| + |1/6−1/4| + 1/4 + 1/4 = 5/6; outside: z and the unreadable, 1/3.
    expect(summarize(answers(['a', 'a', 'a', 'b', 'z', null]), REWARDS)).toEqual({
      parse_rate: 5 / 6,
      validity: 4 / 6,
      mean_reward: 4 / 6,
      uniqueness: 3 / 6,
      recovery: 2 / 4,
      top_outcome_share: 3 / 6,
      l1_to_target: expect.closeTo(5 / 6 + 1 / 3, 12),
    });
  });

  it('extremes of the distance', () => {
    expect(l1ToTarget(answers(H), REWARDS)).toBe(0);
    expect(l1ToTarget(answers(['z', null]), REWARDS)).toBe(2);
    expect(l1ToTarget(answers(['a']), REWARDS)).toBe(1.5);
    expect(topOutcomeShare(answers([null, null]))).toBe(0);
    // Rewards 3 and 1: the target is 3/4 and 1/4.
    expect(
      l1ToTarget(
        answers(['a', 'a', 'a', 'b']),
        new Map([
          ['a', 3],
          ['b', 1],
        ]),
      ),
    ).toBe(0);
    expect(
      l1ToTarget(
        answers(['a', 'b']),
        new Map([
          ['a', 3],
          ['b', 1],
        ]),
      ),
    ).toBe(0.5);
  });

  it('stay within their bounds and do not see order', () => {
    const some = fc.array(fc.option(fc.constantFrom(...H, 'y', 'z'), { nil: null }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(some, (keys) => {
        const summary = summarize(answers(keys), REWARDS);
        expect(summary.recovery * H.length).toBeLessThanOrEqual(summary.validity * keys.length + 1e-9);
        expect(summary.validity).toBeLessThanOrEqual(summary.parse_rate);
        expect(summary.uniqueness).toBeLessThanOrEqual(summary.parse_rate);
        expect(summary.l1_to_target).toBeGreaterThanOrEqual(2 * (1 - summary.validity) - 1e-9);
        expect(summary.l1_to_target).toBeLessThanOrEqual(2 + 1e-9);
        expect(summarize(answers([...keys].reverse()), REWARDS)).toEqual(summary);
      }),
    );
  });

  it('need answers and an admissible set', () => {
    expect(() => validity([])).toThrow(RangeError);
    expect(() => recovery(answers(['a']), 0)).toThrow(RangeError);
    expect(() => l1ToTarget(answers(['a']), new Map())).toThrow(RangeError);
  });
});

describe('the ideal sampler', () => {
  /** Means over all K^N sequences of draws, by the metrics themselves. */
  function enumerated(draws: number, members: number) {
    const keys = Array.from({ length: members }, (_, i) => H[i]!);
    const total = members ** draws;
    const sums = { uniqueness: 0, recovery: 0, top_outcome_share: 0, l1_to_target: 0 };
    for (let code = 0; code < total; code++) {
      const drawn = Array.from({ length: draws }, (_, i) => keys[Math.floor(code / members ** i) % members]!);
      const summary = summarize(answers(drawn), equalRewards(keys));
      for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] += summary[name] / total;
    }
    return sums;
  }

  it.each([
    [1, 1],
    [5, 1],
    [1, 4],
    [3, 2],
    [6, 3],
    [6, 4],
  ])('%i draws from %i agree with every sequence there is', (draws, members) => {
    const ideal = idealSummary(draws, members);
    for (const [name, mean] of Object.entries(enumerated(draws, members))) {
      expect(ideal[name as keyof typeof ideal]).toBeCloseTo(mean, 10);
    }
    expect(ideal.validity).toBe(1);
  });

  it('known values', () => {
    expect(idealRecovery(54, 27)).toBeCloseTo(1 - (26 / 27) ** 54, 12);
    // A fair coin, N = 2: shares are (1, 0) half of the time and even otherwise.
    expect(idealTopOutcomeShare(2, 2)).toBeCloseTo(0.75, 12);
    expect(idealL1(2, 2)).toBeCloseTo(0.5, 12);
  });

  it('tends to the target with many draws, and stays accurate', () => {
    expect(idealL1(20_000, 4)).toBeLessThan(0.02);
    // The mean largest of four near-normal counts: N/4 + √(3N/16)·c, c ≈ 1.19 for four with correlation −1/3.
    const n = 1000;
    expect(idealTopOutcomeShare(n, 4)).toBeCloseTo(0.25 + (Math.sqrt((3 * n) / 16) * 1.189) / n, 3);
  });

  it.each([
    [0, 3],
    [3, 0],
    [1.5, 3],
  ])('%d draws from %d are refused', (draws, members) => {
    expect(() => idealSummary(draws, members)).toThrow(RangeError);
  });
});
