import { z } from 'zod';
import { ResolvedMethod } from './fine-tuning-jobs.js';

/** Of so many things in tokens. */
export const Lengths = z.object({ min: z.int(), mean: z.number(), p95: z.int(), max: z.int(), total: z.int() });

/** What a training or validation file holds. */
export const FileStatistics = z.object({
  id: z.string(),
  rows: z.int(),
  /** Rows that are the same, byte for byte, as an earlier one. */
  duplicate_rows: z.int(),
  /**
   * Tokens of a row: of reinforcement rows the prompt, of supervised ones everything, of preference rows the longer answer with
   * all before it. null when no worker could be asked.
   */
  tokens: Lengths.nullable(),
  /** Rows that do not fit the model's context with the completion that may follow; null like `tokens`. */
  rows_beyond_context: z.int().nullable(),
});
export type FileStatistics = z.infer<typeof FileStatistics>;

/** Which answers group sampling can keep, by the theory of IPS-GRPO. */
export const SurvivalReport = z.object({
  algorithm: z.string(),
  group_size: z.int(),
  /** Exponent of the inverse frequency. */
  alpha: z.number(),
  /** An answer survives beside a better one if its reward is more than this share of the better one's. */
  smallest_reward_ratio: z.number(),
  /** Answers of equal reward that one group can show at most. */
  answers_seen_per_group: z.int(),
  message: z.string(),
});
export type SurvivalReport = z.infer<typeof SurvivalReport>;

/** Bytes that a job will take at its fullest. */
export const MemoryReport = z.object({
  total_bytes: z.int(),
  parts: z.record(z.string(), z.int()),
  /** What the job may take at most; null: what the worker's machine has. */
  budget_bytes: z.int().nullable(),
  fits: z.boolean(),
});
export type MemoryReport = z.infer<typeof MemoryReport>;

/** What would come of a request. */
export const DryRun = z.object({
  object: z.literal('fine_tuning.job.dry_run'),
  model: z.string(),
  base_model: z.string(),
  /** Every setting resolved. */
  method: ResolvedMethod,
  training_file: FileStatistics,
  validation_file: FileStatistics.nullable(),
  /** Rows of the validation file that are in the training file too. */
  shared_rows: z.int(),
  /** As the worker that was asked sees it; null when none could be. */
  memory: MemoryReport.nullable(),
  /** null for methods that do not sample groups. */
  survival: SurvivalReport.nullable(),
  warnings: z.array(z.string()),
});
export type DryRun = z.infer<typeof DryRun>;
