import { and, type Expression, evaluate, nor, not, OPERATORS, type Operator, or, variable } from './expression.js';

export interface Observation {
  /** 0 or 1 for every variable */
  readonly inputs: Readonly<Record<string, number>>;
  readonly output: number;
}

/** Some rows of the truth table of an unknown expression, and what it is made of. */
// A type rather than an interface, so that an instance can be handed on as the fields of a row.
export type BooleanInstance = {
  readonly variables: readonly string[];
  readonly operators: readonly Operator[];
  /** D ≥ 0 */
  readonly max_depth: number;
  readonly observations: readonly Observation[];
};

/** Expressions that may have to be looked at to build one more level. */
const MOST_CANDIDATES = 100_000;

/** Spaces that are kept; a training run uses one or a few. */
const SPACES_KEPT = 16;

const spaces = new Map<string, ReadonlyMap<string, Expression>>();

/**
 * Every expression of depth at most D, by key. Level 0 is the variables; level d+1 is level d with NOT a, and a AND b,
 * a OR b and NOR(a, b) for all a and b of level d, as far as the operators are allowed.
 *
 * @throws RangeError when the space is too large to be enumerated
 */
export function hypothesisSpace(
  variables: readonly string[],
  operators: readonly Operator[],
  maxDepth: number,
): ReadonlyMap<string, Expression> {
  const allowed = OPERATORS.filter((operator) => operators.includes(operator));
  const id = JSON.stringify([[...variables].sort(), allowed, maxDepth]);
  const known = spaces.get(id);
  if (known !== undefined) return known;

  let level = new Map(variables.map((name) => [name, variable(name)]));
  for (let depth = 1; depth <= maxDepth; depth++) {
    const next = oneDeeper(level, allowed);
    if (next.size === level.size) break;
    level = next;
  }
  if (spaces.size >= SPACES_KEPT) spaces.delete(spaces.keys().next().value!);
  spaces.set(id, level);
  return level;
}

function oneDeeper(level: ReadonlyMap<string, Expression>, operators: readonly Operator[]): Map<string, Expression> {
  const members = [...level.values()];
  const binary = [and, or, nor].filter((_, i) => operators.includes((['AND', 'OR', 'NOR'] as const)[i]!));
  const candidates = members.length + binary.length * ((members.length * (members.length + 1)) / 2);
  if (candidates > MOST_CANDIDATES) {
    throw new RangeError('there would be too many expressions to enumerate; use a smaller depth or fewer variables');
  }
  const next = new Map(level);
  const add = (expression: Expression): void => {
    next.set(expression.key, expression);
  };
  for (const [i, a] of members.entries()) {
    if (operators.includes('NOT')) add(not(a));
    for (const combine of binary) for (const b of members.slice(i)) add(combine([a, b]));
  }
  return next;
}

export function spaceOf(instance: BooleanInstance): ReadonlyMap<string, Expression> {
  return hypothesisSpace(instance.variables, instance.operators, instance.max_depth);
}

/** Whether the expression has the observed output in every observed row. */
export function agrees(expression: Expression, observations: readonly Observation[]): boolean {
  return observations.every(({ inputs, output }) => evaluate(expression, inputs) === output);
}
