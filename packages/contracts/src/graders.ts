import { z } from 'zod';

/**
 * A grader's definition as it travels. Its `type` decides what else it holds; `compileGrader` of @polymode/verifiers
 * checks that.
 */
export const GraderDefinition = z.looseObject({ type: z.string() });
export type GraderDefinition = z.infer<typeof GraderDefinition>;

/** What counts as the same answer. Its `type` decides what else it holds; `compileOutcome` of @polymode/verifiers checks that. */
export const OutcomeDefinition = z.looseObject({ type: z.string() });
export type OutcomeDefinition = z.infer<typeof OutcomeDefinition>;

/** How completions are graded: keys of `method.reinforcement` beside `grader`. */
export const RequestedGrading = {
  /** Left out: the grader's own. */
  outcome: OutcomeDefinition.nullish(),
  /** Share of a step's completions that the grader may fail on before the job fails; 0.1 when left out. */
  max_grader_error_share: z.number().min(0).max(1).nullish(),
  /** Milliseconds that one grade may take, waiting included; 300000 when left out. */
  grader_timeout_ms: z.int().min(1).max(3_600_000).nullish(),
};

/** The same, decided. A job that was recorded before they could be chosen lacks them. */
export const ResolvedGrading = {
  outcome: OutcomeDefinition.nullable().default(null),
  max_grader_error_share: z.number().default(0.1),
  grader_timeout_ms: z.int().default(300_000),
};

export const RunGraderRequest = z.strictObject({
  grader: GraderDefinition,
  /** The completion to grade: `sample.output_text`. */
  model_sample: z.string(),
  /** The dataset row's own fields: `item`. */
  item: z.record(z.string(), z.unknown()).nullish(),
  /** Left out: the grader's own. */
  outcome: OutcomeDefinition.nullish(),
});
export type RunGraderRequest = z.infer<typeof RunGraderRequest>;

/** Why a grader gave no reward; the names are the API's. */
export const GraderErrors = z.object({
  formula_parse_error: z.boolean(),
  sample_parse_error: z.boolean(),
  truncated_observation_error: z.boolean(),
  unresponsive_reward_error: z.boolean(),
  invalid_variable_error: z.boolean(),
  other_error: z.boolean(),
  python_grader_server_error: z.boolean(),
  python_grader_server_error_type: z.string().nullable(),
  python_grader_runtime_error: z.boolean(),
  python_grader_runtime_error_details: z.string().nullable(),
  model_grader_server_error: z.boolean(),
  model_grader_server_error_details: z.string().nullable(),
  model_grader_refusal_error: z.boolean(),
  model_grader_parse_error: z.boolean(),
});
export type GraderErrors = z.infer<typeof GraderErrors>;

/** What a judge was asked. */
export const GraderTokenUsage = z.object({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  cached_tokens: z.int(),
  total_tokens: z.int(),
});
export type GraderTokenUsage = z.infer<typeof GraderTokenUsage>;

export const RunGraderResponse = z.object({
  /** 0 when the grader failed; `metadata.errors` tells a failure from an answer that earns nothing. */
  reward: z.number(),
  metadata: z.object({
    name: z.string(),
    type: z.string(),
    /** Seconds. */
    execution_time: z.number(),
    scores: z.record(z.string(), z.unknown()),
    /** The judge, of a grader that is one. */
    sampled_model_name: z.string().nullable(),
    /** Of all judges together. */
    token_usage: GraderTokenUsage.nullable(),
    errors: GraderErrors,
    /** Canonical key of the answer: two completions that mean the same have the same. null when the grader failed. */
    outcome: z.string().nullable(),
    /** What went wrong and what to change; null when nothing did. */
    error_message: z.string().nullable(),
  }),
  sub_rewards: z.record(z.string(), z.number()),
  model_grader_token_usage_per_model: z.record(z.string(), GraderTokenUsage),
});
export type RunGraderResponse = z.infer<typeof RunGraderResponse>;

export const ValidateGraderRequest = z.strictObject({ grader: GraderDefinition });
export type ValidateGraderRequest = z.infer<typeof ValidateGraderRequest>;

/** The definition as the service understands it, defaults filled in. */
export const ValidateGraderResponse = z.object({ grader: GraderDefinition });
export type ValidateGraderResponse = z.infer<typeof ValidateGraderResponse>;
