import { hyperparametersOf, type ResolvedMethod, type WandbIntegration } from '@polymode/contracts';
import type { JobRecord, StepRecord } from '@polymode/db';
import type { NewRun } from './client.js';

/** What Weights & Biases is told of a job, made from the database alone, so that saying it again says the same. */

/** Longer tags are refused. */
const TAG_LENGTH = 64;

/** @param index place among the job's integrations, which may have the same project */
export function runId(jobId: string, index: number): string {
  return index === 0 ? jobId : `${jobId}-${index + 1}`;
}

export function newRun(job: JobRecord, index: number, defaultEntity: string | null): NewRun {
  const { project, name, entity, tags = [] } = (job.integrations![index] as WandbIntegration).wandb;
  const ours = ['finetune', job.baseModel, job.id].map((tag) => `polymode/${tag}`.slice(0, TAG_LENGTH));
  return {
    id: runId(job.id, index),
    project,
    entity: entity ?? defaultEntity,
    displayName: name ?? job.id,
    tags: [...new Set([...ours, ...tags])],
    config: configOf(job),
  };
}

/** Without the grader, whose definition may hold headers and keys of other servers. */
function configOf(job: JobRecord): Record<string, unknown> {
  const method = job.method as unknown as ResolvedMethod;
  return {
    job_id: job.id,
    model: job.model,
    base_model: job.baseModel,
    training_file: job.trainingFileId,
    validation_file: job.validationFileId,
    suffix: job.suffix,
    seed: job.seed,
    method: method.type,
    hyperparameters: hyperparametersOf(method),
    metadata: job.metadata,
  };
}

export interface HistoryLine {
  readonly _step: number;
  /** Seconds since 1970. */
  readonly _timestamp: number;
  /** Seconds since the job began. */
  readonly _runtime: number;
  readonly [figure: string]: unknown;
}

/** A step's line of the history, under the names that the columns of `GET …/metrics?format=csv` have. */
export function historyLine({ startedAt }: JobRecord, { step, metrics, createdAt }: StepRecord): HistoryLine {
  const at = createdAt.getTime() / 1000;
  const began = startedAt === null ? at : startedAt.getTime() / 1000;
  return { ...(measured(metrics) as object), _step: step, _timestamp: at, _runtime: at - began };
}

/** @param last line of the history */
export function summaryOf(job: JobRecord, last: HistoryLine | null): object {
  const { status, fineTunedModel, error } = job;
  const ran = last && { _wandb: { runtime: Math.round(last._runtime) } };
  return {
    ...last,
    ...ran,
    status,
    ...(fineTunedModel && { fine_tuned_model: fineTunedModel }),
    ...(error && { error }),
  };
}

/** What a process ends with that went well, failed, or was interrupted; undefined: it has not ended. */
export function exitCodeOf({ status }: JobRecord): number | undefined {
  switch (status) {
    case 'succeeded':
      return 0;
    case 'failed':
      return 1;
    case 'cancelled':
      return 255;
    default:
      return undefined;
  }
}

/** Without what was not measured. Charts are made of objects' members and not of lists', so lists become objects. */
function measured(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).filter(([, inner]) => inner !== null);
  return Object.fromEntries(members.map(([key, inner]) => [key, measured(inner)]));
}
