import { type Database, type JsonObject, toJson } from './client.js';
import { insertEvents, type NewEvent } from './events-repository.js';
import type { JobStatus } from './generated/client.js';
import { lockLeasedJob } from './leases.js';
import { insertSamples, type NewSample } from './samples-repository.js';

export interface StepRecord {
  step: number;
  metrics: JsonObject;
  createdAt: Date;
}

export interface NewStep {
  jobId: string;
  /** The worker that holds the job. */
  owner: string;
  /** 1 is the first step. */
  step: number;
  metrics: JsonObject;
  events: NewEvent[];
  /** Tokens trained on up to and including this step. */
  trainedTokens?: number;
  /** When the job will probably have ended. */
  estimatedFinishAt?: Date;
  /** What was sampled in it. @defaultValue none */
  samples?: readonly NewSample[];
}

/**
 * Records a step's metrics and events together. A step that is recorded already stays as it is.
 *
 * @returns the job's status: `running`, or `paused` for one that was paused meanwhile
 * @throws LeaseLostError when `owner` does not hold the job or it is not to be run any more (for instance because it was
 *   cancelled); nothing is recorded then
 */
export async function recordStep(db: Database, step: NewStep): Promise<JobStatus> {
  return db.$transaction(async (tx) => {
    const status = await lockLeasedJob(tx, step.jobId, step.owner, ['running', 'paused']);
    await tx.stepMetrics.createMany({
      data: [{ jobId: step.jobId, step: step.step, metrics: toJson(step.metrics) }],
      skipDuplicates: true,
    });
    await insertSamples(tx, step.jobId, step.step, step.samples ?? []);
    await insertEvents(tx, step.jobId, step.events);
    await tx.fineTuningJob.update({
      where: { id: step.jobId },
      data: {
        attempts: 0,
        ...(step.estimatedFinishAt === undefined ? {} : { estimatedFinishAt: step.estimatedFinishAt }),
        ...(step.trainedTokens === undefined ? {} : { trainedTokens: BigInt(step.trainedTokens) }),
      },
    });
    return status;
  });
}

/**
 * Steps in order.
 *
 * @param options.afterStep 0 for all
 * @param options.everyNthStep only every n-th, beginning with the first @defaultValue 1
 */
export async function listSteps(
  db: Database,
  jobId: string,
  options: { afterStep?: number; everyNthStep?: number; limit?: number } = {},
): Promise<StepRecord[]> {
  const { afterStep = 0, everyNthStep = 1, limit = null } = options;
  return db.$queryRaw<StepRecord[]>`
    SELECT step, metrics, created_at AS "createdAt" FROM step_metrics
    WHERE job_id = ${jobId} AND step > ${afterStep}::int AND (step - 1) % ${everyNthStep}::int = 0
    ORDER BY step LIMIT ${limit}::bigint`;
}

/** The last recorded step of a job; 0 when there is none. */
export async function lastStep(db: Database, jobId: string): Promise<number> {
  const row = await db.stepMetrics.findFirst({ where: { jobId }, orderBy: { step: 'desc' }, select: { step: true } });
  return row?.step ?? 0;
}
