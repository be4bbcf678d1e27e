import type { Database } from '@polymode/db';
import type { JobQueue } from '@polymode/queue';
import type { Storage } from '@polymode/storage';
import type { Logger } from '@polymode/telemetry';
import type { GraderServices } from '@polymode/verifiers';
import type { ModelAliases } from './base-models.js';

/** A model that jobs can start from. */
export interface BaseModel {
  id: string;
  /** Seconds since 1970. */
  createdAt: number;
}

/** What the API is made of. Whoever opened them closes them, after the server. */
export interface ApiDependencies {
  db: Database;
  storage: Storage;
  queue: Pick<JobQueue, 'enqueue' | 'enqueueNew'>;
  logger: Logger;
  /** Base models as they are now. */
  listBaseModels(): BaseModel[];
  /** Names that stand for them. @defaultValue none */
  modelAliases?: ModelAliases | undefined;
  /** How many parameters a base model has; undefined when its files do not tell. */
  parameterCount(model: string): Promise<number | undefined>;
  /** Texts that no row may hold which a base model is trained on; none when its files do not tell. */
  specialTokens(model: string): Promise<readonly string[]>;
  /** What graders need: judges, sandboxes. */
  graderServices: GraderServices;
  /** Rows that supervised and preference jobs need at least. @defaultValue 10, as OpenAI's */
  minimumExamples?: number;
  /** Largest file that can be uploaded. @defaultValue 512 MiB */
  maxUploadBytes?: number | undefined;
  /** That each key may make which has no number of its own. @defaultValue 0, for no limit */
  requestsPerMinute?: number | undefined;
  /** Of completions, that each key may have which has no number of its own. @defaultValue 0, for no limit */
  tokensPerMinute?: number | undefined;
  /** Private hosts and networks that webhooks may go to. @defaultValue none */
  webhookAllow?: readonly string[] | undefined;
  /** Whether jobs may be sent to Weights & Biases: the operator has set a key. @defaultValue false */
  wandb?: boolean | undefined;
  /** Compare every JSON answer with its contract first: for tests. @defaultValue false */
  checkResponses?: boolean | undefined;
}
