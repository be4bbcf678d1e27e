import { describe, expect, it } from 'vitest';
import { halfBits, halfValues } from './half.js';

const bitsOf = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0]!;
const half = (value: number): number => halfValues()[halfBits(bitsOf(value))]!;

describe('halfBits', () => {
  it('gives every half-precision number back', () => {
    const values = halfValues();
    for (let bits = 0; bits < 0x10000; bits++) {
      if (Number.isNaN(values[bits])) continue;
      if (halfBits(bitsOf(values[bits]!)) !== bits) expect.fail(`${bits} came back as another`);
    }
    expect(half(Number.NaN)).toBeNaN();
  });

  it('rounds to the nearest, ties to even', () => {
    // Neighbours in [1, 2) are 2⁻¹⁰ apart; those below 2⁻¹⁴ are 2⁻²⁴ apart.
    expect(half(1 + 2 ** -11)).toBe(1);
    expect(half(1 + 3 * 2 ** -11)).toBe(1 + 2 ** -9);
    expect(half(1 + 2 ** -11 + 2 ** -20)).toBe(1 + 2 ** -10);
    expect(half(-(2 ** -25))).toBe(-0);
    expect(half(1.5 * 2 ** -24)).toBe(2 ** -23);
    expect(half(2.5 * 2 ** -24)).toBe(2 ** -23);
    expect(half(2 ** -25 + 2 ** -40)).toBe(2 ** -24);
    expect(half(2 ** -14 - 2 ** -26)).toBe(2 ** -14);
  });

  it('turns what rounds beyond 65504 into infinity', () => {
    expect(half(65519.9)).toBe(65504);
    expect(half(65520)).toBe(Number.POSITIVE_INFINITY);
    expect(half(-1e9)).toBe(Number.NEGATIVE_INFINITY);
  });
});
