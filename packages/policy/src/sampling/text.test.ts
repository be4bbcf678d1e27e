import { describe, expect, it } from 'vitest';
import { firstOf, GrowingText, heldBack } from './text.js';

/** Tokens are bytes of UTF-8, as the smallest ones of byte-level tokenizers are. */
const decodeBytes = (tokens: readonly number[]): string => new TextDecoder().decode(Uint8Array.from(tokens));
const bytes = (text: string): number[] => [...new TextEncoder().encode(text)];

/** A tokenizer of words, which drops the space before the first, as SentencePiece's do. */
const words = [' a', ' b', ' the', 'x', '.'];
const decodeWords = (tokens: readonly number[]): string =>
  tokens
    .map((t) => words[t])
    .join('')
    .replace(/^ /, '');

describe('growing text', () => {
  it('waits for the rest of a character, and never takes anything back', () => {
    const whole = 'né 🙂 中文';
    const text = new GrowingText(decodeBytes);
    const finals = bytes(whole).map((byte) => {
      text.push(byte);
      return text.final;
    });
    expect(text.whole).toBe(whole);
    expect(finals.at(-1)).toBe(whole);
    expect(finals.every((f) => whole.startsWith(f))).toBe(true);
    expect(finals).toContain('né ');
    expect(finals.some((f) => f.includes('�'))).toBe(false);
  });

  it('shows an unfinished character only where the text ends with one', () => {
    const text = new GrowingText(decodeBytes);
    for (const byte of bytes('a🙂').slice(0, 3)) text.push(byte);
    expect(text.final).toBe('a');
    expect(text.whole).toBe('a�');
  });

  it('keeps the spaces that a decoder takes from the first word', () => {
    const text = new GrowingText(decodeWords);
    const tokens = [2, 0, 3, 1, 4, 2];
    for (const token of tokens) text.push(token);
    expect(text.final).toBe(decodeWords(tokens));
    expect(text.final).toBe('the ax b. the');
  });

  it('decodes a few tokens at a time however long it is', () => {
    let most = 0;
    const text = new GrowingText((tokens) => {
      most = Math.max(most, tokens.length);
      return decodeWords(tokens);
    });
    for (let i = 0; i < 500; i++) text.push(i % 5);
    expect(most).toBeLessThan(5);
  });
});

describe('stop strings', () => {
  it('are found where the first begins, even when they began before what is new', () => {
    expect(firstOf(['cd', 'bc'], 'abcd', 0)).toBe(1);
    expect(firstOf(['bcd'], 'abcd', 3)).toBe(1);
    expect(firstOf(['x'], 'abcd', 0)).toBe(-1);
  });

  it('are held back as long as they may come', () => {
    expect(heldBack(['END'], 'the E')).toBe(1);
    expect(heldBack(['END'], 'the EN')).toBe(2);
    expect(heldBack(['END', 'ENTRY.'], 'ENTRY')).toBe(5);
    expect(heldBack(['END'], 'the e')).toBe(0);
    expect(heldBack([], 'E')).toBe(0);
  });
});
