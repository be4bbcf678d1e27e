/**
 * A grid of H^D cells that a path enters at the origin, with what its cells earn.
 */
// A type rather than an interface, so that an instance can be handed on as the fields of a row.
export type HypergridInstance = {
  /** D, 1..6 */
  readonly dimensions: number;
  /** H ≥ 2, cells a side */
  readonly side: number;
  readonly rewards: HypergridRewards;
};

/** Of every cell, of the outer ones on top, and of the modes on top of that. */
export type HypergridRewards = {
  /** above 0, so that every cell is a right answer */
  readonly r0: number;
  readonly r1: number;
  readonly r2: number;
};

export const USUAL_REWARDS: HypergridRewards = { r0: 0.1, r1: 0.5, r2: 2 };

/** D coordinates of 0..H−1. */
export type Cell = readonly number[];

/** Names of the axes, D of which are used. */
export const AXES = 'xyzuvw';

/** Cells that may be listed. */
const MOST_CELLS = 1_000_000;

/** `2,13` */
export function cellKey(cell: Cell): string {
  return cell.join(',');
}

/** @throws RangeError unless `key` is the key of a cell of the grid */
export function cellFromKey(key: string, instance: HypergridInstance): Cell {
  const cell = key.split(',').map(Number);
  if (!isCell(cell, instance) || cellKey(cell) !== key) {
    const { dimensions, side } = instance;
    throw new RangeError(`'${key}' is not the key of a cell: ${dimensions} numbers from 0 to ${side - 1}, as in 2,0.`);
  }
  return cell;
}

export function isCell(cell: Cell, { dimensions, side }: HypergridInstance): boolean {
  return cell.length === dimensions && cell.every((x) => Number.isInteger(x) && x >= 0 && x < side);
}

/**
 * R(x) = r0 + r1 · ∏ᵢ 1(|tᵢ| > 0.5) + r2 · ∏ᵢ 1(0.6 < |tᵢ| < 0.8), tᵢ = 2xᵢ/(H−1) − 1.
 *
 * Source: the grid of GFlowNets (arXiv:2106.04399) as arXiv:2601.21669, section 5.1, uses it.
 */
export function rewardOf(cell: Cell, { side, rewards: { r0, r1, r2 } }: HypergridInstance): number {
  return r0 + (cell.every((x) => isOuter(x, side)) ? r1 : 0) + (cell.every((x) => isModal(x, side)) ? r2 : 0);
}

// |t| · n = |2x − n| with n = H − 1 is a whole number, so that the thresholds are compared exactly: in floating point 0.6 of
// eleven cells a side would come out above 0.6 on one side of the grid and not on the other.

/** |t| > 1/2 */
function isOuter(x: number, side: number): boolean {
  const n = side - 1;
  return 2 * Math.abs(2 * x - n) > n;
}

/** 3/5 < |t| < 4/5 */
function isModal(x: number, side: number): boolean {
  const n = side - 1;
  const distance = 5 * Math.abs(2 * x - n);
  return distance > 3 * n && distance < 4 * n;
}

/** Coordinates that all D of a mode's are among, ascending; symmetric, and none for some sides, such as 2 to 6 and 11. */
export function modeAxisValues(side: number): number[] {
  return Array.from({ length: side }, (_, x) => x).filter((x) => isModal(x, side));
}

/** Whether the cell earns r2. */
export function isModeCell(cell: Cell, { side }: HypergridInstance): boolean {
  return cell.every((x) => isModal(x, side));
}

/**
 * Which of the 2^D corners of the grid a mode cell belongs to, one bit a coordinate. The mode cells of a corner hang together and
 * touch no others: the coordinates between are more than half of the grid.
 */
export function modeRegion(cell: Cell, { side }: HypergridInstance): number {
  return cell.reduce((bits, x, axis) => (2 * x > side - 1 ? bits | (1 << axis) : bits), 0);
}

export function cellCount({ dimensions, side }: HypergridInstance): number {
  return side ** dimensions;
}

/** All cells, the last coordinate fastest. @throws RangeError for over a million of them */
export function cells(instance: HypergridInstance): Cell[] {
  const { dimensions, side } = instance;
  const total = cellCount(instance);
  if (total > MOST_CELLS) throw new RangeError(`The grid has ${total} cells, too many to list.`);
  return Array.from({ length: total }, (_, n) =>
    Array.from({ length: dimensions }, (_, axis) => Math.floor(n / side ** (dimensions - 1 - axis)) % side),
  );
}

/**
 * How many paths end in a cell: (Σ xᵢ)! / ∏ xᵢ! orders of its moves.
 *
 * They are why outcomes have to be counted rather than paths: of two cells that earn the same, a policy that moves at random
 * reaches the one with more paths more often.
 */
export function pathsTo(cell: Cell): bigint {
  let paths = 1n;
  let moves = 0n;
  for (const x of cell) {
    for (let i = 1n; i <= BigInt(x); i++) {
      moves += 1n;
      // The product of i binomial factors is whole after each division.
      paths = (paths * moves) / i;
    }
  }
  return paths;
}
