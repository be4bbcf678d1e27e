/**
 * What a long prompt that joins costs those who are being answered: the longest gap between two moments at which a running
 * completion is heard of, and tokens a second of all, for prompts read whole and in pieces, in turns. In processor time, which says
 * the same on a busy machine. The last line is JSON.
 *
 *     node apps/worker/bench/long-prompt.mjs [--layers 30] [--rows 4] [--prompt-tokens 1024] [--tokens 48] [--pieces 0,64,128,256]
 *       [--rounds 3] [--threads 1]
 *
 * Without --layers it is the model that ships; with it one of SmolLM2-135M's shape with random weights. A piece of 0 is none.
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { RunningBatch } from '@polymode/policy';
import { segmentOf } from '../dist/inference/pace.js';
import { withPolicy } from './policy.mjs';

const text = (value) => ({ type: 'string', default: String(value) });
const { values } = parseArgs({
  options: {
    layers: { type: 'string' },
    rows: text(4),
    'prompt-tokens': text(1024),
    tokens: text(96),
    pieces: text('0,64,128,256'),
    rounds: text(3),
    threads: text(process.env.POLYMODE_BENCH_THREADS ?? 1),
  },
});
const pieces = values.pieces.split(',').map(Number);
const [rows, promptTokens, tokens, rounds, threads] = ['rows', 'prompt-tokens', 'tokens', 'rounds', 'threads'].map(
  (name) => Number(values[name]),
);

await withPolicy({ layers: values.layers, threads }, async ({ policy, config, bytes }) => {
  const segmentTokens = segmentOf(bytes);
  const joining = Math.min(promptTokens, config.maxPositionEmbeddings - tokens);
  console.log(
    `${cpus()[0].model}, ${threads} thread${threads === 1 ? '' : 's'}; weights of ${(bytes / 1e6).toFixed(1)} MB; ${rows} rows are ` +
      `being answered in segments of ${segmentTokens} when a prompt of ${joining} tokens joins; ${rounds} rounds`,
  );
  const made = new Map(pieces.map((piece) => [piece, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const piece of pieces) {
      const batch = new RunningBatch(policy, { segmentTokens, ...(piece === 0 ? {} : { pieceTokens: piece }) });
      const one = await measure(batch, joining, config.vocabSize);
      await batch.close();
      if (round > 0) made.get(piece).push(one); // the first compiles
    }
  }
  const results = pieces.map((piece) => {
    const median = (of) => quantile(made.get(piece).map(of), 0.5);
    return {
      piece,
      gap: median((m) => m.gap),
      usualGap: median((m) => m.usualGap),
      firstToken: median((m) => m.firstToken),
      readingAlone: median((m) => m.readingAlone),
      tokensPerSecond: median((m) => m.tokensPerSecond),
    };
  });
  const ms = (seconds) => `${(1000 * seconds).toFixed(0)} ms`.padStart(8);
  for (const { piece, gap, usualGap, firstToken, readingAlone, tokensPerSecond } of results) {
    console.log(
      `${piece === 0 ? 'whole        ' : `pieces of ${String(piece).padStart(3)}`}: longest gap ${ms(gap)} (${ms(usualGap)} in the middle), ` +
        `its own first token after ${ms(firstToken)} (${ms(readingAlone)} alone), all prompts and completions ${tokensPerSecond.toFixed(0).padStart(6)} tokens/s`,
    );
  }
  console.log(
    JSON.stringify({ results, bytes, rows, promptTokens: joining, tokens, threads, node: process.versions.node }),
  );
});

async function measure(batch, joining, vocabulary) {
  const prompt = (seed, length) => Array.from({ length }, (_, k) => 3 + ((7 * seed + 31 * k) % (vocabulary - 3)));
  const gaps = [];
  // Fewer than the others say meanwhile, so that all of them are always the same work.
  const own = Math.ceil(tokens / 8);
  let joined = null;
  const began = processor();
  let last = 0;
  let firstToken = 0;
  let firstAt = 0;
  const requests = Array.from({ length: rows }, (_, row) =>
    batch.add({
      prompt: prompt(row, 32),
      random: row,
      options: { maxTokens: tokens, stopTokens: [] },
      onProgress: (_, { tokens: said }) => {
        if (row !== 0) return;
        const now = processor();
        if (last > 0) gaps.push(now - last);
        last = now;
        firstAt += said.length;
        if (joined !== null || firstAt < tokens / 4) return;
        const asked = now;
        joined = batch.add({
          prompt: prompt(99, joining),
          random: 99,
          options: { maxTokens: own, stopTokens: [] },
          onProgress: () => {
            if (firstToken === 0) firstToken = processor() - asked;
          },
        });
      },
    }),
  );
  await Promise.all(requests.map((r) => r.completions));
  await joined.completions;
  const seconds = processor() - began;
  const all = rows * (tokens + 32) + joining + own;
  const alone = processor();
  await batch.add({ prompt: prompt(98, joining), random: 1, options: { maxTokens: 1, stopTokens: [] } }).completions;
  const readingAlone = processor() - alone;
  return {
    readingAlone,
    gap: Math.max(...gaps),
    usualGap: quantile(gaps, 0.5),
    firstToken,
    tokensPerSecond: all / seconds,
  };
}

/** Seconds of it so far. */
function processor() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}
