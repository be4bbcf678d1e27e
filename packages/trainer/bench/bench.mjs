/**
 * `npm run bench`: our figures beside those of PyTorch, transformers and TRL, in one run on the same cores.
 * README.md says what is compared with what; the last line is JSON.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measureCeilings } from './ceilings.mjs';
import { median } from './medians.mjs';
import { makePrompts } from './prompts.mjs';
import { findPython } from './python.mjs';
import { Side } from './side.mjs';
import { makeSyntheticModel } from './synthetic-model.mjs';
import { idealSeconds } from './work.mjs';

/** Sides that run in turn, by the name of their figure; the peer is compared with each of ours. */
const COMPARISONS = [
  { ours: { sampling: ['sampling.mjs'] }, peer: ['peer_generate.py'] },
  {
    ours: { gradient_shared: ['gradient.mjs'], gradient_repeated: ['gradient.mjs', '--repeated'] },
    peer: ['peer_gradient.py'],
  },
  { ours: { grpo_step: ['grpo-step.mjs'] }, peer: ['peer_grpo.py'] },
];

const { values } = parseArgs({
  options: {
    figures: { type: 'string', default: 'sampling,gradient_shared,gradient_repeated,grpo_step,adamw,graders' },
    rounds: { type: 'string', default: '3' },
    group: { type: 'string', default: '16' },
    'prompt-tokens': { type: 'string', default: '256' },
    'completion-tokens': { type: 'string', default: '64' },
    // of the model that is made when POLYMODE_BENCH_MODEL names none; fewer for a quick look
    layers: { type: 'string', default: '30' },
  },
});
const wanted = new Set(values.figures.split(','));
const rounds = Number(values.rounds);
const threads = Number(process.env.POLYMODE_BENCH_THREADS ?? 2);
const shape = {
  group: Number(values.group),
  promptTokens: Number(values['prompt-tokens']),
  completionTokens: Number(values['completion-tokens']),
};
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const { python, reason } = findPython(here('peers/requirements.txt'));
if (python === null) console.log(`No peer is measured: ${reason}\n`);
else console.log(`Peers run with ${python}${reason === '' ? '' : ` (${reason})`}.`);

const scratch = await mkdtemp(join(tmpdir(), 'polymode-bench-'));
process.once('SIGINT', () => process.exit(130));
const sides = new Set();
process.once('exit', () => {
  for (const side of sides) side.stop();
});
try {
  const model = process.env.POLYMODE_BENCH_MODEL ?? join(scratch, 'model');
  if (process.env.POLYMODE_BENCH_MODEL === undefined) await makeSyntheticModel(model, Number(values.layers));
  const config = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8'));
  const prompts = join(scratch, 'prompts.json');
  await writeFile(prompts, JSON.stringify(await makePrompts(model, 8, shape.promptTokens)));

  console.log(`${cpus()[0].model}, ${threads} threads. ${model}, ${JSON.stringify(shape)}, ${rounds} rounds.`);
  const ceilings = await measureCeilings(threads);
  console.log(
    `Ceilings: ${ceilings.gemmGflops.toFixed(0)} GFLOP/s in a matrix product, ${ceilings.memoryGbPerS.toFixed(1)} GB/s in a copy.\n`,
  );
  const ideal = idealSeconds(config, ceilings, shape);

  const ratios = { grpo_step: null, sampling: null, gradient_repeated: null, gradient_shared: null, adamw: null };
  const figures = {};
  for (const { ours, peer } of COMPARISONS) {
    const names = Object.keys(ours).filter((name) => wanted.has(name));
    if (names.length === 0) continue;
    const measured = await compare(
      Object.fromEntries(names.map((name) => [name, ours[name]])),
      python === null ? null : peer,
      [model, '--prompts', prompts, '--group', `${shape.group}`, '--completion-tokens', `${shape.completionTokens}`],
    );
    for (const name of names) {
      figures[name] = describe(name, measured[name], measured.peer, ideal[name]);
      ratios[name] = figures[name].ratio;
    }
  }
  const { ours, peer } = figures.grpo_step ?? {};
  ratios.peak_memory = peer ? { ratio: ours.peak_rss_bytes / peer.peak_rss_bytes } : null;
  if (ratios.peak_memory) console.log(`peak_memory: ${ratios.peak_memory.ratio.toFixed(2)} of the peer's`);
  if (wanted.has('adamw')) ratios.adamw = runBeside('../../autodiff/bench/adamw.mjs').ratio ?? null;
  const graders = wanted.has('graders') ? runBeside('../../verifiers/bench/graders.mjs') : null;

  console.log(
    JSON.stringify({
      ratios,
      ceilings,
      figures,
      graders,
      shape,
      model: process.env.POLYMODE_BENCH_MODEL === undefined ? `synthetic, ${values.layers} layers` : model,
      threads,
      processor: cpus()[0].model,
      node: process.version,
      commit: commit(),
    }),
  );
} finally {
  for (const side of sides) side.stop();
  await rm(scratch, { recursive: true, force: true });
}

/** Rounds in turn, every second one the other way round. @returns each side's rounds and its last line, by name */
async function compare(ours, peer, args) {
  const started = Object.entries(ours).map(([name, [script, ...own]]) => [
    name,
    new Side(process.execPath, [here(`ours/${script}`), ...args, ...own]),
  ]);
  if (peer !== null) {
    started.push(['peer', new Side(python, [here(`peers/${peer[0]}`), ...args, ...peer.slice(1)])]);
  }
  for (const [, side] of started) sides.add(side);
  const made = Object.fromEntries(started.map(([name]) => [name, { rounds: [] }]));
  for (const [, side] of started) await side.ready();
  for (let i = 0; i < rounds; i++) {
    for (const [name, side] of i % 2 === 0 ? started : started.toReversed()) {
      made[name].rounds.push(await side.round());
    }
  }
  for (const [name, side] of started) {
    made[name].summary = await side.finish();
    sides.delete(side);
  }
  return made;
}

/** Prints a figure. @param ideal seconds at the machine's ceilings */
function describe(name, ours, peer, ideal) {
  // Completions that ended early are counted for what they are.
  const pace = ({ seconds, samples = shape.group }) => samples / seconds;
  const rate = median(ours.rounds.map(pace));
  const seconds = median(ours.rounds.map((r) => r.seconds));
  const memory = (bytes) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const fraction = ideal / seconds;
  let line = `${name}: ${seconds.toFixed(2)} s, ${rate.toFixed(2)} samples/s`;
  if (name === 'sampling') line += `, ${(rate * shape.completionTokens).toFixed(0)} tokens/s`;
  line += `, ${(100 * fraction).toFixed(0)} % of the ceilings, ${memory(ours.summary.peak_rss_bytes)}`;
  console.log(line);
  const figure = { ours: { ...ours.summary, samples_per_second: rate }, fraction_of_ceilings: fraction, ratio: null };
  if (peer === undefined) return figure;
  const each = ours.rounds.map((r, i) => pace(r) / pace(peer.rounds[i]));
  const peerRate = median(peer.rounds.map(pace));
  const ratio = { ratio: rate / peerRate, min: Math.min(...each), max: Math.max(...each) };
  console.log(
    `  the peer: ${peer.summary.seconds.toFixed(2)} s, ${peerRate.toFixed(2)} samples/s, ` +
      `${memory(peer.summary.peak_rss_bytes)}; ratio ${ratio.ratio.toFixed(2)} (${ratio.min.toFixed(2)} to ${ratio.max.toFixed(2)})`,
  );
  return { ...figure, peer: { ...peer.summary, samples_per_second: peerRate }, ratio };
}

/** A package's own benchmark. @returns its last line */
function runBeside(path) {
  const env = { ...process.env, ...(python === null ? {} : { POLYMODE_BENCH_PYTHON: python }) };
  const { stdout, status } = spawnSync(process.execPath, [here(path)], {
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  process.stdout.write(stdout);
  if (status !== 0) throw new Error(`${path} failed`);
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

function commit() {
  try {
    return execFileSync('git', ['-C', here('.'), 'describe', '--always', '--dirty'], { encoding: 'utf8' }).trim();
  } catch {
    return null;
  }
}
