import { drawDistinct } from '../../random.js';
import type { GenerateOptions } from '../../task.js';
import { OPERATORS, type Operator } from './expression.js';
import { agrees, type BooleanInstance, hypothesisSpace } from './space.js';

/** Operator sets by their usual names. */
export const OPERATOR_SETS = {
  basic: ['AND', 'OR'],
  extended: ['AND', 'OR', 'NOT'],
  full: ['AND', 'OR', 'NOT', 'NOR'],
} as const satisfies Record<string, readonly Operator[]>;

export interface BooleanOptions extends GenerateOptions {
  /** @defaultValue 'extended' */
  readonly operators?: keyof typeof OPERATOR_SETS | readonly Operator[];
  /** D, at least 1. @defaultValue 2 */
  readonly maxDepth?: number;
  /** rows of the truth table that are observed, 1..4 each. @defaultValue [1, 2, 3, 4] */
  readonly observations?: number | readonly number[];
}

const VARIABLES = ['x', 'y'];
const ROWS = [0, 1, 2, 3];

/**
 * Every choice of n of the four input rows with every choice of outputs that some expression of the space explains;
 * by n, then rows, then outputs.
 */
export function partialTables(options: BooleanOptions): BooleanInstance[] {
  const { operators = 'extended', maxDepth = 2, observations = [1, 2, 3, 4], count, seed = 0 } = options;
  const allowed = typeof operators === 'string' ? OPERATOR_SETS[operators] : operators;
  if (allowed === undefined || allowed.length === 0 || allowed.some((o) => !OPERATORS.includes(o))) {
    throw new RangeError(`operators must be basic, extended, full, or a list of ${OPERATORS.join(', ')}.`);
  }
  if (!Number.isInteger(maxDepth) || maxDepth < 1) throw new RangeError(`maxDepth must be an integer of at least 1.`);
  const sizes = new Set(typeof observations === 'number' ? [observations] : observations);
  for (const n of sizes) {
    if (!ROWS.includes(n - 1)) throw new RangeError(`observations must be integers from 1 to 4, not ${n}.`);
  }
  const space = [...hypothesisSpace(VARIABLES, allowed, maxDepth).values()];
  const all = [...sizes]
    .sort()
    .flatMap((n) => rowChoices(n).flatMap((rows) => outputChoices(rows)))
    .filter((observed) => space.some((expression) => agrees(expression, observed)))
    .map(
      (observed): BooleanInstance => ({
        variables: [...VARIABLES],
        operators: [...allowed],
        max_depth: maxDepth,
        observations: observed,
      }),
    );
  return count === undefined ? all : drawDistinct(count, all.length, seed).map((i) => all[i]!);
}

function rowChoices(n: number): number[][] {
  return Array.from({ length: 16 }, (_, bits) => ROWS.filter((row) => (bits >> row) & 1))
    .filter((rows) => rows.length === n)
    .sort((a, b) => (a.join() < b.join() ? -1 : 1));
}

function outputChoices(rows: readonly number[]): { inputs: Record<string, number>; output: number }[][] {
  return Array.from({ length: 2 ** rows.length }, (_, bits) =>
    rows.map((row, i) => ({
      inputs: { x: row >> 1, y: row & 1 },
      output: (bits >> (rows.length - 1 - i)) & 1,
    })),
  );
}
