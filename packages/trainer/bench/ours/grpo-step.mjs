// Trainer.runStep: one prompt a step, a group of completions, their grades, one update of the adapter.
import { createTrainer } from '../../dist/index.js';
import { readArguments, run } from './common.mjs';

const options = await readArguments();
const { prompts, group, completionTokens, rank, threads } = options;

/** Not constant, and cheap: it must not be what is measured. */
const grader = {
  config: { type: 'string_check', name: 'length', input: '', reference: '', operation: 'eq' },
  name: 'length',
  type: 'string_check',
  defaultOutcome: { type: 'text' },
  checkItem: () => [],
  grade: async ({ output_text: text }) => ({ reward: (text.length % 7) / 7, outcome: String(text.length) }),
};
const trainer = await createTrainer({
  method: 'reinforcement',
  model: { path: options.model, name: 'bench' },
  trainRows: prompts.map(({ messages }) => ({ messages })),
  validationRows: [],
  grader,
  hyperparameters: {
    algorithm: 'grpo',
    batch_size: 1,
    group_size: group,
    max_steps: 1000,
    trainable: 'lora',
    lora: { rank, alpha: 2 * rank, rslora: false, target_modules: 'all-linear' },
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
    max_completion_tokens: completionTokens,
    kl_coefficient: 0,
    clip_epsilon: 0.2,
    ips: { exponent: 1, epsilon: 1 / group },
    eval_interval: 1000,
    eval_samples: 1,
    memory_budget_mb: null,
  },
  seed: 1,
  threads,
});

async function step() {
  const { timing, groups } = await trainer.runStep();
  const tokens = groups.flatMap((g) => g.completions).reduce((n, c) => n + c.tokens, 0);
  return {
    sampling_seconds: timing.sampling,
    training_seconds: timing.training,
    // Completions that met a stop token count for what they are.
    samples: tokens / completionTokens,
  };
}

await run(options, step, { figure: 'grpo_step', samples_per_round: group });
await trainer.close();
