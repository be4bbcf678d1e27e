import { type Database, deleteFile, FileInUseError, listExpiredFiles } from '@polymode/db';
import type { Storage } from '@polymode/storage';
import type { Logger } from '@polymode/telemetry';

const BATCH = 100;

/** Deletes the bytes of files past their expiry, which readers no longer see. Those that a job still needs wait for it. */
export async function deleteExpiredFiles(db: Database, storage: Storage): Promise<string[]> {
  const deleted: string[] = [];
  for (const { id } of await listExpiredFiles(db, BATCH)) {
    try {
      const file = await deleteFile(db, id);
      if (!file) continue;
      await storage.delete(file.storageKey);
      deleted.push(id);
    } catch (error) {
      if (!(error instanceof FileInUseError)) throw error;
    }
  }
  return deleted;
}

/** Does so now and then again and again. @returns ends it, after the run under way */
export function startExpiry(db: Database, storage: Storage, logger: Logger, intervalMs = 600_000): () => Promise<void> {
  let running = Promise.resolve();
  const run = () => {
    running = deleteExpiredFiles(db, storage).then(
      (fileIds) => {
        if (fileIds.length > 0) logger.info({ fileIds }, 'deleted expired files');
      },
      (err) => logger.warn({ err }, 'could not delete expired files'),
    );
  };
  run();
  const timer = setInterval(run, intervalMs);
  return () => {
    clearInterval(timer);
    return running;
  };
}
