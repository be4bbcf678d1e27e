import { drawDistinct } from '../../random.js';
import type { GenerateOptions } from '../../task.js';
import { requireInteger } from '../require-integer.js';
import { AXES, type HypergridInstance, USUAL_REWARDS } from './grid.js';
import { areRewards, LARGEST_REWARD, LARGEST_SIDE } from './item.js';

export interface HypergridOptions extends GenerateOptions {
  /** D, 1..6. @defaultValue 2 */
  readonly dimensions?: number;
  /** least H, at least 2. @defaultValue 8 */
  readonly minSide?: number;
  /** most H, at most 1000. @defaultValue 32, or `minSide` if that is more */
  readonly maxSide?: number;
  /** of every cell, above 0. @defaultValue 0.1 */
  readonly r0?: number;
  /** of the outer cells on top. @defaultValue 0.5 */
  readonly r1?: number;
  /** of the modes on top. @defaultValue 2 */
  readonly r2?: number;
}

/** One grid for every side there may be, the smallest first. */
export function grids(options: HypergridOptions): HypergridInstance[] {
  const { dimensions = 2, minSide = 8, count, seed = 0 } = options;
  const { maxSide = Math.max(32, minSide) } = options;
  const { r0 = USUAL_REWARDS.r0, r1 = USUAL_REWARDS.r1, r2 = USUAL_REWARDS.r2 } = options;
  requireInteger('dimensions', dimensions, 1, AXES.length);
  requireInteger('minSide', minSide, 2, LARGEST_SIDE);
  requireInteger('maxSide', maxSide, minSide, LARGEST_SIDE);
  if (!areRewards({ r0, r1, r2 })) {
    throw new RangeError(
      `r0, r1 and r2 must be numbers of at most ${LARGEST_REWARD}, r0 above 0 and the others at least 0, not ${r0}, ${r1} and ${r2}.`,
    );
  }
  const all = Array.from({ length: maxSide - minSide + 1 }, (_, i) => minSide + i);
  const sides = count === undefined ? all : drawDistinct(count, all.length, seed).map((i) => all[i]!);
  return sides.map((side) => ({ dimensions, side, rewards: { r0, r1, r2 } }));
}
