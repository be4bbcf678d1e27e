import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Algorithm, objectives } from './advantages.js';

const { grpo, 'ips-grpo': ipsGrpo } = objectives;
const exact = { delta: 0 } as const;
const algorithms = Object.keys(objectives) as Algorithm[];

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  for (const [i, e] of expected.entries())
    expect(Math.abs(actual[i]! - e)).toBeLessThanOrEqual(1e-9 * (1 + Math.abs(e)));
}

/** A group of 2..12 completions; an outcome decides its reward, as it does for a grader. */
const group = fc
  .tuple(
    fc.array(fc.double({ min: 0, max: 10, noNaN: true }), { minLength: 4, maxLength: 4 }),
    fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 2, maxLength: 12 }),
  )
  .map(([rewardOf, kinds]) => ({ rewards: kinds.map((k) => rewardOf[k]!), outcomes: kinds.map(String) }));

describe('worked by hand', () => {
  it('GRPO: rewards 1 0 0 1 have mean 1/2 and population deviation 1/2', () => {
    const result = grpo([1, 0, 0, 1], ['a', 'b', 'c', 'd'], exact);
    expect(result.advantages).toEqual([1, -1, -1, 1]);
    expect(result).toMatchObject({ hasSpread: true, maxWeight: 1, scaledRewards: [1, 0, 0, 1] });
  });

  it('GRPO without std: the distance from the mean', () => {
    expect(grpo([3, 0, 0, 1], ['a', 'b', 'b', 'c'], { normalize: 'none' }).advantages).toEqual([2, -1, -1, 0]);
  });

  it('IPS-GRPO: a (3 of 4) scales to 4/3, b (1 of 4) to 4; mean 2', () => {
    const result = ipsGrpo([1, 1, 1, 1], ['a', 'a', 'a', 'b'], { normalize: 'none' });
    expectClose(result.scaledRewards, [4 / 3, 4 / 3, 4 / 3, 4]);
    expectClose(result.advantages, [-2 / 3, -2 / 3, -2 / 3, 2]);
    expect(result.frequencies).toEqual([0.75, 0.75, 0.75, 0.25]);
    expect(result).toMatchObject({ hasSpread: true, maxWeight: 4 });
    // population deviation √((3·(2/3)² + 2²) / 4) = √(4/3)
    const s = Math.sqrt(4 / 3);
    expectClose(ipsGrpo([1, 1, 1, 1], ['a', 'a', 'a', 'b'], exact).advantages, [
      -2 / 3 / s,
      -2 / 3 / s,
      -2 / 3 / s,
      2 / s,
    ]);
  });

  it('ε above p̂ caps the weight: b counts as 1/2, so 2', () => {
    const result = ipsGrpo([1, 1, 1, 1], ['a', 'a', 'a', 'b'], { ips: { epsilon: 0.5 } });
    expectClose(result.scaledRewards, [4 / 3, 4 / 3, 4 / 3, 2]);
    expect(result.maxWeight).toBe(2);
  });

  it('α = 1/2 weights by the square root', () => {
    expectClose(ipsGrpo([1, 1, 1, 1], ['a', 'a', 'a', 'b'], { ips: { exponent: 0.5 } }).scaledRewards, [
      Math.sqrt(4 / 3),
      Math.sqrt(4 / 3),
      Math.sqrt(4 / 3),
      2,
    ]);
  });

  it('δ is added to the deviation', () => {
    expect(grpo([1, 0], ['a', 'b'], { delta: 0.5 }).advantages).toEqual([0.5, -0.5]);
  });
});

describe('groups with nothing to teach', () => {
  it.each([
    ['grpo', [1, 1, 1], ['a', 'b', 'c']],
    ['grpo', [0.1, 0.1, 0.1], ['a', 'b', 'c']],
    ['ips-grpo', [1, 1, 1], ['a', 'b', 'c']],
    ['ips-grpo', [1, 1, 1], ['a', 'a', 'a']],
    ['ips-grpo', [0, 0, 0], ['a', 'a', 'b']],
    // Rewards in proportion to the shares: 0.3/(1/3) = 0.6/(2/3), up to the last bits.
    ['ips-grpo', [0.3, 0.6, 0.6], ['a', 'b', 'b']],
    ['ips-grpo', [0.1, 0.3, 0.3, 0.3, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6], ['a', ...'bbbcccccc']],
    ['grpo', [1], ['a']],
    ['ips-grpo', [1], ['a']],
    ['ips-grpo', [], []],
  ] as const)('%s of %j %j: exact zeros', (name, rewards, outcomes) => {
    const result = objectives[name](rewards, outcomes);
    expect(result.hasSpread).toBe(false);
    expect(result.advantages).toEqual(rewards.map(() => 0));
  });

  it('a real difference is spread, however small beside the rewards', () => {
    expect(grpo([1, 1 + 1e-9], ['a', 'b']).hasSpread).toBe(true);
    expect(ipsGrpo([1, 1, 1], ['a', 'a', 'b']).hasSpread).toBe(true);
  });

  it('without a baseline, equal rewards other than 0 still teach', () => {
    const none = { baseline: 'none', normalize: 'none' } as const;
    expect(grpo([2, 2], ['a', 'b'], none)).toMatchObject({ hasSpread: true, advantages: [2, 2] });
    expect(grpo([0, 0], ['a', 'b'], none)).toMatchObject({ hasSpread: false, advantages: [0, 0] });
  });
});

describe('properties', () => {
  it('ε of at most 1/G never clips', () => {
    fc.assert(
      fc.property(group, fc.double({ min: 1e-6, max: 1, noNaN: true }), ({ rewards, outcomes }, fraction) => {
        const at = (epsilon: number) => ipsGrpo(rewards, outcomes, { ips: { epsilon } });
        expect(at(fraction / rewards.length)).toEqual(at(1 / rewards.length));
      }),
    );
  });

  it('α = 0 is GRPO, to the bit', () => {
    fc.assert(
      fc.property(group, ({ rewards, outcomes }) => {
        expect(ipsGrpo(rewards, outcomes, { ips: { exponent: 0 } })).toEqual(grpo(rewards, outcomes));
      }),
    );
  });

  it.each(algorithms)('%s: reordering the group reorders the advantages', (name) => {
    fc.assert(
      fc.property(group, fc.infiniteStream(fc.nat()), ({ rewards, outcomes }, keys) => {
        const order = rewards
          .map((_, i) => ({ i, key: keys.next().value as number }))
          .sort((a, b) => a.key - b.key)
          .map(({ i }) => i);
        const before = objectives[name](rewards, outcomes).advantages;
        const after = objectives[name](
          order.map((i) => rewards[i]!),
          order.map((i) => outcomes[i]!),
        ).advantages;
        // Sums in another order round differently.
        for (const [k, i] of order.entries()) expect(after[k]!).toBeCloseTo(before[i]!, 5);
      }),
    );
  });

  it.each(algorithms)('%s: scaling the rewards changes nothing but the scale', (name) => {
    fc.assert(
      fc.property(group, fc.double({ min: 0.1, max: 100, noNaN: true }), ({ rewards, outcomes }, c) => {
        const times = rewards.map((r) => c * r);
        const plain = objectives[name](rewards, outcomes, { normalize: 'none' }).advantages;
        const scaled = objectives[name](times, outcomes, { normalize: 'none' }).advantages;
        for (const [i, a] of plain.entries()) expect(Math.abs(scaled[i]! - c * a)).toBeLessThan(1e-8);
        const spread = Math.max(...plain.map(Math.abs));
        if (spread < 1e-3) return;
        const unit = objectives[name](rewards, outcomes, exact).advantages;
        expectClose(objectives[name](times, outcomes, exact).advantages, unit);
      }),
    );
  });

  it('GRPO does not see a constant added to every reward; IPS-GRPO does, by its weights', () => {
    fc.assert(
      fc.property(group, fc.integer({ min: -5, max: 5 }), ({ rewards, outcomes }, c) => {
        const moved = rewards.map((r) => r + c);
        const before = grpo(rewards, outcomes, { normalize: 'none' }).advantages;
        const after = grpo(moved, outcomes, { normalize: 'none' }).advantages;
        for (const [i, a] of before.entries()) expect(Math.abs(after[i]! - a)).toBeLessThan(1e-9);
      }),
    );
    const flat = ipsGrpo([0, 0, 0], ['a', 'a', 'b'], exact);
    const moved = ipsGrpo([1, 1, 1], ['a', 'a', 'b'], exact);
    expect(flat.hasSpread).toBe(false);
    expect(moved.advantages[2]).toBeGreaterThan(0);
  });

  it.each(algorithms)('%s: advantages have mean 0 and, with std, mean square 1', (name) => {
    fc.assert(
      fc.property(group, ({ rewards, outcomes }) => {
        const { advantages, scaledRewards } = objectives[name](rewards, outcomes, exact);
        const spread = Math.max(...scaledRewards) - Math.min(...scaledRewards);
        if (spread < 1e-3) return;
        expect(advantages.reduce((s, a) => s + a, 0) / advantages.length).toBeCloseTo(0, 9);
        expect(advantages.reduce((s, a) => s + a * a, 0) / advantages.length).toBeCloseTo(1, 9);
      }),
    );
  });

  it('under IPS with α = 1, an outcome of the group earns the same in sum however often it came', () => {
    fc.assert(
      fc.property(group, ({ rewards, outcomes }) => {
        const { scaledRewards } = ipsGrpo(rewards, outcomes);
        for (const outcome of new Set(outcomes)) {
          const members = outcomes.flatMap((o, i) => (o === outcome ? [i] : []));
          const sum = members.reduce((s, i) => s + scaledRewards[i]!, 0);
          expect(sum).toBeCloseTo(outcomes.length * rewards[members[0]!]!, 6);
        }
      }),
    );
  });
});

describe('refusals', () => {
  it.each([
    [() => grpo([1, 2], ['a']), '2 rewards for 1 outcomes'],
    [() => grpo([1, Number.NaN], ['a', 'b']), 'Reward 1 is NaN'],
    [() => grpo([1, 2], ['a', 'b'], { delta: -1 }), 'delta'],
    [() => ipsGrpo([1, 2], ['a', 'b'], { ips: { exponent: -1 } }), 'ips.exponent'],
    [() => ipsGrpo([1, 2], ['a', 'b'], { ips: { epsilon: 0 } }), 'ips.epsilon'],
    [() => ipsGrpo([1, 2], ['a', 'b'], { ips: { epsilon: 1.5 } }), 'ips.epsilon'],
  ])('%s', (run, message) => {
    expect(run).toThrow(RangeError);
    expect(run).toThrow(message);
  });
});
