import type { TensorData } from '@polymode/autodiff';
import { describe, expect, it } from 'vitest';
import { causalBlocks, HIDDEN } from './attention.js';

describe('causal blocks', () => {
  it.each([
    [700, null],
    [1024, null],
    [1100, 40],
    [1300, 600],
    [90, 7],
  ])('of %i tokens with a window of %s show each token those before it and no others', (time, window) => {
    const repeats = 2;
    const blocks = causalBlocks(repeats, time, window);
    expect(blocks.reduce((n, b) => n + b.length, 0)).toBe(time);
    let first = 0;
    for (const { length, keys, mask } of blocks) {
      const [from, until] = keys;
      expect(mask.shape).toEqual([repeats * length, until - from]);
      const { values } = mask.node.attributes.data as TensorData;
      let wrong = 0;
      for (let r = 0; r < repeats; r++) {
        for (let q = 0; q < length; q++) {
          const query = first + q;
          for (let key = 0; key < time; key++) {
            const visible = key <= query && (window === null || query - key < window);
            const there = key >= from && key < until;
            const shown = there && values[(r * length + q) * (until - from) + key - from] !== HIDDEN;
            if (shown !== visible) wrong++;
          }
        }
      }
      expect(wrong).toBe(0);
      first += length;
    }
  });
});
