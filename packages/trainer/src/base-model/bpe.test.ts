import { describe, expect, it } from 'vitest';
import { byteCharacters, trainBytePairs } from './bpe.js';

describe('byteCharacters', () => {
  it('is a printable character for each byte, as in GPT-2', () => {
    const characters = byteCharacters();
    expect(new Set(characters).size).toBe(256);
    expect(characters.some((c) => /\s/.test(c))).toBe(false);
    expect(characters[0x41]).toBe('A');
    expect(characters[0x20]).toBe('Ġ');
    expect(characters[0x0a]).toBe('Ċ');
    expect(characters[0xff]).toBe('ÿ');
  });
});

describe('trainBytePairs', () => {
  const merges = (pieces: Record<string, number>, size = 300) =>
    trainBytePairs(new Map(Object.entries(pieces)), size).merges;

  it('merges the commonest pair first, as worked by hand', () => {
    // low ×5, lower ×2, newest ×6, widest ×3: e+s and s+t come 9 times each, and e+s sorts first. Then es+t ×9, l+o and
    // o+w ×7, lo+w ×7, and e+w, n+e and w+est ×6.
    expect(merges({ low: 5, lower: 2, newest: 6, widest: 3 }, 256 + 5)).toEqual([
      ['e', 's'],
      ['es', 't'],
      ['l', 'o'],
      ['lo', 'w'],
      ['e', 'w'],
    ]);
  });

  it('stops when nothing comes twice', () => {
    const { tokens, merges: made } = trainBytePairs(
      new Map([
        ['ab', 2],
        ['cd', 1],
      ]),
      1000,
    );
    expect(made).toEqual([['a', 'b']]);
    expect(tokens).toHaveLength(257);
    expect(tokens[256]).toBe('ab');
  });

  it('never merges across pieces, and merges a run from its left', () => {
    expect(merges({ a: 10, b: 10 })).toEqual([]);
    expect(merges({ aaa: 2 })).toEqual([
      ['a', 'a'],
      ['aa', 'a'],
    ]);
  });

  it('does not depend on the order of pieces', () => {
    const pieces: [string, number][] = [
      ['0 1 0\n', 4],
      ['0 1 1\n', 4],
      ['Layer 1:\n', 4],
    ];
    expect(trainBytePairs(new Map([...pieces].reverse()), 300)).toEqual(trainBytePairs(new Map(pieces), 300));
  });

  it('works on the bytes of characters', () => {
    expect(merges({ é: 3 })).toEqual([['Ã', '©']]);
  });
});
