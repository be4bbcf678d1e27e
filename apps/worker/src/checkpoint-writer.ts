import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
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
import type { ExportFormat, ExportReport, Trainer } from '@polymode/trainer';
import { checkpointEvent, exportWarnings } from './job-events.js';

/** Lists every other file of a checkpoint with size and sha256, and says how exactly each format reads back. */
export const MANIFEST = 'manifest.json';
/** Where in a checkpoint the files are that a job is resumed from. */
const STATE = 'state/';

export interface WriteOptions {
  readonly step: number;
  /** shown by the API, and written in these formats; null for one that is kept only to resume from */
  readonly announced: { readonly formats: readonly ExportFormat[]; readonly ggufType: 'F16' | 'Q8_0' } | null;
  readonly metrics: Record<string, number>;
  /** a folder for files on their way; what is in it goes */
  readonly scratch: string;
}

/**
 * Stores where a job stands, and records the checkpoint when all of it is durable: a crash in between leaves bytes that the
 * same step will write again, and no checkpoint. Formats are read back before they are stored. Earlier snapshots that served
 * only to resume from go afterwards.
 *
 * @throws LeaseLostError when the job is no longer ours
 * @throws ExportError when a format does not read back as the policy
 */
export async function writeCheckpoint(
  db: Database,
  storage: Storage,
  job: JobRecord,
  owner: string,
  trainer: Trainer,
  { step, announced, metrics, scratch }: WriteOptions,
): Promise<CheckpointRecord> {
  const records: CheckpointFileRecord[] = [];
  const put = async (path: string, data: AsyncIterable<Uint8Array>): Promise<void> => {
    const storageKey = `jobs/${job.id}/checkpoints/step-${step}/${path}`;
    const stored = await storage.put(storageKey, data);
    records.push({ path, bytes: stored.bytes, sha256: stored.sha256, storageKey });
  };
  for (const file of trainer.snapshot()) await put(file.path, file.chunks());
  const exports: ExportReport[] = [];
  for (const format of announced?.formats ?? []) {
    const folder = join(scratch, job.id);
    try {
      const report = await trainer.export(folder, { format, ggufType: announced!.ggufType });
      for (const path of report.paths) await put(path, createReadStream(join(folder, path)));
      exports.push(report);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  await put(MANIFEST, Readable.from([manifestOf(records, exports)]));
  const modelName = checkpointModelName(job, step);
  const checkpoint = await recordCheckpoint(db, {
    jobId: job.id,
    owner,
    step,
    modelName,
    metrics,
    announced: announced !== null,
    files: records,
    events: announced === null ? [] : [checkpointEvent(step, modelName), ...exportWarnings(exports)],
  });
  for (const old of await forgetResumeSnapshots(db, job.id, step)) {
    for (const file of old.files) await storage.delete(file.storageKey);
  }
  return checkpoint;
}

/** Equal files give an equal manifest: it names no job and no time. */
function manifestOf(records: readonly CheckpointFileRecord[], exports: readonly ExportReport[]): Uint8Array {
  const json = JSON.stringify(
    {
      format: 1,
      files: records.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 })),
      exports: exports.map(({ format, largestDifference, spread, warnings }) => ({
        format,
        // of the logits of a prompt, read back, from the trainer's own; and how far those lie apart
        largest_logit_difference: largestDifference,
        logit_spread: spread,
        warnings,
      })),
    },
    null,
    2,
  );
  return new TextEncoder().encode(`${json}\n`);
}

/** The files of a checkpoint that a trainer resumes from. @throws Error naming a file whose bytes have changed */
export async function readCheckpoint(storage: Storage, checkpoint: CheckpointRecord): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const { path, sha256, storageKey } of checkpoint.files) {
    if (!path.startsWith(STATE)) continue;
    const bytes = await buffer(await storage.get(storageKey));
    if (createHash('sha256').update(bytes).digest('hex') !== sha256) {
      throw new Error(`checkpoint ${checkpoint.id} is damaged: ${path} no longer has the sha256 it was stored with`);
    }
    files.set(path, bytes);
  }
  return files;
}
