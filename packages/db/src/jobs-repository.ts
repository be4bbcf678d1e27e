import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import { type Database, type JsonObject, Prisma, toJson } from './client.js';
import { CheckpointMissingError, FileMissingError, UnknownCursorError } from './errors.js';
import { insertEvents, insertEventsOn, type NewEvent } from './events-repository.js';
import type { FineTuningJob, JobStatus } from './generated/client.js';
import { lockLeasedJob } from './leases.js';
import { type Page, type PageRequest, toPage } from './pagination.js';
import { anyProject, inProject, type ProjectScope } from './project-scope.js';
import { inTransaction, rowsOf, run } from './statements.js';
import { addWandbRuns } from './wandb-repository.js';
import { tellWebhooks } from './webhooks-repository.js';

export interface JobError {
  code: string;
  message: string;
  param: string | null;
}

export interface JobRecord {
  id: string;
  projectId: string;
  status: JobStatus;
  /** As the request named it: a base model, a fine-tuned one or a checkpoint. */
  model: string;
  /** The base model under it. */
  baseModel: string;
  /** The checkpoint that training starts from; null: from the base model. */
  startCheckpointId: string | null;
  /** sha256 of the request that carried an idempotency key. */
  requestHash: string | null;
  fineTunedModel: string | null;
  organizationId: string;
  suffix: string | null;
  trainingFileId: string;
  validationFileId: string | null;
  resultFiles: string[];
  method: JsonObject;
  seed: number;
  metadata: Record<string, string> | null;
  /** Whom its figures are sent to. */
  integrations: JsonObject[] | null;
  error: JobError | null;
  trainedTokens: number | null;
  createdAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
  /** When the job will probably have ended, as of its last step. */
  estimatedFinishAt: Date | null;
  leaseOwner: string | null;
  leaseExpiresAt: Date | null;
  /** Times that a worker took the job up since its last recorded step. */
  attempts: number;
}

export interface NewJob {
  id: string;
  projectId: string;
  model: string;
  /** @defaultValue `model` */
  baseModel?: string;
  startCheckpointId?: string | null;
  requestHash?: string | null;
  organizationId: string;
  suffix?: string | null;
  trainingFileId: string;
  validationFileId?: string | null;
  method: JsonObject;
  seed: number;
  metadata?: Record<string, string> | null;
  integrations?: JsonObject[] | null;
  /** @defaultValue 'queued' */
  status?: 'validating_files' | 'queued';
}

/**
 * Creates a job and its first events together. The same id again changes nothing, so a replayed request is harmless.
 *
 * @returns the job, and whether this call made it
 * @throws FileMissingError when one of its files does not exist, was deleted or has expired
 * @throws CheckpointMissingError when the checkpoint to start from was deleted
 */
export async function createJob(
  db: Database,
  job: NewJob,
  events: NewEvent[],
): Promise<{ job: JobRecord; created: boolean }> {
  try {
    return await inTransaction(db, async (connection) => {
      await lockFile(connection, job.trainingFileId, 'training_file');
      if (job.validationFileId) await lockFile(connection, job.validationFileId, 'validation_file');
      if (job.startCheckpointId) await lockCheckpoint(connection, job.startCheckpointId);
      const [made] = await run(connection, INSERT_JOB, [
        job.id,
        job.projectId,
        job.status ?? 'queued',
        job.model,
        job.baseModel ?? job.model,
        job.startCheckpointId ?? null,
        job.requestHash ?? null,
        job.organizationId,
        job.suffix ?? null,
        job.trainingFileId,
        job.validationFileId ?? null,
        JSON.stringify(job.method),
        job.seed,
        job.metadata ? JSON.stringify(job.metadata) : null,
        job.integrations ? JSON.stringify(job.integrations) : null,
      ]);
      if (!made) throw new JobExists();
      await insertEventsOn(connection, job.id, events);
      if (job.integrations) await addWandbRuns(connection, job.id, job.integrations.length);
      return { job: made, created: true };
    });
  } catch (error) {
    // What was made before stays as it was made, whatever became of its files.
    const [existing] = await run(db, JOB, [job.id, null]);
    if (!existing) throw error;
    return { job: existing, created: false };
  }
}

/** Ends a transaction that has nothing to do. */
class JobExists extends Error {}

const JOB_COLUMNS = `
  id, project_id AS "projectId", status::text AS status, model, base_model AS "baseModel",
  start_checkpoint_id AS "startCheckpointId", request_hash AS "requestHash", fine_tuned_model AS "fineTunedModel",
  organization_id AS "organizationId", suffix, training_file_id AS "trainingFileId",
  validation_file_id AS "validationFileId", result_files AS "resultFiles", method, seed::float8 AS seed,
  metadata, integrations, error, trained_tokens::float8 AS "trainedTokens", created_at AS "createdAt", started_at AS "startedAt",
  finished_at AS "finishedAt", estimated_finish_at AS "estimatedFinishAt", lease_owner AS "leaseOwner",
  lease_expires_at AS "leaseExpiresAt", attempts`;

const JOB_TIMES = ['createdAt', 'startedAt', 'finishedAt', 'estimatedFinishAt', 'leaseExpiresAt'] as const;

const JOB = rowsOf<JobRecord>(
  'job',
  `SELECT ${JOB_COLUMNS} FROM fine_tuning_jobs WHERE id = $1 AND ($2::text IS NULL OR project_id = $2)`,
  JOB_TIMES,
);

const INSERT_JOB = rowsOf<JobRecord>(
  'insert job',
  `
    INSERT INTO fine_tuning_jobs (id, project_id, status, model, base_model, start_checkpoint_id, request_hash,
      organization_id, suffix, training_file_id, validation_file_id, method, seed, metadata, integrations)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
    ON CONFLICT (id) DO NOTHING RETURNING ${JOB_COLUMNS}`,
  JOB_TIMES,
);

/** The job, or null when the project has none of that id. */
export async function getJob(db: Database, scope: ProjectScope, id: string): Promise<JobRecord | null> {
  const [job] = await run(db, JOB, [id, scope === anyProject ? null : scope]);
  return job ?? null;
}

/** Whether the project has a job of that id. */
export async function hasJob(db: Database, scope: ProjectScope, id: string): Promise<boolean> {
  return (await run(db, JOB_ID, [id, scope === anyProject ? null : scope])).length > 0;
}

const JOB_ID = rowsOf<{ id: string }>(
  'job id',
  'SELECT id FROM fine_tuning_jobs WHERE id = $1 AND ($2::text IS NULL OR project_id = $2)',
);

export interface ListJobs extends PageRequest {
  /** Jobs whose metadata has all these pairs; null: jobs without metadata. @defaultValue all jobs */
  metadata?: Record<string, string> | null | undefined;
}

/** Newest first. */
export async function listJobs(db: Database, projectId: string, request: ListJobs): Promise<Page<JobRecord>> {
  const where: Prisma.FineTuningJobWhereInput[] = [{ projectId }];
  if (request.after !== undefined) {
    const cursor = await db.fineTuningJob.findFirst({
      where: { id: request.after, projectId },
      select: { seq: true },
    });
    if (!cursor) throw new UnknownCursorError(request.after);
    where.push({ seq: { lt: cursor.seq } });
  }
  if (request.metadata === null) where.push({ metadata: { equals: Prisma.DbNull } });
  for (const [key, value] of Object.entries(request.metadata ?? {})) {
    where.push({ metadata: { path: [key], equals: value } });
  }
  const rows = await db.fineTuningJob.findMany({
    where: { AND: where },
    orderBy: { seq: 'desc' },
    take: request.limit + 1,
  });
  return toPage(rows, request.limit, toJobRecord);
}

/**
 * Ids that a queue should hold, oldest first: queued jobs, and running ones whose worker let its lease run out.
 * A job that a live worker holds is not among them.
 */
export async function listRunnableJobIds(db: Database): Promise<string[]> {
  const rows = await db.$queryRaw<{ id: string }[]>`
    SELECT id FROM fine_tuning_jobs
    WHERE status IN ('queued', 'running') AND (lease_expires_at IS NULL OR lease_expires_at <= clock_timestamp())
    ORDER BY seq`;
  return rows.map((row) => row.id);
}

/** `validating_files` to `queued`. @returns the job, or null when it was not in that state */
export async function markQueued(db: Database, id: string, events: NewEvent[]): Promise<JobRecord | null> {
  return db.$transaction(async (tx) => {
    const { count } = await tx.fineTuningJob.updateMany({
      where: { id, status: 'validating_files' },
      data: { status: 'queued' },
    });
    if (count === 0) return null;
    await insertEvents(tx, id, events);
    return toJobRecord(await tx.fineTuningJob.findUniqueOrThrow({ where: { id } }));
  });
}

/**
 * Takes a queued or running job for one worker, if no other holds it. The database's clock decides.
 * Taking again by the same owner prolongs.
 *
 * @param owner unique to this run of the worker process
 * @param ttlMs milliseconds until the lease runs out unless it is renewed
 * @returns the job, or null when another worker holds it or it is not to be run
 */
export async function acquireLease(
  db: Database,
  jobId: string,
  owner: string,
  ttlMs: number,
): Promise<JobRecord | null> {
  const count = await db.$executeRaw`
    UPDATE fine_tuning_jobs
    SET lease_owner = ${owner},
        lease_expires_at = clock_timestamp() + ${ttlMs}::float8 * interval '1 millisecond',
        attempts = attempts + 1
    WHERE id = ${jobId} AND status IN ('queued', 'running')
      AND (lease_owner IS NULL OR lease_owner = ${owner} OR lease_expires_at <= clock_timestamp())`;
  if (count === 0) return null;
  const job = await getJob(db, anyProject, jobId);
  return job?.leaseOwner === owner ? job : null;
}

/**
 * Prolongs a lease. Works for one that ran out, as long as nobody else took the job.
 *
 * @returns the job's status now (`cancelled` tells the worker to stop), or null when the lease is another's
 */
export async function renewLease(db: Database, jobId: string, owner: string, ttlMs: number): Promise<JobStatus | null> {
  const [row] = await db.$queryRaw<{ status: JobStatus }[]>`
    UPDATE fine_tuning_jobs
    SET lease_expires_at = clock_timestamp() + ${ttlMs}::float8 * interval '1 millisecond'
    WHERE id = ${jobId} AND lease_owner = ${owner}
    RETURNING status::text AS status`;
  return row?.status ?? null;
}

/** Gives the job back, so that another worker can take it at once. Nothing happens when the lease is another's. */
export async function releaseLease(db: Database, jobId: string, owner: string): Promise<void> {
  await db.fineTuningJob.updateMany({
    where: { id: jobId, leaseOwner: owner },
    data: { leaseOwner: null, leaseExpiresAt: null },
  });
}

/**
 * `queued` to `running`, or nothing for a job that runs already (a resumed one).
 *
 * @throws LeaseLostError when `owner` does not hold the job or it is not to be run
 */
export async function markRunning(db: Database, jobId: string, owner: string, events: NewEvent[]): Promise<JobRecord> {
  return db.$transaction(async (tx) => {
    const status = await lockLeasedJob(tx, jobId, owner, ['queued', 'running']);
    if (status === 'queued') {
      await tx.fineTuningJob.update({ where: { id: jobId }, data: { status: 'running', startedAt: new Date() } });
    }
    await insertEvents(tx, jobId, events);
    return toJobRecord(await tx.fineTuningJob.findUniqueOrThrow({ where: { id: jobId } }));
  });
}

export interface JobResult {
  fineTunedModel: string;
  trainedTokens: number;
  resultFiles: string[];
}

/**
 * `running` to `succeeded`; the lease ends with it.
 *
 * @throws LeaseLostError when `owner` does not hold the job or it is not running (for instance because it was cancelled)
 */
export async function succeedJob(
  db: Database,
  jobId: string,
  owner: string,
  result: JobResult,
  events: NewEvent[],
): Promise<JobRecord> {
  return db.$transaction(async (tx) => {
    await lockLeasedJob(tx, jobId, owner);
    const row = await tx.fineTuningJob.update({
      where: { id: jobId },
      data: { ...result, trainedTokens: BigInt(result.trainedTokens), status: 'succeeded', ...finished() },
    });
    await insertEvents(tx, jobId, events);
    await tellWebhooks(tx, row, 'fine_tuning.job.succeeded');
    return toJobRecord(row);
  });
}

/**
 * To `failed`, from any state that is not final; the lease ends with it.
 *
 * @param owner the worker that holds the job, or null for whoever validates files before the job is queued
 * @throws LeaseLostError when `owner` does not hold the job, or the job has ended
 */
export async function failJob(
  db: Database,
  jobId: string,
  owner: string | null,
  error: JobError,
  events: NewEvent[],
): Promise<JobRecord> {
  return db.$transaction(async (tx) => {
    if (owner === null) {
      const { count } = await tx.fineTuningJob.updateMany({
        where: { id: jobId, status: 'validating_files' },
        data: { status: 'failed' },
      });
      if (count === 0) await lockLeasedJob(tx, jobId, 'nobody');
    } else {
      await lockLeasedJob(tx, jobId, owner, ['queued', 'running']);
    }
    const row = await tx.fineTuningJob.update({
      where: { id: jobId },
      data: { status: 'failed', error: toJson({ ...error }), ...finished() },
    });
    await insertEvents(tx, jobId, events);
    await tellWebhooks(tx, row, 'fine_tuning.job.failed');
    return toJobRecord(row);
  });
}

/**
 * To `cancelled`, from any state that is not final. The worker sees it at its next step and writes nothing more.
 *
 * @returns the job as it is now and whether this call cancelled it; null when the project has none
 */
export async function cancelJob(
  db: Database,
  scope: ProjectScope,
  jobId: string,
  events: NewEvent[],
): Promise<{ job: JobRecord; cancelled: boolean } | null> {
  return db.$transaction(async (tx) => {
    const there = { id: jobId, ...inProject(scope) };
    const { count } = await tx.fineTuningJob.updateMany({
      where: { ...there, status: { in: ['validating_files', 'queued', 'running', 'paused'] } },
      data: { status: 'cancelled', finishedAt: new Date() },
    });
    const row = await tx.fineTuningJob.findFirst({ where: there });
    if (row && count === 1) {
      await insertEvents(tx, jobId, events);
      await tellWebhooks(tx, row, 'fine_tuning.job.cancelled');
    }
    return row && { job: toJobRecord(row), cancelled: count === 1 };
  });
}

/**
 * `queued` or `running` to `paused`. The worker sees it at its next step, saves a checkpoint and hands the job back.
 *
 * @returns the job as it is now and whether this call paused it; null when the project has none
 */
export async function pauseJob(
  db: Database,
  scope: ProjectScope,
  jobId: string,
  event: Omit<NewEvent, 'dedupeKey'>,
): Promise<{ job: JobRecord; changed: boolean } | null> {
  return turn(db, scope, jobId, event, (tx) =>
    tx.fineTuningJob.updateMany({
      where: { id: jobId, ...inProject(scope), status: { in: ['queued', 'running'] } },
      data: { status: 'paused', estimatedFinishAt: null },
    }),
  );
}

/**
 * `paused` to `queued`, for a worker to take it up where it was saved last; or to `running` while a worker still holds it.
 *
 * @returns the job as it is now and whether this call resumed it; null when the project has none
 */
export async function resumeJob(
  db: Database,
  scope: ProjectScope,
  jobId: string,
  event: Omit<NewEvent, 'dedupeKey'>,
): Promise<{ job: JobRecord; changed: boolean } | null> {
  return turn(db, scope, jobId, event, async (tx) => {
    const there = { id: jobId, ...inProject(scope), status: 'paused' } as const;
    const data = { attempts: 0 };
    const held = await tx.fineTuningJob.updateMany({
      where: { ...there, leaseExpiresAt: { gt: new Date() }, startedAt: { not: null } },
      data: { ...data, status: 'running' },
    });
    if (held.count === 1) return held;
    return tx.fineTuningJob.updateMany({ where: there, data: { ...data, status: 'queued' } });
  });
}

async function turn(
  db: Database,
  scope: ProjectScope,
  jobId: string,
  event: Omit<NewEvent, 'dedupeKey'>,
  change: (tx: Prisma.TransactionClient) => Promise<{ count: number }>,
): Promise<{ job: JobRecord; changed: boolean } | null> {
  return db.$transaction(async (tx) => {
    const { count } = await change(tx);
    // A job may be paused any number of times, and each is told.
    if (count === 1) await insertEvents(tx, jobId, [{ ...event, dedupeKey: `turn:${randomUUID()}` }]);
    const row = await tx.fineTuningJob.findFirst({ where: { id: jobId, ...inProject(scope) } });
    return row && { job: toJobRecord(row), changed: count === 1 };
  });
}

function finished(): { finishedAt: Date; leaseOwner: null; leaseExpiresAt: null } {
  return { finishedAt: new Date(), leaseOwner: null, leaseExpiresAt: null };
}

async function lockFile(
  connection: PoolClient,
  fileId: string,
  param: 'training_file' | 'validation_file',
): Promise<void> {
  const rows = await run(connection, LOCK_FILE, [fileId]);
  if (rows.length === 0) throw new FileMissingError(fileId, param);
}

/** FOR SHARE waits for a deletion under way and holds off later ones until the job exists. */
const LOCK_FILE = rowsOf<{ id: string }>(
  'lock file',
  `
    SELECT id FROM files
    WHERE id = $1 AND deleted_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
    FOR SHARE`,
);

async function lockCheckpoint(connection: PoolClient, checkpointId: string): Promise<void> {
  const rows = await run(connection, LOCK_CHECKPOINT, [checkpointId]);
  if (rows.length === 0) throw new CheckpointMissingError(checkpointId);
}

const LOCK_CHECKPOINT = rowsOf<{ id: string }>(
  'lock checkpoint',
  'SELECT id FROM checkpoints WHERE id = $1 AND deleted_at IS NULL FOR SHARE',
);

function toJobRecord(row: FineTuningJob): JobRecord {
  const { seq: _seq, modelDeletedAt: _modelDeletedAt, ...job } = row;
  return {
    ...job,
    method: row.method as JsonObject,
    seed: Number(row.seed),
    metadata: row.metadata as Record<string, string> | null,
    integrations: row.integrations as JsonObject[] | null,
    error: row.error as JobError | null,
    trainedTokens: row.trainedTokens === null ? null : Number(row.trainedTokens),
  };
}
