import { combine, type Expression, numbersOf, numeral, type Sign } from './expression.js';

/** Some numbers, and one to reach with them. */
// A type rather than an interface, so that an instance can be handed on as the fields of a row.
export type CountdownInstance = {
  /** positive whole numbers; each may be used once, so one that is there twice may be used twice */
  readonly numbers: readonly number[];
  readonly target: number;
};

/** Numbers that are tried in all ways: a million expressions use six of them. */
export const MOST_ENUMERATED_NUMBERS = 6;

/** Whether the expression reaches the target by the rules, with none but the given numbers, each at most once. */
export function reaches(expression: Expression, { numbers, target }: CountdownInstance): boolean {
  return expression.value === target && isAmong(numbersOf(expression), numbers);
}

/** Whether the numbers are some of those given, counting repeats. */
function isAmong(used: readonly number[], given: readonly number[]): boolean {
  const left = [...given];
  return used.every((number) => {
    const at = left.indexOf(number);
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  });
}

/**
 * Every expression that reaches the target, in no particular order.
 *
 * @throws RangeError for more numbers than can be tried
 */
export function solutions({ numbers, target }: CountdownInstance): Expression[] {
  const expressions = expressionsOf(numbers);
  return subsets(numbers).flatMap((some) =>
    // Of all numbers together only what reaches the target is needed, which are few of the many.
    some.length === numbers.length
      ? combinations(some, expressions, target)
      : expressions(some).filter(({ value }) => value === target),
  );
}

/** How many expressions reach each number that some do. @throws RangeError for more numbers than can be tried */
export function solutionCounts(numbers: readonly number[]): ReadonlyMap<number, number> {
  const expressions = expressionsOf(numbers);
  const counts = new Map<number, number>();
  for (const some of subsets(numbers)) {
    for (const { value } of expressions(some)) counts.set(value!, (counts.get(value!) ?? 0) + 1);
  }
  return counts;
}

type ExpressionsOver = (numbers: readonly number[]) => readonly Expression[];

/** Finds every expression that uses just the numbers it is asked for, all of them, and has a value by the rules. */
function expressionsOf(numbers: readonly number[]): ExpressionsOver {
  if (numbers.length > MOST_ENUMERATED_NUMBERS) {
    throw new RangeError(
      `There are too many expressions of ${numbers.length} numbers to try them all; use at most ${MOST_ENUMERATED_NUMBERS}.`,
    );
  }
  const known = new Map<string, readonly Expression[]>();
  const over: ExpressionsOver = (some) => {
    const id = some.join();
    let found = known.get(id);
    if (found === undefined) {
      found = some.length === 1 ? [numeral(some[0]!)] : combinations(some, over);
      known.set(id, found);
    }
    return found;
  };
  return over;
}

/**
 * What two or more numbers make when they are parted in two in every way and what the parts make is combined. Every canonical
 * expression is found so: the last step of the order that goes well is such a combination.
 *
 * @param target what alone is wanted; everything when absent
 */
function combinations(numbers: readonly number[], over: ExpressionsOver, target?: number): Expression[] {
  const found = new Map<string, Expression>();
  const take = (sign: Sign, a: Expression, b: Expression, value: number): void => {
    if (value < 1 || !Number.isInteger(value) || (target !== undefined && value !== target)) return;
    const expression = combine(sign, a, b);
    found.set(expression.key, expression);
  };
  const rest = numbers.slice(1);
  for (const some of [[], ...subsets(rest)]) {
    if (some.length === rest.length) continue;
    const others = without(rest, some);
    for (const a of over([numbers[0]!, ...some])) {
      for (const b of over(others)) {
        const [x, y] = [a.value!, b.value!];
        take('+', a, b, x + y);
        take('*', a, b, x * y);
        take('-', a, b, x - y);
        take('-', b, a, y - x);
        take('/', a, b, x % y === 0 ? x / y : 0);
        take('/', b, a, y % x === 0 ? y / x : 0);
      }
    }
  }
  return [...found.values()];
}

/** Every choice of one or more of the numbers once, in ascending order. @param numbers in ascending order */
function subsets(numbers: readonly number[]): number[][] {
  const found = new Map<string, number[]>();
  for (let bits = 1; bits < 1 << numbers.length; bits++) {
    const some = numbers.filter((_, i) => (bits >> i) & 1);
    found.set(some.join(), some);
  }
  return [...found.values()];
}

function without(numbers: readonly number[], some: readonly number[]): number[] {
  const left = [...numbers];
  for (const one of some) left.splice(left.indexOf(one), 1);
  return left;
}
