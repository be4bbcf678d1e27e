import { createHash } from 'node:crypto';
import { createFile, type Database, type JobRecord, listSteps } from '@polymode/db';
import type { Storage } from '@polymode/storage';

const COLUMNS = ['step', 'train_reward_mean', 'valid_reward_mean', 'completion_tokens_mean'] as const;

/**
 * The job's result file: CSV, one row a step, empty cells where nothing was measured. Its id follows from the job's, so
 * that a replay finds it made.
 *
 * @returns the file's id
 */
export async function writeResultFile(db: Database, storage: Storage, job: JobRecord): Promise<string> {
  const rows = (await listSteps(db, job.id, { afterStep: 0 })).map(({ step, metrics }) => {
    const scores = metrics.scores as { train_reward_mean: number; valid_reward_mean: number | null };
    const cells = [step, scores.train_reward_mean, scores.valid_reward_mean, metrics.completion_tokens_mean];
    return cells.map((cell) => cell ?? '').join(',');
  });
  const csv = new TextEncoder().encode(`${[COLUMNS.join(','), ...rows].join('\n')}\n`);
  const id = `file-${createHash('sha256').update(`${job.id}\nresults`).digest('hex').slice(0, 24)}`;
  const stored = await storage.put(`files/${id}`, csv);
  await createFile(db, {
    id,
    filename: 'step_metrics.csv',
    purpose: 'fine-tune-results',
    bytes: stored.bytes,
    sha256: stored.sha256,
    storageKey: stored.key,
  });
  return id;
}
