import type { Item, ItemProblem } from '../../grader.js';
import { AXES, type HypergridInstance, USUAL_REWARDS } from './grid.js';

/** A path along both axes of such a grid has 2000 words. */
export const LARGEST_SIDE = 1000;

/** Sums over a million cells of it stay far from overflowing. */
export const LARGEST_REWARD = 1e9;

/** What keeps a row's fields from being an instance; [] when they are one. */
export function checkItem({ dimensions, side, rewards }: Item): ItemProblem[] {
  const problems: ItemProblem[] = [];
  if (!isIntegerWithin(dimensions, 1, AXES.length)) {
    problems.push({ path: 'item.dimensions', message: `must be an integer from 1 to ${AXES.length}.` });
  }
  if (!isIntegerWithin(side, 2, LARGEST_SIDE)) {
    problems.push({ path: 'item.side', message: `must be an integer from 2 to ${LARGEST_SIDE}, the cells a side.` });
  }
  if (rewards !== undefined && rewards !== null && !areRewards(rewards)) {
    problems.push({
      path: 'item.rewards',
      message: `must be {r0, r1, r2}, numbers of at most ${LARGEST_REWARD}: r0 above 0, r1 and r2 at least 0.`,
    });
  }
  return problems;
}

export function asInstance(item: Item): HypergridInstance {
  const { dimensions, side, rewards } = item as unknown as HypergridInstance;
  const { r0, r1, r2 } = rewards ?? USUAL_REWARDS;
  return { dimensions, side, rewards: { r0, r1, r2 } };
}

export function areRewards(rewards: unknown): boolean {
  if (typeof rewards !== 'object' || rewards === null) return false;
  const { r0, r1, r2 } = rewards as Record<string, unknown>;
  const inRange = (r: unknown): boolean => typeof r === 'number' && r >= 0 && r <= LARGEST_REWARD;
  return [r0, r1, r2].every(inRange) && r0 !== 0;
}

function isIntegerWithin(value: unknown, least: number, most: number): boolean {
  return Number.isInteger(value) && Number(value) >= least && Number(value) <= most;
}
