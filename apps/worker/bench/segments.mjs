/**
 * What short segments cost the sampler, in processor time, which says the same on a busy machine: tokens a second for rows that
 * all run, by tokens of a segment. Requests join, leave and are heard of between segments.
 *
 *     node apps/worker/bench/segments.mjs [--layers 30] [--rows 1,8] [--segments 16,4,2,1] [--prompt-tokens 64] [--tokens 64] [--rounds 3]
 *
 * Without --layers it is the model that ships; with it one of SmolLM2-135M's shape with random weights.
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { RunningBatch } from '@polymode/policy';
import { withPolicy } from './policy.mjs';

const text = (value) => ({ type: 'string', default: String(value) });
const { values } = parseArgs({
  options: {
    layers: { type: 'string' },
    rows: text('1,8'),
    segments: text('16,4,2,1'),
    'prompt-tokens': text(64),
    tokens: text(64),
    rounds: text(3),
  },
});
const list = (names) => names.split(',').map(Number);
const [promptTokens, tokens, rounds] = ['prompt-tokens', 'tokens', 'rounds'].map((name) => Number(values[name]));

await withPolicy({ layers: values.layers, threads: 1 }, async ({ policy, bytes }) => {
  console.log(
    `${cpus()[0].model}, 1 thread; weights of ${(bytes / 1e6).toFixed(1)} MB; ${promptTokens} + ${tokens} tokens`,
  );

  const results = [];
  for (const rows of list(values.rows)) {
    for (const segmentTokens of list(values.segments)) {
      const batch = new RunningBatch(policy, { segmentTokens });
      let best = Number.POSITIVE_INFINITY;
      for (let round = 0; round <= rounds; round++) {
        const { seconds } = await measure(batch, rows);
        if (round > 0) best = Math.min(best, seconds); // the first compiles
      }
      await batch.close();
      const result = {
        rows,
        segmentTokens,
        tokensPerSecond: (rows * tokens) / best,
        msPerStep: (1000 * best) / tokens,
      };
      results.push(result);
      console.log(
        `${String(rows).padStart(3)} rows, segments of ${String(segmentTokens).padStart(2)}: ` +
          `${result.tokensPerSecond.toFixed(0).padStart(6)} tokens/s, ${result.msPerStep.toFixed(2).padStart(7)} ms a token of every row`,
      );
    }
  }
  console.log(JSON.stringify({ results, bytes, promptTokens, tokens, node: process.versions.node }));
});

async function measure(batch, rows) {
  const began = process.cpuUsage();
  const requests = Array.from({ length: rows }, (_, row) =>
    batch.add({
      prompt: Array.from({ length: promptTokens }, (_, k) => 3 + ((7 * row + 31 * k) % 250)),
      random: row,
      options: { maxTokens: tokens, stopTokens: [] },
    }),
  );
  await Promise.all(requests.map((r) => r.completions));
  const { user, system } = process.cpuUsage(began);
  return { seconds: (user + system) / 1e6 };
}
