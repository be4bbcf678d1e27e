import fc from 'fast-check';
import { expect, it } from 'vitest';
import { commonSubsequence } from './common-subsequence.js';

/** By the table of lengths, row by row. */
function byTable(a: readonly number[], b: readonly number[]): number {
  let above = new Array<number>(a.length + 1).fill(0);
  for (const y of b) {
    const row = [0];
    for (const [i, x] of a.entries()) row.push(x === y ? above[i]! + 1 : Math.max(above[i + 1]!, row[i]!));
    above = row;
  }
  return above[a.length]!;
}

it('is what the table of lengths says, over words of bits and with values rare and frequent', async () => {
  const list = fc
    .integer({ min: 2, max: 40 })
    .chain((kinds) =>
      fc.tuple(
        fc.array(fc.nat(kinds), { maxLength: 200, size: 'max' }),
        fc.array(fc.nat(kinds), { maxLength: 200, size: 'max' }),
      ),
    );
  await fc.assert(
    fc.asyncProperty(list, async ([a, b]) => {
      expect(await commonSubsequence(a, b)).toBe(byTable(a, b));
    }),
    { numRuns: 200 },
  );
});
