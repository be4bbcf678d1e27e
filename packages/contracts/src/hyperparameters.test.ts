import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReinforcementHyperparameters, ResolvedHyperparameters, resolveHyperparameters } from './hyperparameters.js';
import { resolvePreference, resolveSupervised } from './imitation-hyperparameters.js';
import { HyperparameterError } from './learner-hyperparameters.js';

describe('resolveHyperparameters', () => {
  it('decides everything when nothing is given', () => {
    // 20 rows in batches of 8 are 3 steps an epoch, 9 in three; 9 / 8 rounds to 1.
    expect(resolveHyperparameters({}, { trainingRows: 20 })).toEqual({
      n_epochs: 3,
      batch_size: 8,
      learning_rate_multiplier: 1,
      reasoning_effort: 'default',
      compute_multiplier: 1,
      eval_interval: 1,
      eval_samples: 4,
      algorithm: 'ips-grpo',
      group_size: 16,
      max_steps: 9,
      trainable: 'lora',
      lora: { rank: 16, alpha: 32, rslora: false, target_modules: 'all-linear' },
      learning_rate: 3e-4,
      lr_schedule: 'constant',
      warmup_steps: 1,
      optimizer: { weight_decay: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-5, max_grad_norm: 1 },
      temperature: 1,
      top_k: 0,
      top_p: 1,
      min_p: 0,
      repetition_penalty: 1,
      presence_penalty: 0,
      stop: [],
      max_completion_tokens: 256,
      kl_coefficient: 0,
      clip_epsilon: 0.2,
      ips: { exponent: 1, epsilon: 1 / 16 },
      memory_budget_mb: null,
    });
  });

  it.each([
    ['an unknown model', {}, undefined, 'lora'],
    ['a model of 10 million parameters', {}, 10_000_000, 'lora'],
    ['a smaller one', {}, 9_999_999, 'full'],
    ['a smaller one with settings of an adapter', { lora: { rank: 4 } }, 1000, 'lora'],
    [
      'a smaller one whose adapter is to be decided',
      { lora: 'auto' as const, trainable: 'auto' as const },
      1000,
      'full',
    ],
    ['a choice', { trainable: 'full' as const }, 1e9, 'full'],
  ])('chooses what learns for %s', (_what, requested, modelParameters, trainable) => {
    expect(resolveHyperparameters(requested, { trainingRows: 8, modelParameters }).trainable).toBe(trainable);
  });

  it('doubles the rank for alpha, unless it is given', () => {
    const lora = (requested: ReinforcementHyperparameters['lora']) =>
      resolveHyperparameters({ lora: requested }, { trainingRows: 8 }).lora;
    expect(lora({ rank: 64 })).toMatchObject({ rank: 64, alpha: 128 });
    expect(lora({ rank: 64, alpha: 16, rslora: true, target_modules: ['q_proj'] })).toEqual({
      rank: 64,
      alpha: 16,
      rslora: true,
      target_modules: ['q_proj'],
    });
  });

  it.each([
    [1, 1],
    [19, 1],
    [20, 2],
    [199, 19],
    [200, 20],
    [5000, 20],
  ])('warms up over a tenth of %i steps, 20 at most', (max_steps, warmup_steps) => {
    expect(resolveHyperparameters({ max_steps }, { trainingRows: 8 }).warmup_steps).toBe(warmup_steps);
  });

  it('takes no warm-up and one as long as the job, and refuses a longer one', () => {
    const warmUp = (warmup_steps: number) =>
      resolveHyperparameters({ max_steps: 10, warmup_steps }, { trainingRows: 8 }).warmup_steps;
    expect([warmUp(0), warmUp(10)]).toEqual([0, 10]);
    expect(() => warmUp(11)).toThrow(HyperparameterError);
    expect(() => warmUp(11)).toThrow(/11 steps does not fit a job of 10/);
  });

  it('takes batches no larger than the data', () => {
    expect(resolveHyperparameters({}, { trainingRows: 3 }).batch_size).toBe(3);
  });

  it('lets a given value decide over the one that scales its default', () => {
    const resolved = resolveHyperparameters(
      {
        max_steps: 160,
        n_epochs: 1,
        group_size: 4,
        compute_multiplier: 10,
        learning_rate: 0.01,
        eval_interval: 'auto',
      },
      { trainingRows: 20 },
    );
    expect(resolved).toMatchObject({ max_steps: 160, group_size: 4, learning_rate: 0.01, eval_interval: 20 });
    expect(resolved.ips.epsilon).toBe(1 / 4);
  });

  it('scales group and learning rate, the group within its bounds', () => {
    const scaled = (compute_multiplier: number) =>
      resolveHyperparameters({ compute_multiplier, learning_rate_multiplier: 2 }, { trainingRows: 8 });
    expect(scaled(1.5)).toMatchObject({ group_size: 24, learning_rate: 6e-4 });
    expect(scaled(0.01).group_size).toBe(2);
    expect(scaled(10).group_size).toBe(160);
  });

  it('refuses more steps than a job may have, naming n_epochs', () => {
    const resolve = () => resolveHyperparameters({ n_epochs: 50, batch_size: 1 }, { trainingRows: 50_000 });
    expect(resolve).toThrow(HyperparameterError);
    expect(resolve).toThrow(/2500000 steps.*Lower n_epochs/);
  });

  it('yields valid values with no auto, and leaves resolved ones alone', () => {
    const integer = (min: number, max: number) =>
      fc.option(fc.oneof(fc.constant('auto' as const), fc.integer({ min, max })));
    const decimal = (min: number, max: number) =>
      fc.option(fc.oneof(fc.constant('auto' as const), fc.double({ min, max, noNaN: true, minExcluded: true })));
    const requested = fc
      .record({
        n_epochs: integer(1, 2),
        batch_size: integer(1, 256),
        learning_rate_multiplier: decimal(1e-6, 1000),
        compute_multiplier: decimal(0.00001, 10),
        eval_interval: integer(1, 1000),
        eval_samples: integer(1, 100),
        group_size: integer(2, 256),
        max_steps: integer(1, 100_000),
        learning_rate: decimal(0, 1),
        temperature: decimal(0, 2),
        top_p: decimal(0, 1),
        max_completion_tokens: integer(1, 32_768),
        kl_coefficient: decimal(0, 10),
        clip_epsilon: decimal(0, 1),
        trainable: fc.constantFrom('auto', 'lora', 'full', null),
        lora: fc
          .record({
            rank: integer(1, 512),
            alpha: decimal(0, 4096),
            rslora: fc.constantFrom(true, false, 'auto', null),
            target_modules: fc.constantFrom('all-linear', ['q_proj', 'mlp.up_proj'], 'auto', null),
          })
          .map(withoutNull),
        lr_schedule: fc.constantFrom('auto', 'constant', 'linear', 'cosine', null),
        optimizer: fc
          .record({
            weight_decay: decimal(0, 1),
            beta1: integer(0, 0),
            beta2: decimal(0, 0.9999),
            epsilon: decimal(0, 1),
            max_grad_norm: decimal(0, 1000),
          })
          .map(withoutNull),
        top_k: integer(0, 1_000_000),
        min_p: decimal(0, 0.9999),
        repetition_penalty: decimal(0, 2),
        presence_penalty: decimal(-2, 2),
        stop: fc.constantFrom('auto', [], ['\n\n', 'END'], null),
        memory_budget_mb: integer(64, 100_000),
        ips: fc.record({ exponent: decimal(0, 4), epsilon: decimal(0, 1) }).map(withoutNull),
      })
      .map(withoutNull);
    fc.assert(
      fc.property(requested, fc.integer({ min: 1, max: 30_000 }), (input, trainingRows) => {
        const parsed = ReinforcementHyperparameters.parse(input);
        const resolved = resolveHyperparameters(parsed, { trainingRows });
        expect(ResolvedHyperparameters.parse(resolved)).toEqual(resolved);
        expect(JSON.stringify(resolved)).not.toContain('"auto"');
        // What a job shows can be sent again.
        expect(resolveHyperparameters(ReinforcementHyperparameters.parse(resolved), { trainingRows })).toEqual(
          resolved,
        );
      }),
    );
  });
});

describe('ResolvedHyperparameters', () => {
  it('reads a job from before adapters and optimizers could be chosen as it trains: all weights', () => {
    const today = resolveHyperparameters({ max_steps: 160, n_epochs: 2 }, { trainingRows: 20 });
    const { trainable, lora, lr_schedule, warmup_steps, optimizer, top_k, min_p, ...rest } = today;
    const { repetition_penalty, presence_penalty, stop, memory_budget_mb, ...stored } = rest;
    expect(ResolvedHyperparameters.parse(stored)).toEqual({ ...today, trainable: 'full' });
    expect(warmup_steps).toBe(16);
  });

  it('refuses what no job ever had', () => {
    expect(ResolvedHyperparameters.safeParse({ max_steps: 'auto', grup_size: 3 }).success).toBe(false);
    expect(ResolvedHyperparameters.safeParse(null).success).toBe(false);
  });
});

function withoutNull(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null));
}

describe('supervised and preference hyperparameters', () => {
  it('are decided by method, and validated after each epoch', () => {
    // 50 rows in batches of 8 are 7 steps an epoch.
    const supervised = resolveSupervised({ learning_rate_multiplier: 2 }, { trainingRows: 50 });
    expect(supervised).toMatchObject({ max_steps: 21, eval_interval: 7, trainable: 'lora', learning_rate: 4e-4 });
    expect(supervised.optimizer.epsilon).toBe(1e-8);
    const small = { trainingRows: 50, modelParameters: 1000 };
    expect(resolveSupervised({}, small)).toMatchObject({ trainable: 'full', learning_rate: 1e-4 });
    expect(resolvePreference({}, small)).toMatchObject({ beta: 0.1, learning_rate: 5e-6 });
    expect(resolvePreference({ beta: 0.5 }, { trainingRows: 50 })).toMatchObject({ beta: 0.5, learning_rate: 2e-5 });
    expect(resolveSupervised({ max_steps: 3 }, small).eval_interval).toBe(3);
  });

  it('stay as they are when they are resolved again', () => {
    const data = { trainingRows: 50, modelParameters: 1000 };
    const once = resolvePreference({ lora: { rank: 4 }, optimizer: { weight_decay: 0.1 } }, data);
    expect(resolvePreference(once, { trainingRows: 3 })).toEqual(once);
  });
});
