import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { checkpointModelName } from '@polymode/contracts';
import {
  type CheckpointFileRecord,
  type CheckpointRecord,
  type Database,
  forgetResumeSnapshots,
  type JobRecord,
  recordCheckpoint,
} from '@polymode/db';
import type { Storage } from '@polymode/storage';
import type { SnapshotFile } from '@polymode/trainer';
import { checkpointEvent } from './job-events.js';

/** Lists the path, size and sha256 of every other file of a checkpoint. */
export const MANIFEST = 'manifest.json';

export interface WriteOptions {
  readonly step: number;
  /** shown by the API, rather than kept only to resume from */
  readonly announced: boolean;
  readonly metrics: Record<string, number>;
}

/**
 * Stores a snapshot's files, and records the checkpoint when all are durable: a crash in between leaves bytes that the
 * same step will write again, and no checkpoint. Earlier snapshots that served only to resume from go afterwards.
 *
 * @throws LeaseLostError when the job is no longer ours
 */
export async function writeCheckpoint(
  db: Database,
  storage: Storage,
  job: JobRecord,
  owner: string,
  files: readonly SnapshotFile[],
  { step, announced, metrics }: WriteOptions,
): Promise<CheckpointRecord> {
  const records: CheckpointFileRecord[] = [];
  for (const { path, bytes } of [...files, manifestOf(files)]) {
    const storageKey = `jobs/${job.id}/checkpoints/step-${step}/${path}`;
    const stored = await storage.put(storageKey, bytes);
    records.push({ path, bytes: stored.bytes, sha256: stored.sha256, storageKey });
  }
  const modelName = checkpointModelName(job, step);
  const checkpoint = await recordCheckpoint(db, {
    jobId: job.id,
    owner,
    step,
    modelName,
    metrics,
    announced,
    files: records,
    events: announced ? [checkpointEvent(step, modelName)] : [],
  });
  for (const old of await forgetResumeSnapshots(db, job.id, step)) {
    for (const file of old.files) await storage.delete(file.storageKey);
  }
  return checkpoint;
}

/** Equal files give an equal manifest: it names no job and no time. */
function manifestOf(files: readonly SnapshotFile[]): SnapshotFile {
  const entries = files.map(({ path, bytes }) => ({
    path,
    bytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
  }));
  const json = JSON.stringify({ format: 1, files: entries }, null, 2);
  return { path: MANIFEST, bytes: new TextEncoder().encode(`${json}\n`) };
}

/** The files of a checkpoint that a trainer resumes from. @throws Error naming a file whose bytes have changed */
export async function readCheckpoint(storage: Storage, checkpoint: CheckpointRecord): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const { path, sha256, storageKey } of checkpoint.files) {
    if (path === MANIFEST) continue;
    const bytes = await buffer(await storage.get(storageKey));
    if (createHash('sha256').update(bytes).digest('hex') !== sha256) {
      throw new Error(`checkpoint ${checkpoint.id} is damaged: ${path} no longer has the sha256 it was stored with`);
    }
    files.set(path, bytes);
  }
  return files;
}
