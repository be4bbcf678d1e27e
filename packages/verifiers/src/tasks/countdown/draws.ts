import { choose, combinationAt } from '../../combinations.js';
import { randomIntegers } from '../../random.js';
import type { GenerateOptions } from '../../task.js';
import { requireInteger } from '../require-integer.js';
import { fitsExactly } from './item.js';
import { type CountdownInstance, MOST_ENUMERATED_NUMBERS, solutionCounts } from './space.js';

export interface CountdownOptions extends GenerateOptions {
  /** how many there are, 2..6. @defaultValue 4 */
  readonly numbers?: number;
  /** the largest there may be. @defaultValue 10 */
  readonly maxNumber?: number;
  /** @defaultValue 10 */
  readonly minTarget?: number;
  /** @defaultValue 100, or `minTarget` if that is more */
  readonly maxTarget?: number;
  /** expressions that reach the target at least. @defaultValue 2 */
  readonly minSolutions?: number;
}

/** Choices of numbers that are tried to list all instances, and in a row to find one. */
const MOST_CHOICES = 1000;

/**
 * Numbers of 1..maxNumber, repeats included, each with a target that enough expressions reach and that is not among them.
 *
 * Without `count`, all there are, by numbers and then target. A draw goes through the choices of numbers in random order and
 * takes a random target of each, then another of each, and so on.
 *
 * @throws RangeError also where there are fewer than `count`
 */
export function draws(options: CountdownOptions): CountdownInstance[] {
  const { numbers: size = 4, maxNumber = 10, minTarget = 10, minSolutions = 2, count, seed = 0 } = options;
  const { maxTarget = Math.max(100, minTarget) } = options;
  requireInteger('numbers', size, 2, MOST_ENUMERATED_NUMBERS);
  requireInteger('maxNumber', maxNumber, 1);
  requireInteger('minTarget', minTarget, 1);
  requireInteger('maxTarget', maxTarget, minTarget);
  requireInteger('minSolutions', minSolutions, 1);
  const total = choose(maxNumber + size - 1, size);
  if (!Number.isSafeInteger(total) || !fitsExactly(Array.from({ length: size }, () => maxNumber))) {
    throw new RangeError(`maxNumber is so large that results may not be exact; use a smaller one than ${maxNumber}.`);
  }
  const targetsOf = (numbers: readonly number[]): number[] =>
    [...solutionCounts(numbers)]
      .filter(([target, n]) => target >= minTarget && target <= maxTarget && n >= minSolutions)
      .map(([target]) => target)
      .filter((target) => !numbers.includes(target))
      .sort((a, b) => a - b);

  if (count === undefined) {
    if (total > MOST_CHOICES) {
      throw new RangeError(`There are ${total} choices of numbers. Set count to draw some instances.`);
    }
    return Array.from({ length: total }, (_, rank) => numbersAt(rank, maxNumber, size)).flatMap((numbers) =>
      targetsOf(numbers).map((target) => ({ numbers, target })),
    );
  }
  requireInteger('count', count, 1);
  requireInteger('seed', seed, Number.MIN_SAFE_INTEGER);
  return drawn(count, seed, total, (rank) => numbersAt(rank, maxNumber, size), targetsOf);
}

function drawn(
  count: number,
  seed: number,
  total: number,
  numbersOf: (rank: number) => number[],
  targetsOf: (numbers: readonly number[]) => number[],
): CountdownInstance[] {
  const random = randomIntegers(seed);
  let round: { numbers: number[]; targets: number[] }[] = [];
  const found: CountdownInstance[] = [];
  const takeOne = ({ numbers, targets }: { numbers: number[]; targets: number[] }): void => {
    const [target] = targets.splice(random(targets.length), 1);
    found.push({ numbers, target: target! });
  };
  const tried = new Set<number>();
  for (let misses = 0; tried.size < total && found.length < count && misses < MOST_CHOICES; ) {
    const rank = random(total);
    if (tried.has(rank)) continue;
    tried.add(rank);
    const numbers = numbersOf(rank);
    const choice = { numbers, targets: targetsOf(numbers) };
    misses = choice.targets.length === 0 ? misses + 1 : 0;
    if (misses > 0) continue;
    takeOne(choice);
    round.push(choice);
  }
  while (found.length < count) {
    round = round.filter(({ targets }) => targets.length > 0);
    if (round.length === 0) {
      throw new RangeError(
        `Found ${found.length} instances, not ${count}. Widen the range of targets, or lower minSolutions.`,
      );
    }
    for (const choice of round) if (found.length < count) takeOne(choice);
  }
  return found;
}

/** The choice of this rank, in ascending order: choices with repeats are combinations of more numbers without. */
function numbersAt(rank: number, most: number, size: number): number[] {
  return combinationAt(rank, most + size - 1, size).map((one, i) => one - i + 1);
}
