import type { Database } from './client.js';

/** A worker that answers inference requests: where, and with which token. */
export interface InferenceWorkerRecord {
  id: string;
  /** Where its server is, as the API reaches it; no slash at the end. */
  url: string;
  /** What the API shows it, as a bearer token. */
  token: string;
  /** What it has loaded now: ids of base models and of checkpoints. */
  models: string[];
}

/** Says that a worker is there and what it has loaded, now by the database's clock. Its first time makes its row. */
export async function announceInferenceWorker(db: Database, worker: InferenceWorkerRecord): Promise<void> {
  const { id, url, token, models } = worker;
  await db.$executeRaw`
    INSERT INTO inference_workers (id, url, token, models, heartbeat_at)
    VALUES (${id}, ${url}, ${token}, ${models}::text[], clock_timestamp())
    ON CONFLICT (id) DO UPDATE
    SET url = EXCLUDED.url, token = EXCLUDED.token, models = EXCLUDED.models, heartbeat_at = EXCLUDED.heartbeat_at`;
}

/** Those that were heard of in the last `withinMs` milliseconds by the database's clock, by their ids. */
export async function listInferenceWorkers(db: Database, withinMs: number): Promise<InferenceWorkerRecord[]> {
  return db.$queryRaw<InferenceWorkerRecord[]>`
    SELECT id, url, token, models FROM inference_workers
    WHERE heartbeat_at > clock_timestamp() - ${withinMs}::float8 * interval '1 millisecond'
    ORDER BY id`;
}

/** A worker that stops takes itself off the list. Nothing happens when it is not there. */
export async function removeInferenceWorker(db: Database, id: string): Promise<void> {
  await db.inferenceWorker.deleteMany({ where: { id } });
}

/** Forgets workers that were not heard of for so long: they were killed. @returns how many */
export async function removeSilentInferenceWorkers(db: Database, silentMs: number): Promise<number> {
  return db.$executeRaw`
    DELETE FROM inference_workers
    WHERE heartbeat_at <= clock_timestamp() - ${silentMs}::float8 * interval '1 millisecond'`;
}
