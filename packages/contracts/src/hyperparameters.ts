import { z } from 'zod';
import {
  decided,
  learnerFields,
  orAuto,
  resolvedLearnerFields,
  resolveLearner,
  type TrainingData,
} from './learner-hyperparameters.js';

const auto = z.literal('auto');

/** Importance settings of IPS-GRPO: rewards are divided by max(p̂(outcome), epsilon)^exponent. */
export const IpsHyperparameters = z.strictObject({
  /** α: 1 spreads the policy in proportion to reward, 0 is plain GRPO. */
  exponent: orAuto(z.number().min(0).max(4)),
  /** Smallest outcome share that a reward is divided by; 1 / group_size or less never takes effect. */
  epsilon: orAuto(z.number().gt(0).max(1)),
});

/**
 * `method.reinforcement.hyperparameters` of a job: OpenAI's own, and ours. Each may be "auto" or left out, which means the
 * same; `resolveHyperparameters` says what it becomes.
 */
export const ReinforcementHyperparameters = z.strictObject({
  ...learnerFields,
  /** Accepted for its senders; only `default` has an effect. */
  reasoning_effort: z.enum(['auto', 'default', 'low', 'medium', 'high']).optional(),
  /** Scales the default group size; group_size, where given, decides instead. */
  compute_multiplier: orAuto(z.number().gt(0.00001).max(10)),
  /** Completions a validation row. */
  eval_samples: orAuto(z.int().min(1)),

  algorithm: z.enum(['auto', 'ips-grpo', 'grpo']).optional(),
  /** Completions a prompt. */
  group_size: orAuto(z.int().min(2).max(256)),

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
    ...resolvedLearnerFields,
    reasoning_effort: z.enum(['default', 'low', 'medium', 'high']),
    compute_multiplier: z.number(),
    eval_samples: z.int(),
    algorithm: z.enum(['ips-grpo', 'grpo']),
    group_size: z.int(),
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
  }),
);
export type ResolvedHyperparameters = z.infer<typeof ResolvedHyperparameters>;

/** Such a job trained all weights; everything else is what is decided today. */
function completed(stored: unknown): unknown {
  if (typeof stored !== 'object' || stored === null || 'trainable' in stored || !('max_steps' in stored)) return stored;
  const asRequest = ReinforcementHyperparameters.safeParse({ ...stored, trainable: 'full' });
  return asRequest.success ? resolveHyperparameters(asRequest.data, { trainingRows: 1 }) : stored;
}

const BASE_LEARNING_RATE = 3e-4;
const BASE_GROUP_SIZE = 16;

/**
 * ε of AdamW, as implementations of PPO choose it: with PyTorch's 1e-8, weights whose gradient is all noise take full
 * steps in noise's direction.
 */
const ADAM_EPSILON = 1e-5;

/**
 * Decides every "auto": what `resolveLearner` says, with a learning rate of 3e-4 and ε = 1e-5;
 * group_size = round(16 · compute_multiplier) within 2..256; multiplier, temperature, top_p, repetition_penalty and
 * ips.exponent = 1; top_k, min_p and presence_penalty = 0; stop = []; max_completion_tokens = 256; kl_coefficient = 0;
 * clip_epsilon = 0.2; ips.epsilon = 1 / group_size; eval_interval = max(1, round(max_steps / 8)); eval_samples = 4;
 * algorithm = ips-grpo.
 *
 * Resolving a resolved set changes nothing.
 *
 * @throws HyperparameterError as `resolveLearner` does
 */
export function resolveHyperparameters(
  requested: ReinforcementHyperparameters,
  data: TrainingData,
): ResolvedHyperparameters {
  const given = <K extends keyof ReinforcementHyperparameters>(key: K) =>
    decided(requested[key]) as Exclude<ReinforcementHyperparameters[K], 'auto'>;
  const learner = resolveLearner(requested, data, {
    learningRate: { lora: BASE_LEARNING_RATE, full: BASE_LEARNING_RATE },
    epsilon: ADAM_EPSILON,
    evalInterval: ({ maxSteps }) => Math.max(1, Math.round(maxSteps / 8)),
  });
  const computeMultiplier = given('compute_multiplier') ?? 1;
  const groupSize = given('group_size') ?? clamp(Math.round(BASE_GROUP_SIZE * computeMultiplier), 2, 256);
  const ips = given('ips') ?? {};
  return {
    ...learner,
    reasoning_effort: given('reasoning_effort') ?? 'default',
    compute_multiplier: computeMultiplier,
    eval_samples: given('eval_samples') ?? 4,
    algorithm: given('algorithm') ?? 'ips-grpo',
    group_size: groupSize,
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
  };
}

function clamp(value: number, minimum: number, maximum: number): number {
  return Math.min(Math.max(value, minimum), maximum);
}
