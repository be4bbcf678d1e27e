/**
 * Runs two short jobs through a service that is already up, verifies the checkpoints it downloads, and samples from the models:
 * `node apps/cli/dist/smoke-job.js <base URL> <API key>`.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI, { toFile } from 'openai';
import { downloadFinalCheckpoint } from './demo/checkpoint-download.js';
import { toJsonLines, voxelSplit } from './demo/instances.js';
import { followJobs } from './demo/progress.js';

const [baseURL, apiKey] = process.argv.slice(2);
if (baseURL === undefined || apiKey === undefined) {
  process.stderr.write('Usage: smoke-job <base URL> <API key>\n');
  process.exit(2);
}
const client = new OpenAI({ baseURL, apiKey });
const { training, heldOut } = voxelSplit();
const upload = async (name: string, rows: readonly object[]): Promise<string> =>
  (await client.files.create({ file: await toFile(Buffer.from(toJsonLines(rows)), name), purpose: 'fine-tune' })).id;
const [trainingFile, validationFile] = [await upload('train.jsonl', training), await upload('valid.jsonl', heldOut)];

const jobs = await Promise.all(
  [1, 2].map(async (seed) => {
    const job = await client.fineTuning.jobs.create({
      model: 'polymode-tiny',
      training_file: trainingFile,
      validation_file: validationFile,
      seed,
      method: {
        type: 'reinforcement',
        reinforcement: {
          grader: { type: 'task', name: 'view', task: 'hypospace/voxel' },
          hyperparameters: { max_steps: 20, eval_interval: 10, max_completion_tokens: 16 },
        },
      } as unknown as OpenAI.FineTuning.JobCreateParams.Method,
    });
    return { label: `seed ${seed}`, id: job.id };
  }),
);
await followJobs(client, jobs, process.stdout);
for (const { label, id } of jobs) {
  const dir = await mkdtemp(join(tmpdir(), 'polymode-smoke-'));
  const { step, sha256 } = await downloadFinalCheckpoint(client, id, join(dir, 'checkpoint'));
  process.stdout.write(`${label}: checkpoint of step ${step} verified, archive ${sha256}\n`);
  await rm(dir, { recursive: true, force: true });
  const { fine_tuned_model: model } = await client.fineTuning.jobs.retrieve(id);
  const { choices } = await client.chat.completions.create({
    model: model!,
    messages: [...heldOut[0]!.messages],
    n: 4,
    max_completion_tokens: 16,
    seed: 1,
  });
  const answers = new Set(choices.map(({ message }) => message.content));
  process.stdout.write(`${label}: ${model} gave ${choices.length} answers, ${answers.size} of them different\n`);
}
