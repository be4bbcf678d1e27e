import { z } from 'zod';

const auto = z.literal('auto');
export const orAuto = <T extends z.ZodType>(schema: T) => z.union([auto, schema]).optional();

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

/** What every method's hyperparameters have; each may be "auto" or left out, which means the same. */
export const learnerFields = {
  /** Times that the training rows are gone through; max_steps, where given, decides instead. */
  n_epochs: orAuto(z.int().min(1).max(50)),
  /** Rows a step. */
  batch_size: orAuto(z.int().min(1).max(256)),
  /** Scales the default learning rate; learning_rate, where given, decides instead. */
  learning_rate_multiplier: orAuto(z.number().min(1e-6).max(1000)),
  /** Steps between validations, and between checkpoints. */
  eval_interval: orAuto(z.int().min(1)),
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
  /** Memory that training may take, in MiB; "auto" and null leave it to the worker, which knows its machine. */
  memory_budget_mb: z.union([auto, z.null(), z.int().min(64).max(16_777_216)]).optional(),
};
type LearnerRequest = z.infer<z.ZodObject<typeof learnerFields>>;

/** The same with every value decided. */
export const resolvedLearnerFields = {
  n_epochs: z.int(),
  batch_size: z.int(),
  learning_rate_multiplier: z.number(),
  eval_interval: z.int(),
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
  /** null: as much as the worker finds. */
  memory_budget_mb: z.int().nullable(),
};
type ResolvedLearner = z.infer<z.ZodObject<typeof resolvedLearnerFields>>;

/** Hyperparameters that are fine one by one, but not together or not with this data. */
export class HyperparameterError extends Error {
  override readonly name = 'HyperparameterError';
  constructor(
    /** Name inside `method.….hyperparameters`. */
    readonly param: keyof typeof learnerFields,
    message: string,
  ) {
    super(message);
  }
}

/** What a method decides for itself. */
export interface LearnerDefaults {
  /** η at a multiplier of 1, for adapters and for all weights. */
  readonly learningRate: { readonly lora: number; readonly full: number };
  /** ε of AdamW. */
  readonly epsilon: number;
  /** Steps between validations. */
  evalInterval(size: { readonly maxSteps: number; readonly stepsPerEpoch: number }): number;
}

export interface TrainingData {
  /** Lines of the training file, at least 1. */
  readonly trainingRows: number;
  /** Parameters of the base model; one that is not known counts as large. */
  readonly modelParameters?: number | undefined;
}

const MAX_STEPS = 100_000;

/** Below this many parameters an adapter saves nothing worth having. */
const SMALLEST_FOR_LORA = 10_000_000;

/** Updates that the learning rate rises over at most: AdamW's first moments are estimates from a few gradients. */
const LONGEST_WARM_UP = 20;

/**
 * Decides every "auto" that methods have in common:
 * batch_size = min(8, rows); n_epochs = 3; max_steps = ceil(rows / batch_size) · n_epochs; learning_rate = the method's own ·
 * learning_rate_multiplier; multiplier = 1; lora = {rank: 16, alpha: 2 · rank, rslora: false, target_modules: 'all-linear'};
 * trainable = lora, or full for a model of fewer than 10 million parameters when no lora settings are given;
 * lr_schedule = constant; warmup_steps = max(1, min(20, floor(max_steps / 10))); optimizer = {weight_decay: 0, beta1: 0.9,
 * beta2: 0.999, epsilon: the method's own, max_grad_norm: 1}; memory_budget_mb = null.
 *
 * Resolving a resolved set changes nothing.
 *
 * @throws HyperparameterError when n_epochs over this data is more steps than a job may have, or the warm-up longer than the
 *   job
 */
export function resolveLearner(
  requested: LearnerRequest,
  { trainingRows: rows, modelParameters }: TrainingData,
  defaults: LearnerDefaults,
): ResolvedLearner {
  const given = <K extends keyof LearnerRequest>(key: K) =>
    decided(requested[key]) as Exclude<LearnerRequest[K], 'auto'>;
  const batchSize = given('batch_size') ?? Math.min(8, rows);
  const epochs = given('n_epochs') ?? 3;
  const stepsPerEpoch = Math.ceil(rows / batchSize);
  const maxSteps = given('max_steps') ?? stepsPerEpoch * epochs;
  if (maxSteps > MAX_STEPS) {
    throw new HyperparameterError(
      'n_epochs',
      `${epochs} epochs of ${rows} rows in batches of ${batchSize} are ${maxSteps} steps, but a job has at most ` +
        `${MAX_STEPS}. Lower n_epochs, raise batch_size, or set max_steps.`,
    );
  }
  const warmupSteps = given('warmup_steps') ?? Math.max(1, Math.min(LONGEST_WARM_UP, Math.floor(maxSteps / 10)));
  if (warmupSteps > maxSteps) {
    throw new HyperparameterError(
      'warmup_steps',
      `A warm-up of ${warmupSteps} steps does not fit a job of ${maxSteps}. Lower warmup_steps, or raise max_steps.`,
    );
  }
  const multiplier = given('learning_rate_multiplier') ?? 1;
  const lora = given('lora');
  const optimizer = given('optimizer') ?? {};
  const small = (modelParameters ?? Number.POSITIVE_INFINITY) < SMALLEST_FOR_LORA;
  const rank = decided(lora?.rank) ?? 16;
  const trainable = given('trainable') ?? (small && lora === undefined ? 'full' : 'lora');
  return {
    n_epochs: epochs,
    batch_size: batchSize,
    learning_rate_multiplier: multiplier,
    eval_interval: given('eval_interval') ?? defaults.evalInterval({ maxSteps, stepsPerEpoch }),
    max_steps: maxSteps,
    trainable,
    lora: {
      rank,
      alpha: decided(lora?.alpha) ?? 2 * rank,
      rslora: decided(lora?.rslora) ?? false,
      target_modules: decided(lora?.target_modules) ?? 'all-linear',
    },
    learning_rate: given('learning_rate') ?? defaults.learningRate[trainable] * multiplier,
    lr_schedule: given('lr_schedule') ?? 'constant',
    warmup_steps: warmupSteps,
    optimizer: {
      weight_decay: decided(optimizer.weight_decay) ?? 0,
      beta1: decided(optimizer.beta1) ?? 0.9,
      beta2: decided(optimizer.beta2) ?? 0.999,
      epsilon: decided(optimizer.epsilon) ?? defaults.epsilon,
      max_grad_norm: decided(optimizer.max_grad_norm) ?? 1,
    },
    memory_budget_mb: given('memory_budget_mb') ?? null,
  };
}

/** What was asked for, unless that is "auto". */
export function decided<T>(value: T | 'auto' | undefined): T | undefined {
  return value === 'auto' ? undefined : (value as T | undefined);
}
