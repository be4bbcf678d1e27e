import { describe, expect, it } from 'vitest';
import { mergesOfScores, scoresOfMerges } from './sentence-pieces.js';

describe('mergesOfScores', () => {
  it('lists every way to make a token, best score first, then longer left parts', () => {
    const tokens = ['a', 'b', 'c', 'ab', 'bc', 'abc', null];
    const scores = [0, 0, 0, -2, -1, -3, 5];
    expect(mergesOfScores(tokens, scores)).toEqual([
      ['b', 'c'],
      ['a', 'b'],
      ['ab', 'c'],
      ['a', 'bc'],
    ]);
  });

  it('counts characters, not UTF-16 units', () => {
    expect(mergesOfScores(['😀', '😁', '😀😁'], [0, 0, -1])).toEqual([['😀', '😁']]);
  });
});

describe('scoresOfMerges', () => {
  it('gives scores from which the same merges follow', () => {
    const tokens = ['a', 'b', 'c', 'ab', 'bc', 'abc', null];
    const merges = mergesOfScores(tokens, [0, 0, 0, -2, -1, -3, 5]);
    const scores = scoresOfMerges(tokens, merges);
    expect(mergesOfScores(tokens, scores)).toEqual(merges);
    expect(scores).toEqual([-3, -3, -3, -1, 0, -2, 0].map((s) => s || expect.closeTo(0)));
  });
});
