/**
 * An expression in canonical form, in which sums and products are flat: `a - (b - c)` is the sum of +a, +c and −b, and
 * `a / (b / c)` the product of a and c over b.
 *
 * Two expressions are the same iff their keys are equal: order and grouping of additions and subtractions do not matter, nor do
 * those of multiplications and divisions. Nothing else is identified: not x*1 and x/1, not x+y-y and x, no distribution. There is
 * no sign in front, so every sum has a part that is added and every product one that is multiplied.
 */
export interface Expression {
  readonly kind: 'number' | 'sum' | 'product';
  /** by the rules of the game; null where those do not allow it */
  readonly value: number | null;
  /** what is added, or multiplied; in code unit order of their keys. No sum in a sum and no product in a product */
  readonly forward: readonly Expression[];
  /** what is subtracted, or divided by; in the same order */
  readonly backward: readonly Expression[];
  /** infix without spaces, as in `(3+4)*2-5`; reading it gives the expression again */
  readonly key: string;
}

export type Sign = '+' | '-' | '*' | '/';

/** @param number a whole number of at least 0 */
export function numeral(number: number): Expression {
  return { kind: 'number', value: number >= 1 ? number : null, forward: [], backward: [], key: String(number) };
}

export function combine(sign: Sign, left: Expression, right: Expression): Expression {
  return sign === '+' || sign === '-'
    ? flat('sum', left, right, sign === '-')
    : flat('product', left, right, sign === '/');
}

function flat(kind: 'sum' | 'product', left: Expression, right: Expression, inverse: boolean): Expression {
  const [a, aInverse] = partsOf(kind, left);
  const [b, bInverse] = partsOf(kind, right);
  const forward = sorted([...a, ...(inverse ? bInverse : b)]);
  const backward = sorted([...aInverse, ...(inverse ? b : bInverse)]);
  const [sign, inverseSign] = kind === 'sum' ? ['+', '-'] : ['*', '/'];
  const written = (part: Expression): string =>
    kind === 'product' && part.kind === 'sum' ? `(${part.key})` : part.key;
  const key = forward.map(written).join(sign) + backward.map((part) => inverseSign + written(part)).join('');
  return { kind, value: resultOf(kind, forward, backward), forward, backward, key };
}

/**
 * The rules: every result on the way is a positive whole number, and so is the last.
 *
 * Whether that is so may depend on the order of the steps, as in 3-5+4, and the order is not part of the expression. It is done in
 * whichever order goes well, and one does iff each sum and each product is itself a positive whole number: adding everything
 * before anything is subtracted, and multiplying before dividing, gives the largest results.
 *
 * @returns null for anything else; exact while the product of all numbers plus one is a safe integer
 */
function resultOf(
  kind: 'sum' | 'product',
  forward: readonly Expression[],
  backward: readonly Expression[],
): number | null {
  const ahead = valuesOf(forward);
  const back = valuesOf(backward);
  if (ahead === null || back === null) return null;
  if (kind === 'sum') {
    const total = sum(ahead) - sum(back);
    return total >= 1 ? total : null;
  }
  return product(ahead) % product(back) === 0 ? product(ahead) / product(back) : null;
}

function valuesOf(parts: readonly Expression[]): number[] | null {
  const values = parts.map((part) => part.value);
  return values.includes(null) ? null : (values as number[]);
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const product = (values: readonly number[]): number => values.reduce((a, b) => a * b, 1);

function partsOf(kind: 'sum' | 'product', one: Expression): readonly [readonly Expression[], readonly Expression[]] {
  return one.kind === kind ? [one.forward, one.backward] : [[one], []];
}

function sorted(parts: Expression[]): Expression[] {
  return parts.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
}

/** The numbers in it, in no particular order. */
export function numbersOf(expression: Expression): number[] {
  if (expression.kind === 'number') return [Number(expression.key)];
  return [...expression.forward, ...expression.backward].flatMap(numbersOf);
}
