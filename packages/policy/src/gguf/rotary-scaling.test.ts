import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { llama3Divisors, scalingOfDivisors } from './rotary-scaling.js';

describe('scalingOfDivisors', () => {
  it.each([
    ['Llama 3.1', 8, 128],
    ['Llama 3.2', 32, 64],
  ])('finds the config of %s', (_, factor, headDim) => {
    const config = { factor, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };
    expect(scalingOfDivisors(llama3Divisors(config, 500000, headDim), 500000)).toEqual(config);
  });

  it('finds another that scales alike, whatever the config', () => {
    const numbers = fc.record({
      factor: fc.double({ min: 1.5, max: 64, noNaN: true }),
      low: fc.double({ min: 0.5, max: 4, noNaN: true }),
      ratio: fc.double({ min: 1.2, max: 16, noNaN: true }),
      context: fc.integer({ min: 16, max: 32768 }),
      theta: fc.double({ min: 50, max: 1e6, noNaN: true }),
      pairs: fc.integer({ min: 2, max: 64 }),
    });
    fc.assert(
      fc.property(numbers, ({ factor, low, ratio, context, theta, pairs }) => {
        const config = {
          factor,
          low_freq_factor: low,
          high_freq_factor: low * ratio,
          original_max_position_embeddings: context,
        };
        const divisors = llama3Divisors(config, theta, 2 * pairs);
        // All alike: nothing, or one factor.
        const found = scalingOfDivisors(divisors, theta);
        if (found === null) return divisors.every((d) => d === 1);
        if (typeof found === 'number') return divisors.every((d) => Math.fround(found) === d);
        return llama3Divisors(found, theta, 2 * pairs).every((d, i) => Math.abs(d / divisors[i]! - 1) < 1e-5);
      }),
      {
        numRuns: 500,
        // No pair is divided by the whole factor, and the largest divisor is close to 1.
        examples: [
          [{ factor: 1.5, low: 0.5735370681925649, ratio: 9.205929248865127, context: 447, theta: 50, pairs: 3 }],
        ],
      },
    );
  });

  it('refuses divisors that no such scaling gives', () => {
    expect(() => scalingOfDivisors(Float32Array.of(1, 3, 1.5, 8), 10000)).toThrow('rope_freqs.weight');
    expect(() => scalingOfDivisors(Float32Array.of(8, 4, 2, 1), 10000)).toThrow('rope_freqs.weight');
  });
});
