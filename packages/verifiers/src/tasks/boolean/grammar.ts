import { and, type Expression, nor, not, or, variable } from './expression.js';

/**
 * Tokens that are read. The longest member of any supported space is far below; the bound keeps a run-away answer from
 * costing time and memory that grow with the square of its nesting.
 */
const MOST_TOKENS = 2000;

const TOKEN = /\s*(?:([A-Za-z_][A-Za-z0-9_]*)|([()&|~,]))/y;

const SYMBOLS: Readonly<Record<string, string>> = { '&': 'AND', '|': 'OR', '~': 'NOT' };

const WORDS = new Set(['AND', 'OR', 'NOT', 'NOR']);

/** An open parenthesis, and what has been read since. */
interface Frame {
  readonly kind: 'whole' | 'group' | 'nor';
  /** finished arguments of a NOR */
  readonly args: Expression[];
  /** finished operands of OR */
  terms: Expression[];
  /** operands of the AND that is being read */
  factors: Expression[];
  /** NOTs that wait for their operand */
  nots: number;
}

/**
 * Reads an expression by this grammar, where AND, OR and NOT are also written &, | and ~:
 *
 *     or  := and (OR and)*          and := un (AND un)*
 *     un  := NOT un | NOR ( or , or ... ) | ( or ) | variable
 *
 * Kept on a stack of its own rather than the call stack, which a deeply nested answer would overflow.
 *
 * @returns null for anything else: other names, constants, lower-case operators, infix NOR
 */
export function parseExpression(text: string, variables: readonly string[]): Expression | null {
  const tokens = tokenize(text);
  if (tokens === null) return null;
  const stack: Frame[] = [open('whole')];
  let wantsOperand = true;
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    const frame = stack[stack.length - 1]!;
    if (wantsOperand) {
      if (token === 'NOT') {
        frame.nots++;
      } else if (token === '(') {
        stack.push(open('group'));
      } else if (token === 'NOR' && tokens[i + 1] === '(') {
        stack.push(open('nor'));
        i++;
      } else if (variables.includes(token)) {
        take(frame, variable(token));
        wantsOperand = false;
      } else {
        return null;
      }
    } else if (token === 'AND') {
      wantsOperand = true;
    } else if (token === 'OR') {
      frame.terms.push(and(frame.factors));
      frame.factors = [];
      wantsOperand = true;
    } else if (token === ',' && frame.kind === 'nor') {
      frame.args.push(close(frame));
      frame.terms = [];
      frame.factors = [];
      wantsOperand = true;
    } else if (token === ')' && frame.kind !== 'whole') {
      stack.pop();
      const inner = close(frame);
      take(stack[stack.length - 1]!, frame.kind === 'nor' ? nor([...frame.args, inner]) : inner);
    } else {
      return null;
    }
  }
  return wantsOperand || stack.length > 1 ? null : close(stack[0]!);
}

function open(kind: Frame['kind']): Frame {
  return { kind, args: [], terms: [], factors: [], nots: 0 };
}

function take(frame: Frame, operand: Expression): void {
  let negated = operand;
  for (; frame.nots > 0; frame.nots--) negated = not(negated);
  frame.factors.push(negated);
}

function close(frame: Frame): Expression {
  return or([...frame.terms, and(frame.factors)]);
}

/** null when a character is not part of the language, or for too many tokens. */
function tokenize(text: string): string[] | null {
  const trimmed = text.trim();
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < trimmed.length) {
    const match = TOKEN.exec(trimmed);
    if (match === null || tokens.length === MOST_TOKENS) return null;
    const [, name, symbol] = match;
    tokens.push(name ?? SYMBOLS[symbol!] ?? symbol!);
  }
  return tokens;
}

/** Whether a variable can have this name. */
export function isVariableName(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !WORDS.has(name);
}

const KEY_TOKEN = /([A-Za-z_][A-Za-z0-9_]*)|([(),])/y;

/** The expression with this canonical key. @throws RangeError when there is none */
export function expressionFromKey(key: string): Expression {
  const stack: { operator: string; operands: Expression[] }[] = [{ operator: '', operands: [] }];
  let pending: string | undefined;
  const settle = (): void => {
    if (pending !== undefined) stack[stack.length - 1]!.operands.push(variable(pending));
    pending = undefined;
  };
  KEY_TOKEN.lastIndex = 0;
  while (KEY_TOKEN.lastIndex < key.length) {
    const [, name, symbol] = KEY_TOKEN.exec(key) ?? fail(key);
    if (name !== undefined) {
      if (pending !== undefined) fail(key);
      pending = name;
    } else if (symbol === '(') {
      stack.push({ operator: pending ?? fail(key), operands: [] });
      pending = undefined;
    } else {
      settle();
      if (symbol === ')') {
        const { operator, operands } = stack.pop()!;
        if (stack.length === 0) fail(key);
        stack[stack.length - 1]!.operands.push(build(operator, operands) ?? fail(key));
      }
    }
  }
  settle();
  const [whole] = stack[0]!.operands;
  // Comparing with the key that comes out catches every misplaced comma and non-canonical form.
  if (stack.length !== 1 || whole === undefined || whole.key !== key) fail(key);
  return whole!;
}

function build(operator: string, operands: readonly Expression[]): Expression | null {
  if (operands.length === 0) return null;
  if (operator === 'AND') return and(operands);
  if (operator === 'OR') return or(operands);
  if (operator === 'NOR') return nor(operands);
  return operator === 'NOT' && operands.length === 1 ? not(operands[0]!) : null;
}

function fail(key: string): never {
  throw new RangeError(`'${key}' is not the key of an expression; one looks like AND(NOT(x),y).`);
}
