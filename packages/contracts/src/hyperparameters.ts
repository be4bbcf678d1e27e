import { z } from 'zod';

const auto = z.literal('auto');
const orAuto = <T extends z.ZodType>(schema: T) => z.union([auto, schema]).optional();

/** Importance settings of IPS-GRPO: rewards are divided by max(p̂(outcome), epsilon)^exponent. */
export const IpsHyperparameters = z.strictObject({
  /** α: 1 spreads the policy in proportion to reward, 0 is plain GRPO. */
  exponent: orAuto(z.number().min(0).max(4)),
  /** Smallest outcome share that a reward is divided by; 1 / group_size or less never takes effect. */
  epsilon: orAuto(z.number().gt(0).max(1)),
});

/**
 * `method.reinforcement.hyperparameters` of a job: OpenAI's own first, then ours. Each may be "auto" or left out, which
 * means the same; `resolveHyperparameters` says what it becomes.
 */
export const ReinforcementHyperparameters = z.strictObject({
  /** Times that the training rows are gone through; max_steps, where given, decides instead. */
  n_epochs: orAuto(z.int().min(1).max(50)),
  /** Prompts a step. */
  batch_size: orAuto(z.int().min(1).max(256)),
  /** Scales the default learning rate; learning_rate, where given, decides instead. */
  learning_rate_multiplier: orAuto(z.number().min(1e-6).max(1000)),
  /** Accepted for its senders; only `default` has an effect. */
  reasoning_effort: z.enum(['auto', 'default', 'low', 'medium', 'high']).optional(),
  /** Scales the default group size; group_size, where given, decides instead. */
  compute_multiplier: orAuto(z.number().gt(0.00001).max(10)),
  /** Steps between validations. */
  eval_interval: orAuto(z.int().min(1)),
  /** Completions a validation row. */
  eval_samples: orAuto(z.int().min(1)),

  algorithm: z.enum(['auto', 'ips-grpo', 'grpo']).optional(),
  /** Completions a prompt. */
  group_size: orAuto(z.int().min(2).max(256)),
  /** Optimizer steps in all; the data is cycled. */
  max_steps: orAuto(z.int().min(1).max(100_000)),
  learning_rate: orAuto(z.number().gt(0).max(1)),
  temperature: orAuto(z.number().gt(0).max(2)),
  top_p: orAuto(z.number().gt(0).max(1)),
  max_completion_tokens: orAuto(z.int().min(1).max(32_768)),
  /** Weight of the penalty for leaving the base model. */
  kl_coefficient: orAuto(z.number().min(0).max(10)),
  clip_epsilon: orAuto(z.number().gt(0).max(1)),
  ips: z.union([auto, IpsHyperparameters]).optional(),
});
export type ReinforcementHyperparameters = z.infer<typeof ReinforcementHyperparameters>;

/** The same with every value decided: what a job carries and the trainer reads. */
export const ResolvedHyperparameters = z.strictObject({
  n_epochs: z.int(),
  batch_size: z.int(),
  learning_rate_multiplier: z.number(),
  reasoning_effort: z.enum(['default', 'low', 'medium', 'high']),
  compute_multiplier: z.number(),
  eval_interval: z.int(),
  eval_samples: z.int(),
  algorithm: z.enum(['ips-grpo', 'grpo']),
  group_size: z.int(),
  max_steps: z.int(),
  learning_rate: z.number(),
  temperature: z.number(),
  top_p: z.number(),
  max_completion_tokens: z.int(),
  kl_coefficient: z.number(),
  clip_epsilon: z.number(),
  ips: z.strictObject({ exponent: z.number(), epsilon: z.number() }),
});
export type ResolvedHyperparameters = z.infer<typeof ResolvedHyperparameters>;

/** Hyperparameters that are fine one by one, but not together or not with this data. */
export class HyperparameterError extends Error {
  override readonly name = 'HyperparameterError';
  constructor(
    /** Name inside `method.reinforcement.hyperparameters`. */
    readonly param: keyof ReinforcementHyperparameters,
    message: string,
  ) {
    super(message);
  }
}

const MAX_STEPS = 100_000;
const BASE_LEARNING_RATE = 3e-4;
const BASE_GROUP_SIZE = 16;

/**
 * Decides every "auto":
 * batch_size = min(8, rows); group_size = round(16 · compute_multiplier) within 2..256; n_epochs = 3;
 * max_steps = ceil(rows / batch_size) · n_epochs; learning_rate = 3e-4 · learning_rate_multiplier; multipliers, temperature,
 * top_p and ips.exponent = 1; max_completion_tokens = 256; kl_coefficient = 0; clip_epsilon = 0.2;
 * ips.epsilon = 1 / group_size; eval_interval = max(1, round(max_steps / 8)); eval_samples = 4; algorithm = ips-grpo.
 *
 * Resolving a resolved set changes nothing.
 *
 * @param context.trainingRows lines of the training file, at least 1
 * @throws HyperparameterError when n_epochs over this data is more steps than a job may have
 */
export function resolveHyperparameters(
  requested: ReinforcementHyperparameters,
  context: { trainingRows: number },
): ResolvedHyperparameters {
  const given = <K extends keyof ReinforcementHyperparameters>(key: K) =>
    decided(requested[key]) as Exclude<ReinforcementHyperparameters[K], 'auto'>;

  const rows = context.trainingRows;
  const batchSize = given('batch_size') ?? Math.min(8, rows);
  const computeMultiplier = given('compute_multiplier') ?? 1;
  const groupSize = given('group_size') ?? clamp(Math.round(BASE_GROUP_SIZE * computeMultiplier), 2, 256);
  const epochs = given('n_epochs') ?? 3;
  const maxSteps = given('max_steps') ?? Math.ceil(rows / batchSize) * epochs;
  if (maxSteps > MAX_STEPS) {
    throw new HyperparameterError(
      'n_epochs',
      `${epochs} epochs of ${rows} rows in batches of ${batchSize} are ${maxSteps} steps, but a job has at most ` +
        `${MAX_STEPS}. Lower n_epochs, raise batch_size, or set max_steps.`,
    );
  }
  const learningRateMultiplier = given('learning_rate_multiplier') ?? 1;
  const ips = given('ips') ?? {};
  return {
    n_epochs: epochs,
    batch_size: batchSize,
    learning_rate_multiplier: learningRateMultiplier,
    reasoning_effort: given('reasoning_effort') ?? 'default',
    compute_multiplier: computeMultiplier,
    eval_interval: given('eval_interval') ?? Math.max(1, Math.round(maxSteps / 8)),
    eval_samples: given('eval_samples') ?? 4,
    algorithm: given('algorithm') ?? 'ips-grpo',
    group_size: groupSize,
    max_steps: maxSteps,
    learning_rate: given('learning_rate') ?? BASE_LEARNING_RATE * learningRateMultiplier,
    temperature: given('temperature') ?? 1,
    top_p: given('top_p') ?? 1,
    max_completion_tokens: given('max_completion_tokens') ?? 256,
    kl_coefficient: given('kl_coefficient') ?? 0,
    clip_epsilon: given('clip_epsilon') ?? 0.2,
    ips: { exponent: decided(ips.exponent) ?? 1, epsilon: decided(ips.epsilon) ?? 1 / groupSize },
  };
}

function decided<T>(value: T | 'auto' | undefined): T | undefined {
  return value === 'auto' ? undefined : (value as T | undefined);
}

function clamp(value: number, minimum: number, maximum: number): number {
  return Math.min(Math.max(value, minimum), maximum);
}
