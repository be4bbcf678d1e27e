/** Operators in the order in which prompts list them. */
export const OPERATORS = ['AND', 'OR', 'NOT', 'NOR'] as const;

export type Operator = (typeof OPERATORS)[number];

/**
 * An expression in canonical form. Two expressions are the same mechanism iff their keys are equal:
 * AND and OR are commutative, associative and idempotent, and NOT of an OR is a NOR. Nothing else is identified: not
 * double negation, De Morgan, absorption or distribution.
 */
export interface Expression {
  /** null for a variable */
  readonly operator: Operator | null;
  /** distinct, in code unit order of their keys; NOT has one, AND, OR and NOR two or more */
  readonly operands: readonly Expression[];
  /** prefix text, as in `AND(NOT(x),y)` */
  readonly key: string;
}

export function variable(name: string): Expression {
  return { operator: null, operands: [], key: name };
}

/** @param operands at least one */
export function and(operands: readonly Expression[]): Expression {
  return commutative('AND', operands);
}

/** @param operands at least one */
export function or(operands: readonly Expression[]): Expression {
  return commutative('OR', operands);
}

export function not(operand: Expression): Expression {
  return operand.operator === 'OR' ? node('NOR', operand.operands) : node('NOT', [operand]);
}

/** NOT of the OR of the operands, so that NOR(x, x) is NOT x. @param operands at least one */
export function nor(operands: readonly Expression[]): Expression {
  return not(or(operands));
}

function commutative(operator: 'AND' | 'OR', operands: readonly Expression[]): Expression {
  const distinct = new Map<string, Expression>();
  for (const operand of operands) {
    for (const part of operand.operator === operator ? operand.operands : [operand]) distinct.set(part.key, part);
  }
  const [only, second] = distinct.values();
  if (only === undefined) throw new RangeError(`${operator} needs an operand.`);
  if (second === undefined) return only;
  return node(
    operator,
    [...distinct.values()].sort((a, b) => (a.key < b.key ? -1 : 1)),
  );
}

function node(operator: Operator, operands: readonly Expression[]): Expression {
  return { operator, operands, key: `${operator}(${operands.map((o) => o.key).join(',')})` };
}

/** @param inputs 0 or 1 for every variable of the expression */
export function evaluate(expression: Expression, inputs: Readonly<Record<string, number>>): 0 | 1 {
  const { operator, operands, key } = expression;
  switch (operator) {
    case null:
      return inputs[key] === 1 ? 1 : 0;
    case 'AND':
      return operands.every((o) => evaluate(o, inputs) === 1) ? 1 : 0;
    case 'OR':
      return operands.some((o) => evaluate(o, inputs) === 1) ? 1 : 0;
    case 'NOT':
    case 'NOR':
      return operands.some((o) => evaluate(o, inputs) === 1) ? 0 : 1;
  }
}

/**
 * The expression in the words of the prompts, as in `x AND NOT (x OR y)`.
 *
 * @param operators what may be used: without NOR, a NOR is written as NOT of an OR
 */
export function infix(expression: Expression, operators: readonly Operator[]): string {
  const { operator, operands, key } = expression;
  const part = (o: Expression): string =>
    o.operator === 'AND' || o.operator === 'OR' ? `(${infix(o, operators)})` : infix(o, operators);
  switch (operator) {
    case null:
      return key;
    case 'NOT':
      return `NOT ${part(operands[0]!)}`;
    case 'NOR': {
      const withNor = operators.includes('NOR');
      return withNor
        ? `NOR(${operands.map((o) => infix(o, operators)).join(', ')})`
        : `NOT (${operands.map(part).join(' OR ')})`;
    }
    default:
      return operands.map(part).join(` ${operator} `);
  }
}
