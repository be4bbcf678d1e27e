import { readFileSync } from 'node:fs';
import {
  type Assessment,
  type Cell,
  cells,
  compileGrader,
  type HypergridInstance,
  hypergridTarget,
  isModeCell,
  l1ToTarget,
  modeAxisValues,
  modeRegion,
  pathsTo,
  summarize,
  tasks,
} from '@polymode/verifiers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectRows, readTwice } from './task-rules.js';

interface Grid {
  D: number;
  H: number;
  terminals: number;
  levels: Record<string, number>;
  Z: number;
  mode_cells: number;
  mode_regions: number;
  p_mode_cell: number;
  mode_mass: number;
  l1_point_mass_on_mode: number;
  l1_uniform_on_one_region: number;
  l1_uniform_policy: number;
  expected_reward_target: number;
  mode_axis_values: number[];
  samples: { cell: number[]; reward: number; paths: string }[];
}

const task = tasks.hypergrid;
const { grids } = JSON.parse(readFileSync(new URL('./vectors/hypergrid.json', import.meta.url), 'utf8')) as {
  grids: Grid[];
};
const rewards = { r0: 0.1, r1: 0.5, r2: 2 };
const gridOf = (dimensions: number, side: number): HypergridInstance => ({ dimensions, side, rewards });

/** Answers that end in these cells, read and assessed. */
const endingIn = (reached: readonly Cell[], instance: HypergridInstance): Assessment[] =>
  reached.map((cell) => task.assess(task.render(cell, instance), instance));

/** Mode cells, in groups of those that are one step apart. */
function connected(modes: readonly Cell[]): Cell[][] {
  const groups: Cell[][] = [];
  for (const cell of modes) {
    const touches = (other: Cell) => other.reduce((sum, x, i) => sum + Math.abs(x - cell[i]!), 0) === 1;
    const near = groups.filter((group) => group.some(touches));
    for (const group of near) groups.splice(groups.indexOf(group), 1);
    groups.push([cell, ...near.flat()]);
  }
  return groups;
}

describe.each(grids.map((g) => [`D=${g.D} H=${g.H}`, g] as const))('vectors of %s', (_, grid) => {
  const instance = gridOf(grid.D, grid.H);
  const target = hypergridTarget(instance);
  const all = cells(instance);
  const modes = all.filter((cell) => isModeCell(cell, instance));

  it('cells, levels, Z and modes', () => {
    expect(all).toHaveLength(grid.terminals);
    expect(task.admissibleCount(instance)).toBe(grid.terminals);
    expect(Object.fromEntries([...target.levels].map(([reward, n]) => [reward.toFixed(1), n]))).toEqual(grid.levels);
    expect(target.z).toBeCloseTo(grid.Z, 10);
    expect(target.modeCells).toBe(grid.mode_cells);
    expect(modes).toHaveLength(grid.mode_cells);
    expect(target.modeRegions).toBe(grid.mode_regions);
    expect(target.modeMass).toBeCloseTo(grid.mode_mass, 12);
    expect(target.expectedReward).toBeCloseTo(grid.expected_reward_target, 12);
    expect(modeAxisValues(grid.H)).toEqual(grid.mode_axis_values);
  });

  it('the target as the metrics see it', () => {
    const map = task.rewards(instance);
    const z = [...map.values()].reduce((a, b) => a + b, 0);
    expect(z).toBeCloseTo(grid.Z, 10);
    const [mode] = modes;
    expect(map.get(task.key(mode!))! / z).toBeCloseTo(grid.p_mode_cell, 12);
  });

  it('distances of the reference policies', () => {
    const map = task.rewards(instance);
    const distance = (reached: readonly Cell[]) => l1ToTarget(endingIn(reached, instance), map);
    expect(distance([modes[0]!])).toBeCloseTo(grid.l1_point_mass_on_mode, 12);
    const region = modes.filter((cell) => modeRegion(cell, instance) === modeRegion(modes[0]!, instance));
    expect(distance(region)).toBeCloseTo(grid.l1_uniform_on_one_region, 12);
    expect(distance(all)).toBeCloseTo(grid.l1_uniform_policy, 12);
  });

  it.each(grid.samples)('$cell earns $reward and has $paths paths', async ({ cell, reward, paths }) => {
    const text = task.render(cell, instance);
    expect(task.assess(text, instance).reward).toBeCloseTo(reward, 12);
    expect(pathsTo(cell)).toBe(BigInt(paths));
    const grade = await compileGrader({ type: 'task', task: 'hypergrid' }).grade(
      { output_text: text },
      { ...instance },
    );
    expect(grade).toEqual({ reward: expect.closeTo(reward, 12), outcome: cell.join(',') });
  });
});

describe('the verifier proves itself', () => {
  it.each([
    [1, 9],
    [2, 8],
    [2, 16],
    [3, 5],
    [6, 2],
  ])('D=%i H=%i: accepts what it renders of every cell, whose key and reward come back', (dimensions, side) => {
    const instance = gridOf(dimensions, side);
    const earned = task.rewards(instance);
    const members = task.admissibleSet(instance);
    expect(members).toEqual([...earned.keys()]);
    expect(members).toEqual([...members].sort());
    expect(new Set(members).size).toBe(side ** dimensions);
    for (const key of members) {
      const answer = task.render(key, instance);
      const found = task.assess(answer, instance);
      expect(found).toEqual({ key, valid: true, reward: earned.get(key), countsForUniqueness: true });
      // One move more than the grid has, no stop, a move after it, an axis that is not there.
      const tooFar = `${'x '.repeat(side)}stop`;
      for (const wrong of [tooFar, answer.slice(0, -5), `${answer} x`, answer.replace('stop', 'a stop')]) {
        expect(task.assess(wrong, instance).key).toBe(null);
      }
    }
  });

  it('every sequence of up to 6 actions is read iff it stays inside and stops once, at its end; its cell is where it leads', () => {
    const instance = gridOf(2, 3);
    const reached = new Map<string, bigint>();
    const walk = (actions: readonly string[]): void => {
      const stopsOnce = actions.indexOf('stop') === actions.length - 1 && actions.length > 0;
      const [x, y] = ['x', 'y'].map((axis) => actions.filter((a) => a === axis).length);
      const cell = stopsOnce && x! < 3 && y! < 3 ? `${x},${y}` : null;
      expect(task.assess(actions.join(' '), instance).key).toBe(cell);
      if (cell !== null) reached.set(cell, (reached.get(cell) ?? 0n) + 1n);
      if (actions.length < 6) for (const next of ['x', 'y', 'stop']) walk([...actions, next]);
    };
    walk([]);
    // Six actions reach every cell of a 3x3 grid on every path: each cell has as many as it should.
    for (const cell of cells(instance)) expect(reached.get(cell.join(','))).toBe(pathsTo(cell));
  });
});

describe('the reward', () => {
  it('agrees with the thresholds in whole numbers, and at them', () => {
    // H = 11: |2x/10 − 1| is 0.6 and 0.8 exactly, which the strict comparisons leave out; floating point lets in 0.6 at x = 8.
    expect(Math.abs((2 * 8) / 10 - 1)).toBeGreaterThan(0.6);
    expect(modeAxisValues(11)).toEqual([]);
    expect(hypergridTarget(gridOf(2, 11))).toMatchObject({ modeCells: 0, modeRegions: 0, modeMass: 0 });
    // H = 5: x = 1 and 3 are at 0.5 exactly; only the corners are outer.
    expect([...hypergridTarget(gridOf(2, 5)).levels.values()].sort((a, b) => a - b)).toEqual([4, 21]);
  });

  it('is that of fractions for every side up to 100', () => {
    const above = (p: bigint, q: bigint, t: bigint, n: bigint) => t * q > p * n;
    for (let side = 2; side <= 100; side++) {
      const instance = gridOf(1, side);
      for (let x = 0; x < side; x++) {
        const n = BigInt(side - 1);
        const signed = 2n * BigInt(x) - n;
        const t = signed < 0n ? -signed : signed;
        const expected =
          0.1 +
          (above(1n, 2n, t, n) ? 0.5 : 0) +
          (above(3n, 5n, t, n) && !above(4n, 5n, t, n) && t * 5n !== 4n * n ? 2 : 0);
        expect(task.assess(task.render([x], instance), instance).reward).toBeCloseTo(expected, 12);
      }
    }
  });

  it('modes are the connected groups of mode cells, 2^D of them', () => {
    for (const [dimensions, side] of [
      [1, 40],
      [2, 7],
      [2, 8],
      [2, 32],
      [2, 64],
      [3, 20],
    ] as const) {
      const instance = gridOf(dimensions, side);
      const groups = connected(cells(instance).filter((cell) => isModeCell(cell, instance)));
      expect(groups).toHaveLength(2 ** dimensions);
      expect(groups).toHaveLength(hypergridTarget(instance).modeRegions);
      const regions = groups.map((group) => new Set(group.map((cell) => modeRegion(cell, instance))));
      expect(regions.every((one) => one.size === 1)).toBe(true);
      expect(new Set(regions.flatMap((one) => [...one])).size).toBe(2 ** dimensions);
    }
  });
});

describe('its own metrics', () => {
  const instance = gridOf(2, 8);

  it('of a collapsed policy, of the target, and of answers that are none', () => {
    const expected = {
      modes: 4,
      target_mode_mass: expect.closeTo(10.4 / 22.4, 12),
      target_mean_reward: expect.closeTo(1.4214285714, 9),
    };
    const collapsed = endingIn(Array(8).fill([1, 6]), instance);
    expect(task.ownMetrics!(collapsed, instance)).toEqual({ modes_found: 1, mode_mass: 1, ...expected });
    expect(summarize(collapsed, task.rewards(instance)).mean_reward).toBeCloseTo(2.6, 12);
    // Ten answers for each 1 that a cell earns, so that the shares are those of the target.
    const spread = cells(instance).flatMap((cell) => {
      const [answer] = endingIn([cell], instance);
      return Array(Math.round(answer!.reward * 10)).fill(answer) as Assessment[];
    });
    const metrics = task.ownMetrics!(spread, instance);
    expect(metrics.modes_found).toBe(4);
    expect(metrics.mode_mass).toBeCloseTo(metrics.target_mode_mass!, 12);
    const summary = summarize(spread, task.rewards(instance));
    expect(summary.mean_reward).toBeCloseTo(metrics.target_mean_reward!, 12);
    expect(summary.l1_to_target).toBeCloseTo(0, 12);
    const none = [task.assess('y x', instance)];
    expect(task.ownMetrics!(none, instance)).toEqual({ modes_found: 0, mode_mass: 0, ...expected });
  });

  it('a uniform random walk reaches [1,6] and [3,4], which have 7 and 35 paths, that unequally', () => {
    expect([pathsTo([1, 6]), pathsTo([3, 4])]).toEqual([7n, 35n]);
    expect(pathsTo([999, 999, 999]) % 1_000_000_007n).toBeGreaterThan(0n);
  });
});

describe('reading answers', () => {
  const instance = gridOf(2, 8);

  it.each([
    ['a path', 'x x y stop', '2,1'],
    ['in another order', 'y x x stop', '2,1'],
    ['the origin', 'stop', '0,0'],
    ['white space around and between', '\n  x\t x  y stop \n', '2,1'],
    ['thoughts before a marker', 'A corner is best.\nPath: x y stop\nThat is it.', '1,1'],
    ['the first marker', 'Path: x stop\nPath: y stop', '1,0'],
    ['thoughts and no marker', 'A corner.\nx y stop', null],
    ['lines', 'x\ny\nstop', null],
    ['capitals', 'X y stop', null],
    ['commas', 'x, y, stop', null],
    ['an axis too many', 'z stop', null],
    ['letters together', 'xy stop', null],
    ['no stop', 'x y', null],
    ['two stops', 'x stop stop', null],
    ['the edge', `${'x '.repeat(7)}stop`, '7,0'],
    ['over the edge', `${'x '.repeat(8)}stop`, null],
    ['nothing', '', null],
  ])('%s', (_, text, expected) => {
    expect(task.assess(text, instance).key).toBe(expected);
  });

  it('never throws and agrees with itself on any text', () => {
    const word = fc.oneof(fc.constantFrom('x', 'y', 'z', 'stop', 'Path:', '\n', ' '), fc.string({ unit: 'binary' }));
    fc.assert(
      fc.property(fc.array(word, { maxLength: 20 }), fc.constantFrom(' ', ''), (words, space) => {
        const found = readTwice(task, words.join(space), instance);
        if (found !== null) expect(found.valid).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('a text of megabytes takes no time', () => {
    expect(task.assess('x '.repeat(5_000_000), instance).key).toBe(null);
    expect(task.assess(' '.repeat(5_000_000), instance).key).toBe(null);
  });

  it.each(['', '1', '1,8', '1,-1', '01,1', '1,1,1', '1, 1', 'x', '1,1.5'])('%j is no key', (bad) => {
    expect(() => task.render(bad, instance)).toThrow(RangeError);
  });
});

describe('rows', () => {
  it('are a user message and the fields of the instance', () => {
    expectRows(task);
    expect(new Set(task.generate({ count: 25, seed: 1 }).map((r) => r.side)).size).toBe(25);
    expect(task.instances({ minSide: 40 })).toEqual([gridOf(2, 40)]);
  });

  it('have the usual rewards unless they say others', () => {
    expect(task.readInstance({ dimensions: 2, side: 8 })).toEqual(gridOf(2, 8));
    const other = { r0: 1, r1: 0, r2: 4 };
    expect(task.readInstance({ dimensions: 1, side: 8, rewards: other }).rewards).toEqual(other);
    expect(task.instances({ dimensions: 1, minSide: 8, maxSide: 8, ...other })[0]!.rewards).toEqual(other);
    // Reward of a mode: 1 + 0 + 4.
    expect(task.assess('x stop', { dimensions: 1, side: 8, rewards: other }).reward).toBe(5);
  });

  it('have prompts that say what varies', () => {
    expect(task.prompt(gridOf(2, 8), 'compact')).toBe('Grid: 8x8\n');
    expect(task.prompt({ ...gridOf(3, 9), rewards: { r0: 1, r1: 0, r2: 4 } }, 'compact')).toBe(
      'Grid: 9x9x9\nRewards: 1 0 4\n',
    );
    for (const instance of [gridOf(1, 2), gridOf(1, 3), gridOf(2, 2), gridOf(3, 9), gridOf(6, 5)]) {
      const full = task.prompt(instance, 'full');
      // The example in the prompt is an answer.
      expect(task.assess(full.slice(full.lastIndexOf('Path:')), instance).valid).toBe(true);
      expect(full).toContain(`0 to ${instance.side - 1}`);
    }
  });

  it.each([
    [{ dimensions: 0 }, 'item.dimensions'],
    [{ dimensions: 7 }, 'item.dimensions'],
    [{ side: 1 }, 'item.side'],
    [{ side: '8' }, 'item.side'],
    [{ side: 1001 }, 'item.side'],
    [{ rewards: {} }, 'item.rewards'],
    [{ rewards: { r0: 0, r1: 1, r2: 1 } }, 'item.rewards'],
    [{ rewards: { r0: 1, r1: Number.NaN, r2: 1 } }, 'item.rewards'],
    [{ rewards: { r0: 1, r1: 1, r2: -1 } }, 'item.rewards'],
  ])('%j is no instance', (fields, path) => {
    const item = { dimensions: 2, side: 8, ...fields };
    expect(task.checkItem(item)[0]?.path).toBe(path);
    expect(() => task.readInstance(item)).toThrow(path);
  });

  it.each([{ dimensions: 7 }, { minSide: 1 }, { minSide: 9, maxSide: 8 }, { maxSide: 1001 }, { r0: 0 }, { count: 26 }])(
    '%j is refused',
    (options) => {
      expect(() => task.instances(options)).toThrow(RangeError);
    },
  );

  it('grades grids that are too large to list', () => {
    const instance = gridOf(6, 100);
    expect(() => task.admissibleSet(instance)).toThrow('too many to list');
    expect(() => task.rewards(instance)).toThrow('too many to list');
    expect(task.admissibleCount(instance)).toBe(1e12);
    expect(task.assess('x w stop', instance)).toMatchObject({ key: '1,0,0,0,0,1', valid: true });
  });
});
