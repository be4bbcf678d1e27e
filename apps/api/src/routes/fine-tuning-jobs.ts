import { type DryRun, type FineTuningJob, type FineTuningJobList, operations } from '@polymode/contracts';
import { cancelJob, type JobRecord, listJobs, pauseJob, resumeJob } from '@polymode/db';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { createFineTuningJob } from '../create-job.js';
import type { ApiDependencies } from '../dependencies.js';
import { dryRun } from '../dry-run.js';
import { type ApiError, jobNotFound, wrongState } from '../errors.js';
import { forkRequest, inForkTerms } from '../fork-job.js';
import { creationId } from '../idempotency.js';
import { existingJob, toJob } from '../job.js';
import { JobInspector } from '../job-inspector.js';
import { toList } from '../pagination.js';
import { serve } from '../serve.js';

export async function fineTuningJobRoutes(app: FastifyInstance, deps: ApiDependencies): Promise<void> {
  const { db } = deps;
  const inspector = new JobInspector(deps);
  const warn = (...about: Parameters<JobInspector['warn']>): void => inspector.warn(...about);
  app.addHook('onClose', async () => inspector.close());

  serve(app, operations.createFineTuningJob, async (incoming, request, reply): Promise<FineTuningJob | DryRun> => {
    const { body, query, caller } = incoming;
    if (query.dry_run) {
      const gone = new AbortController();
      reply.raw.once('close', () => gone.abort());
      return dryRun(deps, caller.projectId, body, gone.signal);
    }
    const job = await createFineTuningJob(deps, caller, creationId(request, 'ftjob-', body), () => body, warn);
    await enqueue(job.id, request, 'enqueueNew');
    return toJob(job);
  });

  serve(app, operations.listFineTuningJobs, async ({ query, caller }): Promise<FineTuningJobList> => {
    return toList(await listJobs(db, caller.projectId, query), toJob);
  });

  serve(app, operations.retrieveFineTuningJob, async (incoming): Promise<FineTuningJob> => {
    return toJob(await existingJob(db, incoming));
  });

  serve(app, operations.cancelFineTuningJob, async ({ params, caller }): Promise<FineTuningJob> => {
    const id = params.fine_tuning_job_id;
    const result = await cancelJob(db, caller.projectId, id, [
      { dedupeKey: 'cancelled', message: 'The job was cancelled' },
    ]);
    if (!result) throw jobNotFound(id);
    // A client that missed the answer asks again; the job is as it wants it.
    if (result.job.status === 'cancelled') return toJob(result.job);
    throw cannot('be cancelled', result.job);
  });

  serve(app, operations.pauseFineTuningJob, async ({ params, caller }): Promise<FineTuningJob> => {
    const id = params.fine_tuning_job_id;
    const message = 'The job was paused; a checkpoint of where it stands follows if it has begun';
    const result = await pauseJob(db, caller.projectId, id, { message });
    if (!result) throw jobNotFound(id);
    if (result.job.status === 'paused') return toJob(result.job);
    throw cannot('be paused', result.job);
  });

  serve(app, operations.resumeFineTuningJob, async ({ params, caller }, request): Promise<FineTuningJob> => {
    const id = params.fine_tuning_job_id;
    const result = await resumeJob(db, caller.projectId, id, { message: 'The job was resumed' });
    if (!result) throw jobNotFound(id);
    const { job, changed } = result;
    if (!changed && job.status !== 'queued' && job.status !== 'running') throw cannot('be resumed', job);
    if (changed) await enqueue(id, request, 'enqueue');
    return toJob(job);
  });

  serve(app, operations.forkFineTuningJob, async (incoming, request): Promise<FineTuningJob> => {
    const { body, caller } = incoming;
    const parent = await existingJob(db, incoming);
    const id = creationId(request, 'ftjob-', { fork: parent.id, ...body });
    const ask = () => forkRequest(db, parent, body);
    const job = await createFineTuningJob(deps, caller, id, ask, warn).catch((error) => {
      throw inForkTerms(error);
    });
    await enqueue(job.id, request, 'enqueueNew');
    return toJob(job);
  });

  async function enqueue(id: string, request: FastifyRequest, how: 'enqueue' | 'enqueueNew'): Promise<void> {
    request.jobId = id;
    try {
      await deps.queue[how](id);
    } catch (error) {
      // The job is in the database, which is the truth; the reconciler puts it into the queue.
      request.log.warn({ err: error, jobId: id }, 'job is not in the queue yet');
    }
  }
}

function cannot(what: string, { id, status }: JobRecord): ApiError {
  return status === 'succeeded' || status === 'failed' || status === 'cancelled'
    ? wrongState(400, `Job ${id} has already ${status} and cannot ${what}.`, 'fine_tune_id', 'fine_tune_already_ended')
    : wrongState(400, `Job ${id} is ${status} and cannot ${what}.`, 'fine_tune_id', 'fine_tune_wrong_state');
}
