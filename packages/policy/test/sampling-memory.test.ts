import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { SamplingSize } from '@polymode/policy';
import { describe, expect, it } from 'vitest';
import { tinyConfig } from './tiny-policy.js';

/** Shapes in which most memory goes to what was said, to prompts, and to logits. */
const cases: [string, Parameters<typeof tinyConfig>[0], SamplingSize][] = [
  [
    'many completions',
    { vocabSize: 500, hiddenSize: 64, intermediateSize: 128, numHiddenLayers: 4, headDim: 64, numKeyValueHeads: 4 },
    { prompts: 8, promptTokens: 64, rows: 256, maxTokens: 66 },
  ],
  [
    'long prompts',
    { vocabSize: 500, hiddenSize: 128, intermediateSize: 256, numHiddenLayers: 4, headDim: 64, numKeyValueHeads: 4 },
    { prompts: 6, promptTokens: 700, rows: 24, maxTokens: 20 },
  ],
  [
    'a large vocabulary',
    { vocabSize: 60_000, hiddenSize: 16, intermediateSize: 32, numHiddenLayers: 2 },
    { prompts: 2, promptTokens: 30, rows: 64, maxTokens: 12 },
  ],
];

describe.runIf(process.platform === 'linux')('the memory that sampling takes', () => {
  it.each(cases)('with %s is what is estimated, to a quarter', (_, overrides, size) => {
    const config = tinyConfig({ maxPositionEmbeddings: 1024, ...overrides });
    // In a process of its own: memory is the process's.
    const script = fileURLToPath(new URL('measure-sampling.mjs', import.meta.url));
    const out = execFileSync(process.execPath, [script, JSON.stringify({ config, size })], { encoding: 'utf8' });
    const { measured, estimated } = JSON.parse(out) as { measured: number; estimated: number };
    const message = `measured ${(measured / 2 ** 20).toFixed(0)} MiB, estimated ${(estimated / 2 ** 20).toFixed(0)} MiB`;
    expect(estimated / measured, message).toBeGreaterThan(0.75);
    expect(estimated / measured, message).toBeLessThan(1.25);
  });
});
