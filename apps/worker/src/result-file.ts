import { createHash } from 'node:crypto';
import { createFile, type Database, type JobRecord, listSteps } from '@polymode/db';
import type { Storage } from '@polymode/storage';
import type { MethodReport } from './method-report.js';

/**
 * The job's result file: CSV, one row a step, empty cells where nothing was measured. Its id follows from the job's, so
 * that a replay finds it made.
 *
 * @returns the file's id
 */
export async function writeResultFile(
  db: Database,
  storage: Storage,
  job: JobRecord,
  { columns }: MethodReport,
): Promise<string> {
  const head = ['step', ...Object.keys(columns)].join(',');
  const rows = (await listSteps(db, job.id, { afterStep: 0 })).map(({ step, metrics }) =>
    [step, ...Object.values(columns).map((cell) => cell(metrics) ?? '')].join(','),
  );
  const csv = new TextEncoder().encode(`${[head, ...rows].join('\n')}\n`);
  const id = `file-${createHash('sha256').update(`${job.id}\nresults`).digest('hex').slice(0, 24)}`;
  const stored = await storage.put(`files/${id}`, csv);
  await createFile(db, {
    id,
    projectId: job.projectId,
    filename: 'step_metrics.csv',
    purpose: 'fine-tune-results',
    bytes: stored.bytes,
    sha256: stored.sha256,
    storageKey: stored.key,
  });
  return id;
}
