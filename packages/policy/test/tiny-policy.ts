import { type ModelConfig, parameterShapes, type Weights } from '@polymode/policy';

/** Small models for tests: grouped queries, tied or not, a head size that is not hidden / heads. */
export function tinyConfig(overrides: Partial<ModelConfig> = {}): ModelConfig {
  return {
    family: 'llama',
    vocabSize: 23,
    hiddenSize: 24,
    intermediateSize: 40,
    numHiddenLayers: 2,
    numAttentionHeads: 4,
    numKeyValueHeads: 2,
    headDim: 8,
    normEpsilon: 1e-5,
    rotary: { theta: 10000, scaling: null },
    slidingWindows: Array.from({ length: overrides.numHiddenLayers ?? 2 }, () => null),
    tieWordEmbeddings: true,
    maxPositionEmbeddings: 64,
    ...overrides,
  } as ModelConfig;
}

/** A small linear congruential generator: tests need repeatable numbers, not good ones. */
export function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export function randomWeights(config: ModelConfig, seed: number): Weights {
  const next = numbers(seed);
  return Object.fromEntries(
    Object.entries(parameterShapes(config)).map(([name, shape]) => {
      const n = shape.reduce((a, b) => a * b, 1);
      const data = Float32Array.from({ length: n }, () => (shape.length === 1 ? 1 : 0) + (next() - 0.5) * 0.6);
      return [name, { shape, data }];
    }),
  );
}
