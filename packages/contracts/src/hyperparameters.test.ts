import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  HyperparameterError,
  ReinforcementHyperparameters,
  ResolvedHyperparameters,
  resolveHyperparameters,
} from './hyperparameters.js';

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
      learning_rate: 3e-4,
      temperature: 1,
      top_p: 1,
      max_completion_tokens: 256,
      kl_coefficient: 0,
      clip_epsilon: 0.2,
      ips: { exponent: 1, epsilon: 1 / 16 },
    });
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
        ips: fc.record({ exponent: decimal(0, 4), epsilon: decimal(0, 1) }).map(withoutNull),
      })
      .map(withoutNull);
    fc.assert(
      fc.property(requested, fc.integer({ min: 1, max: 30_000 }), (input, trainingRows) => {
        const parsed = ReinforcementHyperparameters.parse(input);
        const resolved = resolveHyperparameters(parsed, { trainingRows });
        expect(ResolvedHyperparameters.parse(resolved)).toEqual(resolved);
        // What a job shows can be sent again.
        expect(resolveHyperparameters(ReinforcementHyperparameters.parse(resolved), { trainingRows })).toEqual(
          resolved,
        );
      }),
    );
  });
});

function withoutNull(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null));
}
