import {
  anyProject,
  type Database,
  deleteFile,
  FileInUseError,
  forgetCheckpointFiles,
  listDeletedCheckpoints,
  listEndedUploads,
  listExpiredFiles,
  markUploadCleared,
} from '@polymode/db';
import type { Storage } from '@polymode/storage';
import type { Logger } from '@polymode/telemetry';

/** Items that one run takes on of each kind. */
const BATCH = 100;

/** Deletes the bytes of files past their expiry, which readers no longer see. Those that a job still needs wait for it. */
export async function deleteExpiredFiles(db: Database, storage: Storage): Promise<string[]> {
  const deleted: string[] = [];
  for (const { id } of await listExpiredFiles(db, BATCH)) {
    try {
      const file = await deleteFile(db, anyProject, id);
      if (!file) continue;
      await storage.delete(file.storageKey);
      deleted.push(id);
    } catch (error) {
      if (!(error instanceof FileInUseError)) throw error;
    }
  }
  return deleted;
}

/** Deletes the files of checkpoints that were deleted. */
export async function deleteCheckpointFiles(db: Database, storage: Storage): Promise<string[]> {
  const deleted: string[] = [];
  for (const { id, files } of await listDeletedCheckpoints(db, BATCH)) {
    for (const { storageKey } of files) await storage.delete(storageKey);
    await forgetCheckpointFiles(db, id);
    deleted.push(id);
  }
  return deleted;
}

/** Deletes the parts of uploads that were completed, cancelled or left lying. */
export async function deleteUploadParts(db: Database, storage: Storage): Promise<string[]> {
  const deleted: string[] = [];
  for (const { id, storageKeys } of await listEndedUploads(db, BATCH)) {
    for (const storageKey of storageKeys) await storage.delete(storageKey);
    await markUploadCleared(db, id);
    deleted.push(id);
  }
  return deleted;
}

/** Does all that now and then again and again. @returns ends it, after the run under way */
export function startHousekeeping(
  db: Database,
  storage: Storage,
  logger: Logger,
  intervalMs = 600_000,
): () => Promise<void> {
  const chores = { files: deleteExpiredFiles, checkpoints: deleteCheckpointFiles, uploads: deleteUploadParts };
  let running = Promise.resolve();
  const run = async () => {
    for (const [kind, chore] of Object.entries(chores)) {
      try {
        const ids = await chore(db, storage);
        if (ids.length > 0) logger.info({ kind, ids }, 'deleted what nobody needs any more');
      } catch (err) {
        logger.warn({ kind, err }, 'housekeeping failed');
      }
    }
  };
  const start = () => {
    running = running.then(run);
  };
  start();
  const timer = setInterval(start, intervalMs);
  return () => {
    clearInterval(timer);
    return running;
  };
}
