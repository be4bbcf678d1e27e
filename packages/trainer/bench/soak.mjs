/**
 * Does memory grow? Trains the model that ships for thousands of steps, sampling, grading and updating, and looks at the
 * resident memory of the process, where the engine's thread lives too.
 *
 *     node packages/trainer/bench/soak.mjs [--steps 2000] [--warm-up 200] [--threads 2]
 *
 * The last line is JSON: { steps, trained_tokens, warm_bytes, last_bytes, growth }; growth is last over warm, each the median of
 * the ten readings of a tenth of the steps after the warm-up: its first and its last.
 */
import { parseArgs } from 'node:util';
import { findBaseModel } from '@polymode/policy/registry';
import { createTrainer } from '@polymode/trainer';
import { compileGrader, tasks } from '@polymode/verifiers';
import { median } from './medians.mjs';

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '2000' },
    'warm-up': { type: 'string', default: '200' },
    threads: { type: 'string', default: '2' },
  },
});
const [steps, warmUp] = [Number(values.steps), Number(values['warm-up'])];

const task = tasks['hypospace/voxel'];
const trainer = await createTrainer({
  method: 'reinforcement',
  model: { path: findBaseModel('polymode-tiny').path, name: 'polymode-tiny' },
  // Views of two sizes have prompts and answers of several lengths, and so sessions of several shapes.
  trainRows: [2, 3].flatMap((blocks) => task.generate({ blocks, count: 12, seed: 5 })),
  validationRows: task.generate({ blocks: 2, count: 2, seed: 6 }),
  grader: compileGrader({ type: 'task', task: 'hypospace/voxel' }),
  hyperparameters: {
    algorithm: 'ips-grpo',
    batch_size: 2,
    group_size: 6,
    max_steps: steps,
    trainable: 'full',
    lora: { rank: 4, alpha: 8, rslora: false, target_modules: 'all-linear' },
    learning_rate: 1e-4,
    lr_schedule: 'constant',
    warmup_steps: 0,
    optimizer: { weight_decay: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-5, max_grad_norm: 1 },
    temperature: 1,
    top_k: 0,
    top_p: 1,
    min_p: 0,
    repetition_penalty: 1,
    presence_penalty: 0,
    stop: [],
    max_completion_tokens: 16,
    kl_coefficient: 0.01,
    clip_epsilon: 0.2,
    ips: { exponent: 1, epsilon: 1 / 6 },
    eval_interval: 100,
    eval_samples: 2,
    memory_budget_mb: null,
  },
  seed: 1,
  threads: Number(values.threads),
});

const every = Math.max(1, Math.floor((steps - warmUp) / 100));
const readings = [];
while (trainer.step < steps) {
  await trainer.runStep();
  if (trainer.step % every === 0 && trainer.step > warmUp) readings.push(process.memoryUsage.rss());
  if (trainer.step % 100 === 0) console.log(`step ${trainer.step}: ${(process.memoryUsage.rss() / 1e6).toFixed(1)} MB`);
}
const { trainedTokens } = trainer;
await trainer.close();

const tenth = Math.ceil(readings.length / 10);
const [warm, last] = [median(readings.slice(0, tenth)), median(readings.slice(-tenth))];
console.log(
  JSON.stringify({ steps, trained_tokens: trainedTokens, warm_bytes: warm, last_bytes: last, growth: last / warm - 1 }),
);
