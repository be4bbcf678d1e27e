import { combine, type Expression, numeral, type Sign } from './expression.js';

/**
 * Tokens that are read. The longest answer to any instance is far below; the bound keeps a run-away answer from costing time and
 * memory that grow with the square of its nesting.
 */
const MOST_TOKENS = 500;

/** Numbers of more digits are not exact, and none is given. */
const TOKEN = /\s*(?:(0|[1-9]\d{0,14})(?!\d)|([-+*/()−×·÷]))/y;

const SYMBOLS: Readonly<Record<string, string>> = { '−': '-', '×': '*', '·': '*', '÷': '/' };

/** An open parenthesis, and what has been read since: `sum sumSign product productSign` and now an operand. */
interface Frame {
  sum: Expression | null;
  sumSign: '+' | '-';
  product: Expression | null;
  productSign: '*' | '/';
}

/**
 * Reads an expression by this grammar, where −, ×, · and ÷ are signs as well:
 *
 *     sum := product (('+' | '-') product)*        product := operand (('*' | '/') operand)*
 *     operand := digits | '(' sum ')'
 *
 * Kept on a stack of its own rather than the call stack, which a deeply nested answer would overflow.
 *
 * @returns null for anything else: a sign in front, fractions, powers, names, `2(3+4)`
 */
export function parseExpression(text: string): Expression | null {
  const tokens = tokenize(text);
  if (tokens === null) return null;
  const stack: Frame[] = [open()];
  let wantsOperand = true;
  for (const token of tokens) {
    const frame = stack[stack.length - 1]!;
    if (wantsOperand) {
      if (token === '(') {
        stack.push(open());
      } else if (typeof token === 'number') {
        multiply(frame, numeral(token));
        wantsOperand = false;
      } else {
        return null;
      }
    } else if (token === '*' || token === '/') {
      frame.productSign = token;
      wantsOperand = true;
    } else if (token === '+' || token === '-') {
      add(frame);
      frame.sumSign = token;
      wantsOperand = true;
    } else if (token === ')' && stack.length > 1) {
      stack.pop();
      multiply(stack[stack.length - 1]!, add(frame));
    } else {
      return null;
    }
  }
  return wantsOperand || stack.length > 1 ? null : add(stack[0]!);
}

function open(): Frame {
  return { sum: null, sumSign: '+', product: null, productSign: '*' };
}

function multiply(frame: Frame, operand: Expression): void {
  frame.product = joined(frame.product, frame.productSign, operand);
}

/** Ends the product that is being read. */
function add(frame: Frame): Expression {
  const whole = joined(frame.sum, frame.sumSign, frame.product!);
  frame.sum = whole;
  frame.product = null;
  return whole;
}

function joined(left: Expression | null, sign: Sign, right: Expression): Expression {
  return left === null ? right : combine(sign, left, right);
}

/** null when a character is not part of the language, or for too many tokens */
function tokenize(text: string): (number | string)[] | null {
  const tokens: (number | string)[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const match = TOKEN.exec(text);
    if (match === null || tokens.length === MOST_TOKENS) return null;
    const [, digits, symbol] = match;
    tokens.push(digits === undefined ? (SYMBOLS[symbol!] ?? symbol!) : Number(digits));
  }
  return tokens;
}

/** The expression with this canonical key. @throws RangeError when there is none */
export function expressionFromKey(key: string): Expression {
  const expression = parseExpression(key);
  if (expression === null || expression.key !== key) {
    throw new RangeError(`'${key}' is not the key of an expression; one looks like (3+4)*2-5.`);
  }
  return expression;
}
