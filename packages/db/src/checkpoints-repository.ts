import { createHash } from 'node:crypto';
import { type Database, type JsonObject, toJson } from './client.js';
import { UnknownCursorError } from './errors.js';
import { insertEvents, type NewEvent } from './events-repository.js';
import type { Checkpoint, CheckpointFile } from './generated/client.js';
import { lockLeasedJob } from './leases.js';
import { type Page, type PageRequest, toPage } from './pagination.js';

export interface CheckpointFileRecord {
  /** Path inside the checkpoint, such as `model/config.json`. */
  path: string;
  bytes: number;
  sha256: string;
  storageKey: string;
}

export interface CheckpointRecord {
  id: string;
  jobId: string;
  step: number;
  modelName: string;
  metrics: JsonObject;
  /** true: the API shows it. false: kept only to resume from. */
  announced: boolean;
  createdAt: Date;
  /** Sorted by path. */
  files: CheckpointFileRecord[];
}

export interface NewCheckpoint {
  jobId: string;
  /** The worker that holds the job. */
  owner: string;
  step: number;
  modelName: string;
  metrics: JsonObject;
  announced: boolean;
  /** All of them, already durable in storage. */
  files: CheckpointFileRecord[];
  events: NewEvent[];
}

/** The id that a job's checkpoint at a step has, in every replay. */
export function checkpointId(jobId: string, step: number): string {
  return `ftckpt_${createHash('sha256').update(`${jobId}\n${step}`).digest('hex').slice(0, 24)}`;
}

/**
 * Records a checkpoint, its files and events together. A checkpoint that exists keeps its files; it becomes announced when
 * this call announces it.
 *
 * @throws LeaseLostError when `owner` does not hold the job or it neither runs nor was paused; nothing is recorded then
 */
export async function recordCheckpoint(db: Database, checkpoint: NewCheckpoint): Promise<CheckpointRecord> {
  const id = checkpointId(checkpoint.jobId, checkpoint.step);
  return db.$transaction(async (tx) => {
    // Pausing asks for one more checkpoint.
    await lockLeasedJob(tx, checkpoint.jobId, checkpoint.owner, ['running', 'paused']);
    await tx.checkpoint.createMany({
      data: [
        {
          id,
          jobId: checkpoint.jobId,
          step: checkpoint.step,
          modelName: checkpoint.modelName,
          metrics: toJson(checkpoint.metrics),
          announced: checkpoint.announced,
        },
      ],
      skipDuplicates: true,
    });
    await tx.checkpointFile.createMany({
      data: checkpoint.files.map((file) => ({ ...file, checkpointId: id, bytes: BigInt(file.bytes) })),
      skipDuplicates: true,
    });
    if (checkpoint.announced) {
      await tx.checkpoint.updateMany({
        where: { id, announced: false },
        data: { announced: true, metrics: toJson(checkpoint.metrics) },
      });
    }
    await insertEvents(tx, checkpoint.jobId, checkpoint.events);
    return toCheckpointRecord(await tx.checkpoint.findUniqueOrThrow({ where: { id }, include: withFiles }));
  });
}

/** A checkpoint of that job, announced or not; null when there is none. */
export async function getCheckpoint(db: Database, jobId: string, id: string): Promise<CheckpointRecord | null> {
  const row = await db.checkpoint.findFirst({ where: { id, jobId, deletedAt: null }, include: withFiles });
  return row && toCheckpointRecord(row);
}

/** A checkpoint of any job, for those who may use it; null when it was deleted. */
export async function findCheckpoint(db: Database, id: string): Promise<CheckpointRecord | null> {
  const row = await db.checkpoint.findFirst({ where: { id, deletedAt: null }, include: withFiles });
  return row && toCheckpointRecord(row);
}

/** The one to resume from: the largest step, announced or not; null before the first. */
export async function latestCheckpoint(db: Database, jobId: string): Promise<CheckpointRecord | null> {
  const row = await db.checkpoint.findFirst({
    where: { jobId, deletedAt: null },
    orderBy: { step: 'desc' },
    include: withFiles,
  });
  return row && toCheckpointRecord(row);
}

/** Announced checkpoints of a job, newest first. */
export async function listCheckpoints(
  db: Database,
  jobId: string,
  request: PageRequest,
): Promise<Page<CheckpointRecord>> {
  let before: number | undefined;
  if (request.after !== undefined) {
    const cursor = await db.checkpoint.findFirst({ where: { id: request.after, jobId }, select: { step: true } });
    if (!cursor) throw new UnknownCursorError(request.after);
    before = cursor.step;
  }
  // A job's steps only grow, so the newest checkpoint is the one of the largest step.
  const rows = await db.checkpoint.findMany({
    where: { jobId, announced: true, deletedAt: null, ...(before === undefined ? {} : { step: { lt: before } }) },
    orderBy: { step: 'desc' },
    take: request.limit + 1,
    include: withFiles,
  });
  return toPage(rows, request.limit, toCheckpointRecord);
}

/**
 * Forgets the resume snapshots of a job that a later checkpoint has made needless.
 *
 * @param beforeStep those of smaller steps go
 * @returns what was forgotten; the caller then deletes their bytes
 */
export async function forgetResumeSnapshots(
  db: Database,
  jobId: string,
  beforeStep: number,
): Promise<CheckpointRecord[]> {
  return db.$transaction(async (tx) => {
    const where = { jobId, announced: false, step: { lt: beforeStep } };
    const rows = await tx.checkpoint.findMany({ where, include: withFiles, orderBy: { step: 'asc' } });
    await tx.checkpoint.deleteMany({ where: { id: { in: rows.map((row) => row.id) }, announced: false } });
    return rows.map(toCheckpointRecord);
  });
}

export const withFiles = { files: { orderBy: { path: 'asc' } } } as const;

export function toCheckpointRecord(row: Checkpoint & { files: CheckpointFile[] }): CheckpointRecord {
  return {
    id: row.id,
    jobId: row.jobId,
    step: row.step,
    modelName: row.modelName,
    metrics: row.metrics as JsonObject,
    announced: row.announced,
    createdAt: row.createdAt,
    files: row.files.map(({ path, bytes, sha256, storageKey }) => ({ path, bytes: Number(bytes), sha256, storageKey })),
  };
}
