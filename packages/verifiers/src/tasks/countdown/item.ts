import type { Item, ItemProblem } from '../../grader.js';
import type { CountdownInstance } from './space.js';

/** Far more than can be tried in all ways. */
const MOST_NUMBERS = 20;

/** What keeps a row's fields from being an instance; [] when they are one. */
export function checkItem({ numbers, target }: Item): ItemProblem[] {
  const problems: ItemProblem[] = [];
  const given = arePositive(numbers) ? numbers : null;
  if (given === null || given.length > MOST_NUMBERS) {
    problems.push({
      path: 'item.numbers',
      message: `must be a list of 1 to ${MOST_NUMBERS} positive whole numbers such as [3, 7, 25].`,
    });
  } else if (!fitsExactly(given)) {
    problems.push({
      path: 'item.numbers',
      message: 'are so large that results may not be exact; their product must stay below about 9e15.',
    });
  }
  if (!Number.isSafeInteger(target) || Number(target) < 1) {
    problems.push({ path: 'item.target', message: 'must be a positive whole number.' });
  }
  return problems;
}

/** @returns with the numbers in ascending order */
export function asInstance(item: Item): CountdownInstance {
  const { numbers, target } = item as unknown as CountdownInstance;
  return { numbers: [...numbers].sort((a, b) => a - b), target };
}

/** No result of positive numbers is above the product of each plus one: neither a+b nor a·b is above (a+1)(b+1) − 1. */
export function fitsExactly(numbers: readonly number[]): boolean {
  return numbers.reduce((product, number) => product * (number + 1), 1) <= Number.MAX_SAFE_INTEGER;
}

function arePositive(value: unknown): value is number[] {
  return (
    Array.isArray(value) && value.length >= 1 && value.every((n: unknown) => Number.isSafeInteger(n) && Number(n) >= 1)
  );
}
