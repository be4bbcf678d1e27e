/**
 * What sampling costs by rows and by options: tokens a second of processor time, on one thread unless told otherwise. The
 * comparison with transformers.generate is in packages/trainer/bench.
 *
 *     node packages/policy/bench/sampling.mjs MODEL_FOLDER [--prompt-tokens 256] [--completion-tokens 64] [--threads 1]
 */
import { parseArgs } from 'node:util';
import { Engine } from '@polymode/autodiff';
import { initialAdapter, Policy, RunningBatch, readModelFolder } from '@polymode/policy';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'prompt-tokens': { type: 'string', default: '256' },
    'completion-tokens': { type: 'string', default: '64' },
    threads: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '3' },
  },
});
const [folder] = positionals;
if (folder === undefined)
  throw new Error('usage: sampling.mjs MODEL_FOLDER [--prompt-tokens N] [--completion-tokens N]');
const [promptTokens, maxTokens, rounds] = ['prompt-tokens', 'completion-tokens', 'rounds'].map((k) =>
  Number(values[k]),
);

/** Rows of one prompt, and options that every row has. */
const CASES = {
  '1 row': [1, {}],
  '16 rows': [16, {}],
  '64 rows': [64, {}],
  '16 rows, greedy': [16, { temperature: 0 }],
  '16 rows, top-k 50': [16, { topK: 50 }],
  '16 rows, top-p 0.95': [16, { topP: 0.95 }],
  '16 rows, penalties': [16, { repetitionPenalty: 1.1, frequencyPenalty: 0.1 }],
  '16 rows, 20 alternatives': [16, { alternatives: 20 }],
  '16 rows, masked': [16, { allowed: () => null }],
};

const { config, weights } = await readModelFolder(folder);
const engine = new Engine({ threads: Number(values.threads) });
const lora = { rank: 16, alpha: 32, rslora: false, targetModules: 'all-linear' };
const plain = new Policy(config, engine, { paddingToken: 0 });
const adapted = new Policy(config, engine, { paddingToken: 0, lora });
await plain.setWeights(weights);
await adapted.setAdapter(initialAdapter(config, lora, 1));

const results = {};
for (const [name, [n, options]] of Object.entries(CASES)) results[name] = await measure(plain, n, options);
results['16 rows, adapter'] = await measure(adapted, 16, {});
for (const [name, { tokens, prefill }] of Object.entries(results)) {
  console.log(`${name.padEnd(26)} ${tokens.toFixed(0).padStart(6)} tokens/s, prompt ${prefill.toFixed(2)} s`);
}
console.log(
  JSON.stringify({ results, promptTokens, maxTokens, threads: Number(values.threads), node: process.version }),
);
await engine.close();

/** The best of several rounds: what else runs on the machine only ever adds. */
async function measure(policy, n, options) {
  const batch = new RunningBatch(policy);
  const run = async (round, most) => {
    const prompt = Array.from({ length: promptTokens }, (_, i) => (round * 7919 + i * 104729) % config.vocabSize);
    const { user, system } = process.cpuUsage();
    await batch.add({ prompt, n, random: round, options: { maxTokens: most, stopTokens: [], ...options } }).completions;
    const used = process.cpuUsage();
    return (used.user + used.system - user - system) / 1e6;
  };
  await run(0, maxTokens);
  const [prefills, all] = [[], []];
  for (let round = 1; round <= rounds; round++) {
    prefills.push(await run(round, 1));
    all.push(await run(round, maxTokens));
  }
  await batch.close();
  return { tokens: (n * maxTokens) / Math.min(...all), prefill: Math.min(...prefills) };
}
