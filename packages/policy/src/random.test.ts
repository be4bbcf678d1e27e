import { describe, expect, it } from 'vitest';
import { normals, philox4x32, seededPermutation, uniforms } from './random.js';

const draw = { seed: 7, stream: 1, step: 3, row: 2, count: 10 };

describe('Philox4x32-10', () => {
  // The known answers that Random123, the authors' own code, is tested with.
  it.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] satisfies [[number, number, number, number], [number, number], number[]][])(
    '%# of the known answers',
    (counter, key, words) => {
      expect(philox4x32(counter, key)).toEqual(words);
    },
  );
});

describe('uniforms', () => {
  it('are the words of consecutive blocks', () => {
    const block = philox4x32([1, 2, 3, 0], [7, 1]);
    const expected = block.map((word) => ((word >>> 9) + 0.5) / 2 ** 23);
    expect([...uniforms(draw).slice(4, 8)]).toEqual(expected);
  });

  it('do not depend on how many are drawn', () => {
    expect(uniforms({ ...draw, count: 3 })).toEqual(uniforms(draw).slice(0, 3));
  });

  it('differ in every field, and share no number', () => {
    const others = [
      draw,
      { ...draw, seed: 8 },
      { ...draw, stream: 2 },
      { ...draw, step: 4 },
      { ...draw, row: 3 },
      { ...draw, step: 2, row: 3 },
    ].map((d) => uniforms({ ...d, count: 64 }));
    expect(new Set(others.flatMap((values) => [...values])).size).toBe(6 * 64);
  });

  it('stay inside (0, 1) in float32 even at the ends', () => {
    // The largest and smallest values that a word can give.
    expect(Math.fround((0x7fffff + 0.5) / 2 ** 23)).toBeLessThan(1);
    expect(Math.fround(0.5 / 2 ** 23)).toBeGreaterThan(0);
    expect(uniforms({ ...draw, count: 20_000 }).every((value) => value > 0 && value < 1)).toBe(true);
  });

  it('fill sixteen intervals evenly', () => {
    const counts = new Array<number>(16).fill(0);
    for (const value of uniforms({ ...draw, count: 160_000 })) counts[Math.floor(value * 16)]!++;
    // χ² of 15 degrees of freedom: 37.7 is the 99.9th percentile.
    const chiSquare = counts.reduce((s, n) => s + (n - 10_000) ** 2 / 10_000, 0);
    expect(chiSquare).toBeLessThan(37.7);
  });
});

describe('normals', () => {
  it('have the moments of the standard normal distribution', () => {
    const n = 100_000;
    const values = normals({ ...draw, count: n });
    const moment = (k: number): number => values.reduce((s, v) => s + v ** k, 0) / n;
    // Five standard errors: of the mean 1/√n, of the k-th moment √(E x²ᵏ − (E xᵏ)²)/√n.
    const bound = (variance: number): number => 5 * Math.sqrt(variance / n);
    expect(Math.abs(moment(1))).toBeLessThan(bound(1));
    expect(Math.abs(moment(2) - 1)).toBeLessThan(bound(2));
    expect(Math.abs(moment(3))).toBeLessThan(bound(15));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(bound(96));
  });

  it('are finite and repeatable', () => {
    expect(normals(draw)).toEqual(normals(draw));
    expect(normals({ ...draw, count: 1000 }).every(Number.isFinite)).toBe(true);
  });
});

describe('seededPermutation', () => {
  it('holds every index once and depends on seed and epoch', () => {
    const order = seededPermutation(1, 0, 50);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(seededPermutation(1, 0, 50)).toEqual(order);
    expect(seededPermutation(1, 1, 50)).not.toEqual(order);
    expect(seededPermutation(2, 0, 50)).not.toEqual(order);
    expect(seededPermutation(1, 0, 0)).toEqual([]);
    expect(seededPermutation(1, 0, 1)).toEqual([0]);
  });

  it('gives each of the six orders of three about equally often', () => {
    const counts = new Map<string, number>();
    for (let epoch = 0; epoch < 6000; epoch++) {
      const order = seededPermutation(3, epoch, 3).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    // χ² of 5 degrees of freedom: 20.5 is the 99.9th percentile.
    expect([...counts.values()].reduce((s, n) => s + (n - 1000) ** 2 / 1000, 0)).toBeLessThan(20.5);
  });
});
