/**
 * The demo: both algorithms on one task, from instances to downloaded checkpoints, through the official client.
 * `npm run demo [-- --seeds 1,2,3 --steps 240]`
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { idealSummary } from '@polymode/verifiers';
import OpenAI, { toFile } from 'openai';
import { type Stack, startStack } from '../stack.js';
import { type DownloadedCheckpoint, downloadFinalCheckpoint } from './checkpoint-download.js';
import { type Evaluation, evaluateCheckpoint, MAX_COMPLETION_TOKENS, SAMPLES_PER_ANSWER } from './evaluate.js';
import { toJsonLines, voxelSplit } from './instances.js';
import { followJobs, type StepNumbers, stepHistory } from './progress.js';
import { type DemoMetrics, METRIC_ROWS, type ReportRun, renderReport } from './report.js';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1' },
    steps: { type: 'string', default: '240' },
    dir: { type: 'string', default: '.polymode/demo' },
  },
});
const seeds = values.seeds.split(',').map(Number);
const steps = Number(values.steps);
if ([...seeds, steps].some((n) => !Number.isInteger(n) || n < 1)) {
  throw new Error('--seeds takes positive integers separated by commas, --steps takes one');
}

/** The two sides of the comparison: their key in summary.json, their name and their colour. */
const SIDES = [
  { key: 'grpo', algorithm: 'grpo', label: 'GRPO', color: '#c2571a' },
  { key: 'ips_grpo', algorithm: 'ips-grpo', label: 'IPS-GRPO', color: '#1f6feb' },
] as const;
type Side = (typeof SIDES)[number];

const PROMPTS_PER_STEP = 8;
const GROUP_SIZE = 32;
const LEARNING_RATE = 5e-4;
const ANSWERS = 27;

interface SideResult {
  readonly side: Side;
  readonly checkpoint: DownloadedCheckpoint;
  readonly evaluation: Evaluation;
  readonly history: readonly StepNumbers[];
}

const started = Date.now();
const say = (text: string): void => {
  process.stdout.write(`[${((Date.now() - started) / 1000).toFixed(0).padStart(3)} s] ${text}\n`);
};

const dir = resolve(values.dir);
await rm(dir, { recursive: true, force: true });
await mkdir(dir, { recursive: true });
say('Starting PostgreSQL, API and two workers on free ports');
const stack: Stack = await startStack({
  dataDir: join(dir, 'data'),
  port: 0,
  workers: 2,
  // One thread each, whatever the machine: the last bits depend on their number.
  env: { POLYMODE_THREADS: '1' },
});
try {
  say(`The API listens on ${stack.baseURL}`);
  const client = new OpenAI({ baseURL: stack.baseURL, apiKey: stack.apiKey });
  const ideal = idealSummary(ANSWERS * SAMPLES_PER_ANSWER, ANSWERS);
  const all: { seed: number; results: SideResult[] }[] = [];
  for (const seed of seeds) all.push({ seed, results: await compare(client, seed) });
  const first = all[0]!;
  await writeResults(first.seed, first.results, ideal);
  for (const { seed, results } of all) printTable(seed, results, ideal);
  say(`Wrote ${shown('summary.json')} and ${shown('report.html')}`);
} finally {
  await stack.stop();
}

/** One job of each algorithm with the same seed and budget, side by side. */
async function compare(client: OpenAI, seed: number): Promise<SideResult[]> {
  const { training, heldOut } = voxelSplit();
  say(`Uploading ${training.length} training views; ${heldOut.length} others are held out`);
  const [trainingFile, validationFile] = await Promise.all([
    client.files.create({
      file: await toFile(Buffer.from(toJsonLines(training)), 'train.jsonl'),
      purpose: 'fine-tune',
    }),
    client.files.create({
      file: await toFile(Buffer.from(toJsonLines(heldOut)), 'held-out.jsonl'),
      purpose: 'fine-tune',
    }),
  ]);
  const jobs = await Promise.all(
    SIDES.map(async (side) => {
      const job = await client.fineTuning.jobs.create({
        model: 'polymode-tiny',
        training_file: trainingFile.id,
        validation_file: validationFile.id,
        suffix: side.algorithm,
        seed,
        method: reinforcement(side),
      });
      say(
        `Created ${job.id}: ${side.label}, seed ${seed}, ${steps} steps of ${PROMPTS_PER_STEP} prompts × ${GROUP_SIZE}`,
      );
      return { side, id: job.id, label: side.label };
    }),
  );
  await followJobs(client, jobs, process.stdout);
  const results: SideResult[] = [];
  for (const { side, id } of jobs) {
    const checkpoint = await downloadFinalCheckpoint(client, id, join(dir, `seed-${seed}`, side.key));
    say(
      `Downloaded and verified ${relative(process.cwd(), checkpoint.dir)} (step ${checkpoint.step}); sampling from it`,
    );
    const evaluation = await evaluateCheckpoint(join(checkpoint.dir, 'merged'), heldOut, seed);
    results.push({ side, checkpoint, evaluation, history: await stepHistory(client, id) });
  }
  return results;
}

/** Our settings ride in `hyperparameters`, beside OpenAI's; the client's types do not know them. */
function reinforcement(side: Side): OpenAI.FineTuning.JobCreateParams.Method {
  const hyperparameters = {
    algorithm: side.algorithm,
    batch_size: PROMPTS_PER_STEP,
    group_size: GROUP_SIZE,
    max_steps: steps,
    learning_rate: LEARNING_RATE,
    max_completion_tokens: MAX_COMPLETION_TOKENS,
    eval_interval: Math.max(1, Math.floor(steps / 4)),
    eval_samples: 8,
  };
  const grader = { type: 'task', name: 'view', task: 'hypospace/voxel' };
  return {
    type: 'reinforcement',
    reinforcement: { grader, hyperparameters },
  } as unknown as OpenAI.FineTuning.JobCreateParams.Method;
}

async function writeResults(seed: number, results: readonly SideResult[], ideal: DemoMetrics): Promise<void> {
  const summary: Record<string, unknown> = { seed, steps, ideal };
  for (const { side, checkpoint, evaluation } of results) {
    summary[side.key] = {
      ...evaluation.metrics,
      checkpoint: archiveOf(checkpoint),
    };
  }
  await writeFile(join(dir, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`);
  const runs = results.map(
    ({ side, checkpoint, evaluation, history }): ReportRun => ({
      label: side.label,
      color: side.color,
      metrics: evaluation.metrics,
      checkpoint: archiveOf(checkpoint),
      histograms: evaluation.histograms.slice(0, 6),
      curves: Object.fromEntries(
        (['reward', 'unique', 'top', 'flat'] as const).map((key) => [
          key,
          history.map((h) => ({ step: h.step, value: h[key] })),
        ]),
      ),
    }),
  );
  const html = renderReport({
    seed,
    steps,
    groupSize: GROUP_SIZE,
    promptsPerStep: PROMPTS_PER_STEP,
    heldOut: results[0]!.evaluation.histograms.length,
    samplesPerInstance: ANSWERS * SAMPLES_PER_ANSWER,
    runs,
    ideal,
  });
  await writeFile(join(dir, 'report.html'), html);
}

function archiveOf({ archive, sha256 }: DownloadedCheckpoint): { path: string; sha256: string } {
  return { path: relative(process.cwd(), archive), sha256 };
}

function printTable(seed: number, results: readonly SideResult[], ideal: DemoMetrics): void {
  const column = (text: string): string => text.padStart(12);
  const head = results.map((r) => column(r.side.label)).join('');
  const lines = METRIC_ROWS.map(({ key, label }) => {
    const cells = results.map((r) => column(r.evaluation.metrics[key].toFixed(3))).join('');
    return `  ${label.padEnd(20)}${cells}${column(ideal[key].toFixed(3))}`;
  });
  process.stdout.write(`\n  ${`seed ${seed}`.padEnd(20)}${head}${column('ideal')}\n${lines.join('\n')}\n\n`);
}

function shown(name: string): string {
  return relative(process.cwd(), join(dir, name));
}
