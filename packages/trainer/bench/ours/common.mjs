// What our sides share: arguments as the peers take them, the pace of rounds and the report.
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { Engine } from '@polymode/autodiff';
import { initialAdapter, Policy, readModelFolder } from '@polymode/policy';
import { median } from '../medians.mjs';

/** @param {Record<string, { type: 'boolean' }>} extra switches of one side alone */
export async function readArguments(extra = {}) {
  const text = (fallback) => ({ type: 'string', default: String(fallback) });
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      prompts: text(''),
      group: text(16),
      'completion-tokens': text(64),
      rank: text(16),
      rounds: text(3),
      paced: { type: 'boolean', default: false },
      ...extra,
    },
  });
  const [model] = positionals;
  if (model === undefined || values.prompts === '') throw new Error('usage: SIDE.mjs MODEL_FOLDER --prompts FILE');
  return {
    ...values,
    model,
    prompts: JSON.parse(await readFile(values.prompts, 'utf8')),
    group: Number(values.group),
    completionTokens: Number(values['completion-tokens']),
    rank: Number(values.rank),
    rounds: Number(values.rounds),
    threads: Number(process.env.POLYMODE_BENCH_THREADS ?? 2),
  };
}

export const lora = (rank) => ({ rank, alpha: 2 * rank, rslora: false, targetModules: 'all-linear' });

/** A policy with a fresh adapter, or without one, on an engine of its own. */
export async function loadPolicy({ model, rank, threads, full }) {
  const { config, weights } = await readModelFolder(model);
  const engine = new Engine({ threads });
  const adapter = full ? null : lora(rank);
  const policy = new Policy(config, engine, { paddingToken: 0, ...(adapter === null ? {} : { lora: adapter }) });
  await policy.moveWeights(weights);
  if (adapter !== null) await policy.setAdapter(initialAdapter(config, adapter, 1));
  return { policy, engine };
}

const report = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

/**
 * Warms up once, then measures: `rounds` times, or with --paced once for each line of standard input. Reports each round,
 * and last of all the medians and the most memory that the process ever held.
 *
 * @param measure does one round; what it returns is reported beside its seconds
 */
export async function run(options, measure, facts) {
  await measure(0);
  report({ ready: true });
  const made = [];
  for await (const i of turns(options)) {
    const started = performance.now();
    const figures = (await measure(i + 1)) ?? {};
    made.push({ seconds: (performance.now() - started) / 1000, ...figures });
    report(made.at(-1));
  }
  const medians = Object.keys(made[0] ?? {}).map((key) => [key, median(made.map((m) => m[key]))]);
  const peak = process.resourceUsage().maxRSS * 1024;
  report({
    ...facts,
    ...Object.fromEntries(medians),
    rounds: made.length,
    peak_rss_bytes: peak,
    threads: options.threads,
  });
}

async function* turns({ paced, rounds }) {
  let turn = 0;
  if (!paced) for (; turn < rounds; turn++) yield turn;
  else for await (const _ of createInterface({ input: process.stdin })) yield turn++;
}
