import { z } from 'zod';
import { CheckpointFormat, GgufType, RequestedCheckpointFormats } from './checkpoint-formats.js';
import { GraderDefinition, RequestedGrading, ResolvedGrading } from './graders.js';
import { ReinforcementHyperparameters, ResolvedHyperparameters } from './hyperparameters.js';
import {
  PreferenceHyperparameters,
  ResolvedPreferenceHyperparameters,
  ResolvedSupervisedHyperparameters,
  SupervisedHyperparameters,
} from './imitation-hyperparameters.js';
import { Integrations } from './integrations.js';
import { listOf, pageQuery, queryFlag } from './pagination.js';
import { ResponseFormat } from './response-format.js';

/** Up to 16 pairs of strings that a client hangs on a job and can list by. */
export const Metadata = z
  .record(z.string().max(64), z.string().max(512))
  .refine((pairs) => Object.keys(pairs).length <= 16, { error: 'Expected at most 16 key-value pairs.' });
export type Metadata = z.infer<typeof Metadata>;

const formatFields = {
  /** What checkpoints are written as. */
  checkpoint_formats: RequestedCheckpointFormats.nullish(),
  /** F16 when left out. */
  gguf_type: GgufType.nullish(),
};

export const ReinforcementMethod = z.strictObject({
  grader: GraderDefinition,
  ...RequestedGrading,
  hyperparameters: ReinforcementHyperparameters.nullish(),
  ...formatFields,
  /** What answers are to be. */
  response_format: ResponseFormat.nullish(),
});

export const SupervisedMethod = z.strictObject({
  hyperparameters: SupervisedHyperparameters.nullish(),
  ...formatFields,
});

export const PreferenceMethod = z.strictObject({
  hyperparameters: PreferenceHyperparameters.nullish(),
  ...formatFields,
});

/** How to train. Settings lie under the method's own name. */
export const Method = z.discriminatedUnion(
  'type',
  [
    z.strictObject({ type: z.literal('supervised'), supervised: SupervisedMethod.nullish() }),
    z.strictObject({ type: z.literal('dpo'), dpo: PreferenceMethod.nullish() }),
    z.strictObject({ type: z.literal('reinforcement'), reinforcement: ReinforcementMethod }),
  ],
  {
    error: ({ code }) =>
      code === 'invalid_union' ? "Supported values are: 'supervised', 'dpo', 'reinforcement'." : undefined,
  },
);
export type Method = z.infer<typeof Method>;

export const CreateJobRequest = z.strictObject({
  /** A base model, or a fine-tuned model or checkpoint to train further. */
  model: z.string().min(1),
  /** Id of a file with purpose `fine-tune`. */
  training_file: z.string().min(1),
  validation_file: z.string().min(1).nullish(),
  /** Part of the new model's name, so without the colon that separates its parts. */
  suffix: z
    .string()
    .min(1)
    .max(64)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, {
      error: "Expected letters, digits, '.', '_' and '-', starting with a letter or digit.",
    })
    .nullish(),
  seed: z.int().min(0).max(2_147_483_647).nullish(),
  /** Supervised when left out. */
  method: Method.nullish(),
  /** OpenAI's old place for `method.supervised.hyperparameters`. */
  hyperparameters: SupervisedHyperparameters.nullish(),
  integrations: Integrations.nullish(),
  metadata: Metadata.nullish(),
});
export type CreateJobRequest = z.infer<typeof CreateJobRequest>;

export const CreateJobQuery = z.object({
  /** Only check the request and say what would come of it; nothing is stored. */
  dry_run: queryFlag,
});

/** A new job from a checkpoint of another. What is left out is as it was there, but for the seed, which is a new one. */
export const ForkJobRequest = z.strictObject({
  /** Id, model name or step of a checkpoint of the job; left out: its last. */
  checkpoint: z.union([z.int().min(1), z.string().min(1)]).nullish(),
  /** Those to change; the rest stay as they were. */
  hyperparameters: z.record(z.string(), z.unknown()).nullish(),
  training_file: z.string().min(1).nullish(),
  /** Null: none, as of `suffix`, `integrations` and `metadata`. Left out: the job's. */
  validation_file: z.string().min(1).nullish(),
  suffix: CreateJobRequest.shape.suffix,
  seed: CreateJobRequest.shape.seed,
  integrations: CreateJobRequest.shape.integrations,
  metadata: Metadata.nullish(),
});
export type ForkJobRequest = z.infer<typeof ForkJobRequest>;

export const JobStatus = z.enum([
  'validating_files',
  'queued',
  'running',
  'paused',
  'succeeded',
  'failed',
  'cancelled',
]);
export type JobStatus = z.infer<typeof JobStatus>;

export const JobError = z.object({ code: z.string(), message: z.string(), param: z.string().nullable() });
export type JobError = z.infer<typeof JobError>;

const resolvedFormatFields = {
  checkpoint_formats: z.array(CheckpointFormat).default(['merged']),
  gguf_type: GgufType.default('F16'),
};

/** `method` of a job that exists: nothing in it is "auto". */
export const ResolvedMethod = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('supervised'),
    supervised: z.object({ hyperparameters: ResolvedSupervisedHyperparameters, ...resolvedFormatFields }),
  }),
  z.object({
    type: z.literal('dpo'),
    dpo: z.object({ hyperparameters: ResolvedPreferenceHyperparameters, ...resolvedFormatFields }),
  }),
  z.object({
    type: z.literal('reinforcement'),
    reinforcement: z.object({
      grader: GraderDefinition,
      ...ResolvedGrading,
      hyperparameters: ResolvedHyperparameters,
      ...resolvedFormatFields,
      response_format: ResponseFormat.nullable(),
    }),
  }),
]);
export type ResolvedMethod = z.infer<typeof ResolvedMethod>;

/** The settings of whichever method it is. */
export function hyperparametersOf(
  method: ResolvedMethod,
): ResolvedHyperparameters | ResolvedSupervisedHyperparameters | ResolvedPreferenceHyperparameters {
  switch (method.type) {
    case 'reinforcement':
      return method.reinforcement.hyperparameters;
    case 'supervised':
      return method.supervised.hyperparameters;
    case 'dpo':
      return method.dpo.hyperparameters;
  }
}

/** The formats of its checkpoints. */
export function checkpointFormatsOf(
  method: ResolvedMethod,
): Pick<z.infer<z.ZodObject<typeof resolvedFormatFields>>, 'checkpoint_formats' | 'gguf_type'> {
  switch (method.type) {
    case 'reinforcement':
      return method.reinforcement;
    case 'supervised':
      return method.supervised;
    case 'dpo':
      return method.dpo;
  }
}

/** Times are in whole seconds since 1970. */
export const FineTuningJob = z.object({
  id: z.string(),
  object: z.literal('fine_tuning.job'),
  created_at: z.int(),
  finished_at: z.int().nullable(),
  /** As of the last step; null while the job does not run. */
  estimated_finish: z.int().nullable(),
  /** As the request named it. */
  model: z.string(),
  /** null until the job has succeeded. */
  fine_tuned_model: z.string().nullable(),
  user_provided_suffix: z.string().nullable(),
  organization_id: z.string(),
  status: JobStatus,
  training_file: z.string(),
  validation_file: z.string().nullable(),
  result_files: z.array(z.string()),
  /** null while it runs. */
  trained_tokens: z.int().nullable(),
  hyperparameters: z.object({ n_epochs: z.int(), batch_size: z.int(), learning_rate_multiplier: z.number() }),
  seed: z.int(),
  error: JobError.nullable(),
  integrations: Integrations,
  metadata: Metadata.nullable(),
  method: ResolvedMethod,
});
export type FineTuningJob = z.infer<typeof FineTuningJob>;

export const FineTuningJobCheckpoint = z.object({
  id: z.string(),
  object: z.literal('fine_tuning.job.checkpoint'),
  created_at: z.int(),
  fine_tuning_job_id: z.string(),
  /** Name of the model that the checkpoint holds. */
  fine_tuned_model_checkpoint: z.string(),
  step_number: z.int(),
  metrics: z.record(z.string(), z.number()),
});
export type FineTuningJobCheckpoint = z.infer<typeof FineTuningJobCheckpoint>;

/** One file of a checkpoint. `id` is its path, so that lists of files page like every other list. */
export const CheckpointFile = z.object({
  id: z.string(),
  object: z.literal('fine_tuning.job.checkpoint.file'),
  path: z.string(),
  bytes: z.int(),
  /** Hexadecimal. */
  sha256: z.string(),
});
export type CheckpointFile = z.infer<typeof CheckpointFile>;

/** `metadata[key]=value` keeps jobs that carry all these pairs; `metadata=` or `metadata=null` those without metadata. */
export const ListJobsQuery = z.object({
  ...pageQuery({ fallback: 20, maximum: 100 }),
  metadata: z
    .preprocess(
      // `metadata[0]=a` looks like a list.
      (value) => (value === '' || value === 'null' ? null : Array.isArray(value) ? { ...value } : value),
      z.record(z.string(), z.string()).nullable(),
    )
    .optional(),
});
export type ListJobsQuery = z.infer<typeof ListJobsQuery>;
export const ListCheckpointsQuery = z.object(pageQuery({ fallback: 10, maximum: 100 }));
export type ListCheckpointsQuery = z.infer<typeof ListCheckpointsQuery>;

export const FineTuningJobList = listOf(FineTuningJob);
export type FineTuningJobList = z.infer<typeof FineTuningJobList>;
export const FineTuningJobCheckpointList = listOf(FineTuningJobCheckpoint);
export type FineTuningJobCheckpointList = z.infer<typeof FineTuningJobCheckpointList>;
export const CheckpointFileList = listOf(CheckpointFile);
export type CheckpointFileList = z.infer<typeof CheckpointFileList>;

/**
 * `ft:{base}:{organization}:{suffix}:{8 chars}`, the same whenever it is made for the same job.
 *
 * @param job.id its last 8 characters end the name
 */
export function fineTunedModelName(job: {
  id: string;
  baseModel: string;
  organizationId: string;
  suffix: string | null;
}): string {
  return `ft:${job.baseModel}:${job.organizationId}:${job.suffix ?? ''}:${job.id.slice(-8)}`;
}

/** Name of the model that a job's checkpoint at a step holds. */
export function checkpointModelName(job: Parameters<typeof fineTunedModelName>[0], step: number): string {
  return `${fineTunedModelName(job)}:ckpt-step-${step}`;
}
