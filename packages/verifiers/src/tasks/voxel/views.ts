import { choose, combinationAt } from '../../combinations.js';
import { drawDistinct } from '../../random.js';
import type { GenerateOptions } from '../../task.js';
import { requireInteger } from '../require-integer.js';
import type { VoxelInstance } from './structure.js';

export interface VoxelOptions extends GenerateOptions {
  /** N, cells a side, 1..50. @defaultValue 3 */
  readonly grid?: number;
  /** H, layers, at least 1. @defaultValue 3 */
  readonly maxHeight?: number;
  /** filled cells of a view, 1..N². @defaultValue 3 */
  readonly blocks?: number;
  /** views with 1..`blocks` filled cells instead of exactly `blocks`. @defaultValue false */
  readonly upTo?: boolean;
}

/** A row of 50 values and the spaces between them is as long as a line of an answer may be. */
export const LARGEST_GRID = 50;

/** Views that a list may hold. */
const MOST_VIEWS = 1_000_000;

/** Views by number of filled cells, then in lexicographic order of the cells. */
export function views(options: VoxelOptions): VoxelInstance[] {
  const { grid = 3, maxHeight = 3, blocks = 3, upTo = false, count, seed = 0 } = options;
  requireInteger('grid', grid, 1, LARGEST_GRID);
  requireInteger('maxHeight', maxHeight, 1);
  requireInteger('blocks', blocks, 1, grid * grid);
  const cells = grid * grid;
  const sizes = upTo ? Array.from({ length: blocks }, (_, i) => i + 1) : [blocks];
  const total = sizes.reduce((sum, k) => sum + choose(cells, k), 0);
  if (!Number.isSafeInteger(total)) throw new RangeError(`There are too many such views to number; use fewer blocks.`);
  if (count === undefined && total > MOST_VIEWS) {
    throw new RangeError(`There are ${total} such views. Set count to draw some of them.`);
  }
  const ranks = count === undefined ? Array.from({ length: total }, (_, i) => i) : drawDistinct(count, total, seed);
  return ranks.map((rank) => ({ grid, max_height: maxHeight, top: viewAt(rank, cells, sizes) }));
}

function viewAt(rank: number, cells: number, sizes: readonly number[]): string {
  let left = rank;
  for (const k of sizes) {
    const ofThisSize = choose(cells, k);
    if (left < ofThisSize) {
      const filled = new Set(combinationAt(left, cells, k));
      return Array.from({ length: cells }, (_, cell) => (filled.has(cell) ? '1' : '0')).join('');
    }
    left -= ofThisSize;
  }
  throw new RangeError(`There is no view number ${rank}.`);
}
