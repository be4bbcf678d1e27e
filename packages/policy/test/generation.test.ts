import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Engine } from '@polymode/autodiff';
import { Policy, RunningBatch, readModelFolder } from '@polymode/policy';
import { afterAll, describe, expect, it } from 'vitest';

/** Made with transformers; fixtures/generation/README.md says how. */
const fixtures = fileURLToPath(new URL('fixtures/', import.meta.url));
const { greedy } = JSON.parse(readFileSync(`${fixtures}generation/reference.json`, 'utf8')) as {
  greedy: Record<string, { prompt: number[]; repetition_penalty: number; tokens: number[] }[]>;
};

const engine = new Engine();
afterAll(() => engine.close());

describe('greedy completions, with and without a repetition penalty, are those of transformers', () => {
  it.each(Object.entries(greedy))('%s', async (name, cases) => {
    const { config, weights } = await readModelFolder(`${fixtures}${name}`);
    const policy = new Policy(config, engine, { paddingToken: 0 });
    await policy.setWeights(weights);
    const batch = new RunningBatch(policy);
    const made = await Promise.all(
      cases.map(({ prompt, repetition_penalty: repetitionPenalty, tokens }) => {
        const options = { maxTokens: tokens.length, stopTokens: [], temperature: 0, repetitionPenalty };
        return batch.add({ prompt, random: 0, options }).completions;
      }),
    );
    await batch.close();
    expect(made.map(([completion]) => completion!.tokens)).toEqual(cases.map((c) => c.tokens));
  });
});
