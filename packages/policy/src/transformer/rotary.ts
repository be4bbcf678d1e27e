import { constant, type Tensor } from '@polymode/autodiff';
import type { ModelConfig, RotaryConfig } from '../config.js';

export interface RotaryTables {
  readonly cosines: Tensor;
  readonly sines: Tensor;
}

/** cos and sin of position · frequency, computed in float64: [positions, D/2]. Null where positions are learned. */
export function rotaryValues(
  config: ModelConfig,
  positions: number,
): { readonly cosines: Float32Array; readonly sines: Float32Array } | null {
  if (config.rotary === null) return null;
  const frequencies = rotaryFrequencies(config.rotary, config.headDim);
  const half = frequencies.length;
  const [cosines, sines] = [new Float32Array(positions * half), new Float32Array(positions * half)];
  for (let p = 0; p < positions; p++) {
    for (const [i, frequency] of frequencies.entries()) {
      cosines[p * half + i] = Math.cos(p * frequency);
      sines[p * half + i] = Math.sin(p * frequency);
    }
  }
  return { cosines, sines };
}

/** The same as constants of a graph. */
export function rotaryTables(config: ModelConfig, positions: number): RotaryTables | null {
  const values = rotaryValues(config, positions);
  if (values === null) return null;
  const shape = [positions, config.headDim / 2];
  return { cosines: constant(values.cosines, shape), sines: constant(values.sines, shape) };
}

/**
 * Radians a position for each pair of a head: θ^(−2i/D) (arXiv:2104.09864), stretched as the config says.
 *
 * `linear` divides all of them. `llama3` (Llama 3.1's own) divides those whose wavelength is longer than the original
 * context over the low factor, leaves those shorter than it over the high factor, and blends in between.
 */
export function rotaryFrequencies({ theta, scaling }: RotaryConfig, headDim: number): Float64Array {
  const base = Float64Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim));
  if (scaling === null) return base;
  if (scaling.type === 'linear') return base.map((f) => f / scaling.factor);
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositionEmbeddings } = scaling;
  return base.map((f) => {
    const turns = (originalMaxPositionEmbeddings * f) / (2 * Math.PI); // in the original context
    if (turns < low) return f / factor;
    if (turns > high) return f;
    const share = (turns - low) / (high - low);
    return ((1 - share) * f) / factor + share * f;
  });
}
