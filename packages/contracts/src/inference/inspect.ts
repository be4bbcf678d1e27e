import { z } from 'zod';
import { Lengths, MemoryReport } from '../dry-run.js';
import { ResolvedMethod } from '../fine-tuning-jobs.js';

/**
 * What the API asks the inference server of a worker about a job before there is one, for only workers read tokenizers and plan
 * memory: `POST {url}/inspect` with a bearer token and an {@link InspectRequest}. The answer is 200 and an
 * {@link InspectResponse}, or another status and a `GenerateFailure`. Closing the connection ends the work.
 */
export const InspectRequest = z.object({
  baseModel: z.string(),
  method: ResolvedMethod,
  /** Where the storage that both share has the rows. */
  trainingFile: z.object({ storageKey: z.string() }),
  validationFile: z.object({ storageKey: z.string() }).nullable(),
});
export type InspectRequest = z.infer<typeof InspectRequest>;

/** A file's rows in tokens of the model. */
export const InspectedRows = z.object({
  tokens: Lengths,
  /** Rows that do not fit the model's context with the completion that may follow. */
  beyondContext: z.int(),
  /** The first of those: lines, counted from 1, and their tokens. */
  longest: z.array(z.object({ line: z.int(), tokens: z.int() })),
});
export type InspectedRows = z.infer<typeof InspectedRows>;

export const InspectResponse = z.object({
  /** Tokens that a row may have: of a reinforcement row the prompt, of others everything. */
  rowTokens: z.int(),
  training: InspectedRows,
  validation: InspectedRows.nullable(),
  memory: MemoryReport,
  /** Why the job would not run here as it is, and what to change. */
  problems: z.array(z.string()),
});
export type InspectResponse = z.infer<typeof InspectResponse>;
