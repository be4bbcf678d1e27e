import type { DatabaseOrTransaction } from './client.js';
import { LeaseLostError } from './errors.js';
import type { JobStatus } from './generated/client.js';

/**
 * Locks the job's row until the transaction ends and makes sure that `owner` may write for it.
 *
 * A lease that has run out but that nobody else took still counts: no other worker can have written meanwhile.
 *
 * @throws LeaseLostError when another worker took the job, or its status is not one of `statuses`
 */
export async function lockLeasedJob(
  tx: DatabaseOrTransaction,
  jobId: string,
  owner: string,
  statuses: JobStatus[] = ['running'],
): Promise<JobStatus> {
  const [row] = await tx.$queryRaw<{ status: JobStatus; lease_owner: string | null }[]>`
    SELECT status::text AS status, lease_owner FROM fine_tuning_jobs WHERE id = ${jobId} FOR NO KEY UPDATE`;
  if (!row || row.lease_owner !== owner || !statuses.includes(row.status)) {
    throw new LeaseLostError(jobId, owner, row?.status ?? null, row?.lease_owner ?? null);
  }
  return row.status;
}
