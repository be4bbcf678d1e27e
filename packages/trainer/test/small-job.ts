import { findBaseModel } from '@polymode/policy/registry';
import type { ReinforcementHyperparameters, ReinforcementOptions } from '@polymode/trainer';
import { compileGrader, tasks } from '@polymode/verifiers';

/** A job of a few seconds on the model that ships, over views of three blocks. */
export function smallJob(overrides: Partial<ReinforcementHyperparameters> = {}): ReinforcementOptions {
  const task = tasks['hypospace/voxel'];
  return {
    method: 'reinforcement',
    model: { path: findBaseModel('polymode-tiny')!.path, name: 'polymode-tiny' },
    trainRows: task.generate({ blocks: 3, count: 12, seed: 5 }),
    validationRows: task.generate({ blocks: 2, count: 3, seed: 5 }),
    grader: compileGrader({ type: 'task', task: 'hypospace/voxel' }),
    hyperparameters: {
      algorithm: 'ips-grpo',
      batch_size: 4,
      group_size: 6,
      max_steps: 6,
      trainable: 'full',
      lora: { rank: 4, alpha: 8, rslora: false, target_modules: 'all-linear' },
      learning_rate: 1e-3,
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
      kl_coefficient: 0,
      clip_epsilon: 0.2,
      ips: { exponent: 1, epsilon: 1 / 6 },
      eval_interval: 3,
      eval_samples: 2,
      memory_budget_mb: null,
      ...overrides,
    },
    seed: 11,
  };
}
