import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FormulaError, parseFormula } from './formula.js';

const value = (source: string, values: Record<string, number> = {}): number =>
  parseFormula(source, Object.keys(values)).evaluate(values);

function refused(source: string, ...names: string[]): FormulaError {
  try {
    parseFormula(source, names);
  } catch (error) {
    if (error instanceof FormulaError) return error;
    throw error;
  }
  throw new Error(`'${source}' was accepted.`);
}

describe('a formula', () => {
  it.each([
    ['1 + 2 * 3', 7],
    ['(1 + 2) * 3', 9],
    ['8 / 4 / 2', 1],
    ['8 - 4 - 2', 2],
    ['2 ^ 3 ^ 2', 512],
    ['-2 ^ 2', -4],
    ['2 ^ -1', 0.5],
    ['2 * -3', -6],
    ['--2', 2],
    ['+.5 - 1.', -0.5],
    ['1e3 + 2.5E-1', 1000.25],
    ['min(3, 1, 2) + max(4, 9)', 10],
    ['abs(-2) + floor(1.7) + ceil(1.2) + exp(0) + sqrt(9) + log(1)', 9],
    ['min(max(1, 2), 3)', 2],
    [' ( (\t1 ) ) ', 1],
  ])('%s is %d', (source, expected) => {
    expect(value(source)).toBe(expected);
  });

  it('reads names, the longest that fits, whatever they hold', () => {
    const values = { a: 2, b: 3, 'a-b': 50, 'my grader': 7, a_2: 11, größe: 13, min: 17, 'x.y': 19 };
    expect(value('a-b', values)).toBe(50);
    expect(value('a - b', values)).toBe(-1);
    expect(value('a_2 * my grader', values)).toBe(77);
    expect(value('größe + min + min(a, b) + x.y', values)).toBe(51);
    expect(parseFormula('b + a * b', ['a', 'b', 'c']).names).toEqual(['b', 'a']);
  });

  it.each([
    ['', 0, 'it ends where'],
    ['a +', 3, 'it ends where'],
    ['(a', 2, "')' for the '(' at character 0"],
    ['0.5 * a)', 7, "')' where an operator or the end"],
    ['a a', 2, "'a' where an operator"],
    ['a ** 2', 2, "written '^'"],
    ['a + b', 4, "'b' is neither a grader (a) nor a function (min, max"],
    ['a_2', 0, "'a_2' is neither"],
    ['constructor', 0, 'is neither'],
    ['round(a)', 0, "'round' is neither"],
    ['sqrt(a, a)', 0, 'takes 1 value, not 2'],
    ['min()', 4, 'should be'],
    ['a; a', 1, "';' has no meaning"],
    ['a == 1', 2, "'=' has no meaning"],
    ['a[0]', 1, "'[' has no meaning"],
    ['a 😀', 2, "'😀' has no meaning"],
  ])('%j is refused at character %i', (source, position, message) => {
    const error = refused(source, 'a');
    expect(error.message).toContain(message);
    expect(error.position).toBe(position);
  });

  it('refuses what is too long or too deep, rather than running out of stack', () => {
    expect(refused(`${'1+'.repeat(3000)}1`).message).toContain('4096');
    expect(refused('('.repeat(2000)).message).toContain('100 levels');
    expect(refused('-'.repeat(2000)).message).toContain('100 levels');
    expect(value(`1${'+1'.repeat(2047)}`)).toBe(2048);
  });

  it('is read or refused at a place in it, whatever is written', () => {
    const piece = fc.constantFrom(...'+-*/^(),. 0189eE', 'a', 'a b', 'min', 'log(', '**', 'x', '\n', '😀', '__proto__');
    const source = fc.oneof(
      fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join('')),
      fc.string(),
    );
    fc.assert(
      fc.property(source, (text) => {
        try {
          expect(typeof parseFormula(text, ['a', 'a b']).evaluate({ a: 2, 'a b': -1 })).toBe('number');
        } catch (error) {
          expect(error).toBeInstanceOf(FormulaError);
          expect((error as FormulaError).position).toBeLessThanOrEqual(text.length);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('computes what its tree says, whatever the tree', () => {
    interface Tree {
      readonly text: string;
      readonly value: number;
    }
    const leaf = fc.integer({ min: 0, max: 9 }).map((n): Tree => ({ text: `${n}`, value: n }));
    const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        leaf,
        fc.tuple(tie('tree'), fc.constantFrom('+', '-', '*', '/', '^'), tie('tree')).map(([a, operator, b]): Tree => {
          const apply = { '+': a.value + b.value, '-': a.value - b.value, '*': a.value * b.value };
          const result = { ...apply, '/': a.value / b.value, '^': a.value ** b.value }[operator];
          return { text: `(${a.text}) ${operator}(${b.text})`, value: result };
        }),
        fc.tuple(tie('tree'), tie('tree')).map(([a, b]): Tree => {
          return { text: `max(${a.text},-(${b.text}))`, value: Math.max(a.value, -b.value) };
        }),
      ),
    }));
    fc.assert(
      fc.property(tree, (one) => {
        expect(value(one.text)).toBe(one.value);
      }),
    );
  });
});
