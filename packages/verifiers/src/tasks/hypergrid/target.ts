import type { Assessment } from '../../task.js';
import {
  cellFromKey,
  cellKey,
  cells,
  type HypergridInstance,
  isModeCell,
  modeAxisValues,
  modeRegion,
  rewardOf,
} from './grid.js';

/** The distribution in proportion to the rewards, p(x) = R(x) / Z. */
export interface HypergridTarget {
  /** Z = Σ R(x) */
  readonly z: number;
  /** cells by what they earn */
  readonly levels: ReadonlyMap<number, number>;
  readonly modeCells: number;
  /** corners of the grid with mode cells: 2^D, or none */
  readonly modeRegions: number;
  /** share of the mode cells */
  readonly modeMass: number;
  /** Σ p(x) R(x) */
  readonly expectedReward: number;
}

/** @throws RangeError for a grid of over a million cells */
export function hypergridTarget(instance: HypergridInstance): HypergridTarget {
  const levels = new Map<number, number>();
  for (const cell of cells(instance)) {
    const reward = rewardOf(cell, instance);
    levels.set(reward, (levels.get(reward) ?? 0) + 1);
  }
  const z = [...levels].reduce((sum, [reward, count]) => sum + reward * count, 0);
  const { dimensions, side, rewards } = instance;
  const modeCells = modeAxisValues(side).length ** dimensions;
  return {
    z,
    levels,
    modeCells,
    modeRegions: modeCells === 0 ? 0 : 2 ** dimensions,
    modeMass: (modeCells * (rewards.r0 + rewards.r1 + rewards.r2)) / z,
    expectedReward: [...levels].reduce((sum, [reward, count]) => sum + (reward * reward * count) / z, 0),
  };
}

/** What each cell earns, by key in code unit order. @throws RangeError for a grid of over a million cells */
export function rewardsByKey(instance: HypergridInstance): ReadonlyMap<string, number> {
  const entries = cells(instance).map((cell) => [cellKey(cell), rewardOf(cell, instance)] as const);
  return new Map(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** How many modes the answers found and how often, and what the target would: its mode mass and its mean reward. */
export function modeMetrics(answers: readonly Assessment[], instance: HypergridInstance): Record<string, number> {
  const target = hypergridTarget(instance);
  const found = answers.flatMap(({ key }) => (key === null ? [] : [cellFromKey(key, instance)]));
  const inModes = found.filter((cell) => isModeCell(cell, instance));
  return {
    modes_found: new Set(inModes.map((cell) => modeRegion(cell, instance))).size,
    modes: target.modeRegions,
    mode_mass: inModes.length / answers.length,
    target_mode_mass: target.modeMass,
    target_mean_reward: target.expectedReward,
  };
}
