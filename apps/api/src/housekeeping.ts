import {
  anyProject,
  type Database,
  deleteFile,
  FileInUseError,
  forgetCheckpointFiles,
  forgetDeliveries,
  listDeletedCheckpoints,
  listEndedUploads,
  listExpiredFiles,
  markUploadCleared,
  pendingUploads,
  storedFileKeys,
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

/** Deletes the parts of uploads that were completed, cancelled or left lying, and parts that no upload knows after a crash. */
export async function deleteUploadParts(db: Database, storage: Storage): Promise<string[]> {
  const deleted: string[] = [];
  for (const id of await listEndedUploads(db, BATCH)) {
    await storage.deletePrefix(`uploads/${id}`);
    await markUploadCleared(db, id);
    deleted.push(id);
  }
  const stored = new Set<string>();
  for await (const key of storage.list('uploads')) stored.add(key.split('/')[1]!);
  const pending = await pendingUploads(db, [...stored]);
  for (const id of stored) {
    if (pending.has(id)) continue;
    await storage.deletePrefix(`uploads/${id}`);
    if (!deleted.includes(id)) deleted.push(id);
  }
  return deleted;
}

/** Milliseconds that bytes may lie before the database knows of them. */
const ORPHAN_MS = 24 * 3_600_000;

/**
 * Finds bytes that no file has: a process died between storing them and writing the file down, or between deleting the one
 * and the other. What was an orphan for long enough is deleted.
 */
export function orphanDeleter(orphanMs = ORPHAN_MS): Chore {
  let since = new Map<string, number>();
  return async (db, storage) => {
    const keys: string[] = [];
    for await (const key of storage.list('files')) keys.push(key);
    const now = Date.now();
    const orphans = new Map<string, number>();
    for (let at = 0; at < keys.length; at += 1000) {
      const some = keys.slice(at, at + 1000);
      const known = await storedFileKeys(db, some);
      for (const key of some) if (!known.has(key)) orphans.set(key, since.get(key) ?? now);
    }
    const old = [...orphans].filter(([key, seen]) => since.has(key) && now - seen >= orphanMs).map(([key]) => key);
    for (const key of old) {
      await storage.delete(key);
      orphans.delete(key);
    }
    since = orphans;
    return old;
  };
}

/** Milliseconds that it can be looked up what endpoints were told. */
const DELIVERIES_MS = 30 * 24 * 3_600_000;

/** Deletes what webhooks were told long ago, or were not told for long. */
export async function deleteDeliveries(db: Database): Promise<string[]> {
  return forgetDeliveries(db, new Date(Date.now() - DELIVERIES_MS), BATCH);
}

/** @returns what it deleted */
type Chore = (db: Database, storage: Storage) => Promise<string[]>;

/** Does all that now and then again and again. @returns ends it, after the run under way */
export function startHousekeeping(
  db: Database,
  storage: Storage,
  logger: Logger,
  intervalMs = 600_000,
): () => Promise<void> {
  const chores: Record<string, Chore> = {
    files: deleteExpiredFiles,
    checkpoints: deleteCheckpointFiles,
    uploads: deleteUploadParts,
    orphans: orphanDeleter(),
    deliveries: deleteDeliveries,
  };
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
