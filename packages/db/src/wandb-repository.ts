import type { PoolClient } from 'pg';
import type { Database } from './client.js';
import { execute, type Statement } from './statements.js';

/** What one job's run on Weights & Biases has been told, claimed by one sender. */
export interface WandbRunRecord {
  jobId: string;
  /** Place among the job's integrations. */
  index: number;
  /** As the server named them; null until it has made the run. */
  entity: string | null;
  project: string | null;
  /** The last step that the server has. */
  sentStep: number;
  /** When it last heard of the run. */
  sentAt: Date | null;
  /** This one included, since the last that went well. */
  attempts: number;
  /** When the claim ends; no other claim of the run has the same. */
  claimedUntil: Date;
}

/** In the transaction that makes the job, so that none goes untold. */
export async function addWandbRuns(connection: PoolClient, jobId: string, count: number): Promise<void> {
  await execute(connection, ADD_RUNS, [jobId, count]);
}

const ADD_RUNS: Statement = {
  name: 'add wandb runs',
  text: 'INSERT INTO wandb_runs (job_id, index) SELECT $1, generate_series(0, $2::int - 1)',
};

/**
 * Takes runs that are due, of jobs that have started or ended, for one sender: others do not see them until `leaseMs` have
 * passed without {@link settleWandbRun}.
 */
export async function claimWandbRuns(db: Database, limit: number, leaseMs: number): Promise<WandbRunRecord[]> {
  return db.$queryRaw<WandbRunRecord[]>`
    UPDATE wandb_runs r
    SET attempts = r.attempts + 1,
        next_attempt_at = clock_timestamp() + ${leaseMs}::float8 * interval '1 millisecond'
    WHERE (r.job_id, r.index) IN (
      SELECT due.job_id, due.index FROM wandb_runs due JOIN fine_tuning_jobs j ON j.id = due.job_id
      WHERE due.next_attempt_at <= clock_timestamp() AND (j.started_at IS NOT NULL OR j.finished_at IS NOT NULL)
      ORDER BY due.next_attempt_at LIMIT ${limit} FOR UPDATE OF due SKIP LOCKED)
    RETURNING r.job_id AS "jobId", r.index, r.entity, r.project, r.sent_step AS "sentStep", r.sent_at AS "sentAt",
              r.attempts, r.next_attempt_at AS "claimedUntil"`;
}

/** How an attempt ended. What is left out stays as it is. */
export interface WandbOutcome {
  /** The run as the server named it. */
  path?: { entity: string; project: string };
  sentStep?: number;
  sentAt?: Date;
  /** null: it went well */
  error: string | null;
  /** Milliseconds until the next; null: there is none. */
  nextInMs: number | null;
}

/** Records how an attempt ended, unless another sender has taken the run meanwhile. */
export async function settleWandbRun(db: Database, claim: WandbRunRecord, outcome: WandbOutcome): Promise<void> {
  const { path, sentStep, sentAt, error, nextInMs } = outcome;
  await db.wandbRun.updateMany({
    where: { jobId: claim.jobId, index: claim.index, nextAttemptAt: claim.claimedUntil },
    data: {
      ...path,
      ...(sentStep === undefined ? {} : { sentStep }),
      ...(sentAt === undefined ? {} : { sentAt }),
      ...(error === null ? { attempts: 0 } : {}),
      lastError: error?.slice(0, 500) ?? null,
      nextAttemptAt: nextInMs === null ? null : new Date(Date.now() + nextInMs),
    },
  });
}
