import { z } from 'zod';
import { listOf, pageQuery, queryFlag, queryInteger } from './pagination.js';

/** What a job leaves behind while it runs: events, metrics, samples. */

const format = z.enum(['json', 'csv']).default('json');

export const FineTuningJobEvent = z.object({
  id: z.string(),
  object: z.literal('fine_tuning.job.event'),
  created_at: z.int(),
  level: z.enum(['info', 'warn', 'error']),
  message: z.string(),
  type: z.enum(['message', 'metrics']),
  data: z.record(z.string(), z.unknown()).nullable(),
});
export type FineTuningJobEvent = z.infer<typeof FineTuningJobEvent>;

export const ListEventsQuery = z.object({
  ...pageQuery({ fallback: 20, maximum: 100 }),
  /** Server-sent events, oldest first, as they happen; ends with `[DONE]` when the job has ended. */
  stream: queryFlag,
});
export type ListEventsQuery = z.infer<typeof ListEventsQuery>;
export const FineTuningJobEventList = listOf(FineTuningJobEvent);
export type FineTuningJobEventList = z.infer<typeof FineTuningJobEventList>;

const everyNthStep = {
  /** Only every n-th step, beginning with the first: a thousand steps in a hundred points. */
  every_nth_step: queryInteger(1, 1_000_000).default(1),
  format,
};

export const ListMetricsQuery = z.object({ ...pageQuery({ fallback: 100, maximum: 1000 }), ...everyNthStep });
export type ListMetricsQuery = z.infer<typeof ListMetricsQuery>;

/** The numbers of one step; `data` is that of the step's metrics event. */
export const FineTuningJobMetrics = z.object({
  /** The step's number, which lists continue after. */
  id: z.string(),
  object: z.literal('fine_tuning.job.metrics'),
  created_at: z.int(),
  step: z.int(),
  data: z.record(z.string(), z.unknown()),
});
export type FineTuningJobMetrics = z.infer<typeof FineTuningJobMetrics>;
export const FineTuningJobMetricsList = listOf(FineTuningJobMetrics);
export type FineTuningJobMetricsList = z.infer<typeof FineTuningJobMetricsList>;

export const ListSamplesQuery = z.object({
  ...pageQuery({ fallback: 100, maximum: 1000 }),
  ...everyNthStep,
  /** Only those of this step. */
  step: queryInteger(1, 2_000_000_000).optional(),
});
export type ListSamplesQuery = z.infer<typeof ListSamplesQuery>;

/** A completion that a reinforcement step sampled, and what it earned. */
export const FineTuningJobSample = z.object({
  /** `step-index`, unique in its job. */
  id: z.string(),
  object: z.literal('fine_tuning.job.sample'),
  step: z.int(),
  /** 0 is the first of its step; those of one prompt follow one another. */
  index: z.int(),
  /** Line of the training file, 0 is the first. */
  row: z.int(),
  /** Cut to 8192 characters. */
  text: z.string(),
  /** null where the grader failed. */
  reward: z.number().nullable(),
  /** What counts as the same answer. */
  outcome: z.string().nullable(),
  advantage: z.number(),
  completion_tokens: z.int(),
  finish_reason: z.string(),
});
export type FineTuningJobSample = z.infer<typeof FineTuningJobSample>;
export const FineTuningJobSampleList = listOf(FineTuningJobSample);
export type FineTuningJobSampleList = z.infer<typeof FineTuningJobSampleList>;
