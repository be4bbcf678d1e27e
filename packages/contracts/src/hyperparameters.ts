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

/** An adapter: each chosen weight W becomes W + scale · B·A, and only A and B learn. There is no dropout. */
export const LoraHyperparameters = z.strictObject({
  /** Rows of A. */
  rank: orAuto(z.int().min(1).max(512)),
  /** scale = alpha / rank, or alpha / √rank with rslora. */
  alpha: orAuto(z.number().gt(0).max(4096)),
  /** Rank-stabilised scaling: larger ranks learn no slower. */
  rslora: orAuto(z.boolean()),
  /** Names of modules, such as `q_proj`, or every linear layer but the output's. */
  target_modules: orAuto(
    z.union([
      z.literal('all-linear'),
      z
        .array(z.string().min(1).max(128), { error: `Expected 'all-linear', 'auto' or an array of module names.` })
        .min(1, { error: `Expected at least one module name, or 'all-linear'.` })
        .max(64)
        .refine((names) => new Set(names).size === names.length, { error: 'Expected each module name once.' }),
    ]),
  ),
});

/** AdamW with decoupled decay, behind a clip of the gradient's global norm. */
export const OptimizerHyperparameters = z.strictObject({
  /** Share of the learning rate by which matrices shrink at each update. */
  weight_decay: orAuto(z.number().min(0).max(1)),
  beta1: orAuto(z.number().min(0).lt(1)),
  beta2: orAuto(z.number().min(0).lt(1)),
  epsilon: orAuto(z.number().gt(0).max(1)),
  /** A gradient longer than this is shortened to it. */
  max_grad_norm: orAuto(z.number().gt(0).max(1000)),
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
  /** What learns: adapters beside frozen weights, or all weights. */
  trainable: z.enum(['auto', 'lora', 'full']).optional(),
  lora: z.union([auto, LoraHyperparameters]).optional(),
  learning_rate: orAuto(z.number().gt(0).max(1)),
  /** Course of the learning rate after the warm-up; linear and cosine end at 0. */
  lr_schedule: z.enum(['auto', 'constant', 'linear', 'cosine']).optional(),
  /** Steps over which the learning rate rises linearly from 0; at most max_steps. */
  warmup_steps: orAuto(z.int().min(0).max(100_000)),
  optimizer: z.union([auto, OptimizerHyperparameters]).optional(),

  temperature: orAuto(z.number().gt(0).max(2)),
  /** Only the k likeliest tokens can be sampled; 0: all. */
  top_k: orAuto(z.int().min(0).max(1_000_000)),
  top_p: orAuto(z.number().gt(0).max(1)),
  /** Only tokens at least this share as likely as the likeliest can be sampled; 0: all. */
  min_p: orAuto(z.number().min(0).lt(1)),
  /** Divides positive and multiplies negative logits of tokens that prompt or completion already have; 1: none. */
  repetition_penalty: orAuto(z.number().gt(0).max(2)),
  /** Taken off the logits of tokens that the completion already has. */
  presence_penalty: orAuto(z.number().min(-2).max(2)),
  /** Texts that end a completion; they are no part of it. */
  stop: orAuto(
    z.array(z.string().min(1).max(256), { error: `Expected 'auto' or an array of up to 4 strings.` }).max(4, {
      error: 'Expected at most 4 strings.',
    }),
  ),
  max_completion_tokens: orAuto(z.int().min(1).max(32_768)),

  /** Weight of the penalty for leaving the base model. */
  kl_coefficient: orAuto(z.number().min(0).max(10)),
  clip_epsilon: orAuto(z.number().gt(0).max(1)),
  ips: z.union([auto, IpsHyperparameters]).optional(),

  /** Memory that training may take, in MiB; "auto" and null leave it to the worker, which knows its machine. */
  memory_budget_mb: z.union([auto, z.null(), z.int().min(64).max(16_777_216)]).optional(),
});
export type ReinforcementHyperparameters = z.infer<typeof ReinforcementHyperparameters>;

/**
 * The same with every value decided: what a job carries and the trainer reads.
 *
 * A job that was recorded before some of them could be chosen lacks these; reading it fills in what it trains with.
 */
export const ResolvedHyperparameters = z.preprocess(
  completed,
  z.strictObject({
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
    trainable: z.enum(['lora', 'full']),
    /** Read with `trainable: 'lora'` only. */
    lora: z.strictObject({
      rank: z.int(),
      alpha: z.number(),
      rslora: z.boolean(),
      target_modules: z.union([z.literal('all-linear'), z.array(z.string())]),
    }),
    learning_rate: z.number(),
    lr_schedule: z.enum(['constant', 'linear', 'cosine']),
    warmup_steps: z.int(),
    optimizer: z.strictObject({
      weight_decay: z.number(),
      beta1: z.number(),
      beta2: z.number(),
      epsilon: z.number(),
      max_grad_norm: z.number(),
    }),
    temperature: z.number(),
    top_k: z.int(),
    top_p: z.number(),
    min_p: z.number(),
    repetition_penalty: z.number(),
    presence_penalty: z.number(),
    stop: z.array(z.string()),
    max_completion_tokens: z.int(),
    kl_coefficient: z.number(),
    clip_epsilon: z.number(),
    ips: z.strictObject({ exponent: z.number(), epsilon: z.number() }),
    /** null: as much as the worker finds. */
    memory_budget_mb: z.int().nullable(),
  }),
);
export type ResolvedHyperparameters = z.infer<typeof ResolvedHyperparameters>;

/** Such a job trained all weights; everything else is what is decided today. */
function completed(stored: unknown): unknown {
  if (typeof stored !== 'object' || stored === null || 'trainable' in stored || !('max_steps' in stored)) return stored;
  const asRequest = ReinforcementHyperparameters.safeParse({ ...stored, trainable: 'full' });
  return asRequest.success ? resolveHyperparameters(asRequest.data, { trainingRows: 1 }) : stored;
}

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

/** Below this many parameters an adapter saves nothing worth having. */
const SMALLEST_FOR_LORA = 10_000_000;

/** Updates that the learning rate rises over at most: AdamW's first moments are estimates from a few gradients. */
const LONGEST_WARM_UP = 20;

/**
 * ε of AdamW, as implementations of PPO choose it: with PyTorch's 1e-8, weights whose gradient is all noise take full
 * steps in noise's direction.
 */
const ADAM_EPSILON = 1e-5;

/**
 * Decides every "auto":
 * batch_size = min(8, rows); group_size = round(16 · compute_multiplier) within 2..256; n_epochs = 3;
 * max_steps = ceil(rows / batch_size) · n_epochs; learning_rate = 3e-4 · learning_rate_multiplier; multipliers, temperature,
 * top_p, repetition_penalty and ips.exponent = 1; top_k, min_p and presence_penalty = 0; stop = []; max_completion_tokens =
 * 256; kl_coefficient = 0; clip_epsilon = 0.2; ips.epsilon = 1 / group_size; eval_interval = max(1, round(max_steps / 8));
 * eval_samples = 4; algorithm = ips-grpo; lora = {rank: 16, alpha: 2 · rank, rslora: false, target_modules: 'all-linear'};
 * trainable = lora, or full for a model of fewer than 10 million parameters when no lora settings are given;
 * lr_schedule = constant; warmup_steps = max(1, min(20, floor(max_steps / 10))); optimizer = {weight_decay: 0, beta1: 0.9,
 * beta2: 0.999, epsilon: 1e-5, max_grad_norm: 1}; memory_budget_mb = null.
 *
 * Resolving a resolved set changes nothing.
 *
 * @param context.trainingRows lines of the training file, at least 1
 * @param context.modelParameters parameters of the base model; one that is not known counts as large
 * @throws HyperparameterError when n_epochs over this data is more steps than a job may have, or the warm-up longer than the
 *   job
 */
export function resolveHyperparameters(
  requested: ReinforcementHyperparameters,
  context: { trainingRows: number; modelParameters?: number | undefined },
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
  const warmupSteps = given('warmup_steps') ?? Math.max(1, Math.min(LONGEST_WARM_UP, Math.floor(maxSteps / 10)));
  if (warmupSteps > maxSteps) {
    throw new HyperparameterError(
      'warmup_steps',
      `A warm-up of ${warmupSteps} steps does not fit a job of ${maxSteps}. Lower warmup_steps, or raise max_steps.`,
    );
  }
  const ips = given('ips') ?? {};
  const lora = given('lora');
  const optimizer = given('optimizer') ?? {};
  const small = (context.modelParameters ?? Number.POSITIVE_INFINITY) < SMALLEST_FOR_LORA;
  const rank = decided(lora?.rank) ?? 16;
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
    trainable: given('trainable') ?? (small && lora === undefined ? 'full' : 'lora'),
    lora: {
      rank,
      alpha: decided(lora?.alpha) ?? 2 * rank,
      rslora: decided(lora?.rslora) ?? false,
      target_modules: decided(lora?.target_modules) ?? 'all-linear',
    },
    learning_rate: given('learning_rate') ?? BASE_LEARNING_RATE * learningRateMultiplier,
    lr_schedule: given('lr_schedule') ?? 'constant',
    warmup_steps: warmupSteps,
    optimizer: {
      weight_decay: decided(optimizer.weight_decay) ?? 0,
      beta1: decided(optimizer.beta1) ?? 0.9,
      beta2: decided(optimizer.beta2) ?? 0.999,
      epsilon: decided(optimizer.epsilon) ?? ADAM_EPSILON,
      max_grad_norm: decided(optimizer.max_grad_norm) ?? 1,
    },
    temperature: given('temperature') ?? 1,
    top_k: given('top_k') ?? 0,
    top_p: given('top_p') ?? 1,
    min_p: given('min_p') ?? 0,
    repetition_penalty: given('repetition_penalty') ?? 1,
    presence_penalty: given('presence_penalty') ?? 0,
    stop: given('stop') ?? [],
    max_completion_tokens: given('max_completion_tokens') ?? 256,
    kl_coefficient: given('kl_coefficient') ?? 0,
    clip_epsilon: given('clip_epsilon') ?? 0.2,
    ips: { exponent: decided(ips.exponent) ?? 1, epsilon: decided(ips.epsilon) ?? 1 / groupSize },
    memory_budget_mb: given('memory_budget_mb') ?? null,
  };
}

function decided<T>(value: T | 'auto' | undefined): T | undefined {
  return value === 'auto' ? undefined : (value as T | undefined);
}

function clamp(value: number, minimum: number, maximum: number): number {
  return Math.min(Math.max(value, minimum), maximum);
}
