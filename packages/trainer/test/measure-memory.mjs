/**
 * `node measure-memory.mjs SETTINGS make FOLDER` makes up a model; with `run` two steps of a job are made on it. Prints what
 * was estimated and the most that the process held, in bytes.
 */
import { makeSyntheticModel } from '../bench/synthetic-model.mjs';
import { createTrainer } from '../dist/index.js';

const { layers, shape, prompt, hyperparameters } = JSON.parse(process.argv[2]);
const [task, model] = process.argv.slice(3);
if (task === 'make') await makeSyntheticModel(model, layers, shape);
else await measure(model);

async function measure(model) {
  let graded = 0;
  const grader = {
    config: { type: 'string_check' },
    name: 'alternating',
    type: 'string_check',
    defaultOutcome: { type: 'text' },
    checkItem: () => [],
    grade: async () => ({ reward: graded++ % 2, outcome: `${graded % 2}` }),
  };
  const row = { messages: [{ role: 'user', content: 'a '.repeat(prompt / 2) }] };
  const trainer = await createTrainer({
    method: 'reinforcement',
    model: { path: model, name: 'synthetic' },
    trainRows: [row, row],
    validationRows: [],
    grader,
    hyperparameters: {
      algorithm: 'grpo',
      batch_size: 1,
      max_steps: 2,
      lora: { rank: 16, alpha: 32, rslora: false, target_modules: 'all-linear' },
      learning_rate: 1e-5,
      lr_schedule: 'constant',
      warmup_steps: 0,
      optimizer: { weight_decay: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, max_grad_norm: 1 },
      temperature: 1,
      top_k: 0,
      top_p: 1,
      min_p: 0,
      repetition_penalty: 1,
      presence_penalty: 0,
      stop: [],
      kl_coefficient: 0,
      clip_epsilon: 0.2,
      ips: { exponent: 1, epsilon: 1 },
      eval_interval: 2,
      eval_samples: 1,
      memory_budget_mb: null,
      ...hyperparameters,
    },
    seed: 1,
    threads: 1,
  });
  const { estimate } = trainer.planMemory();
  while (trainer.step < trainer.totalSteps) await trainer.runStep();
  await trainer.close();
  console.log(JSON.stringify({ estimate, peak: process.resourceUsage().maxRSS * 1024 }));
}
