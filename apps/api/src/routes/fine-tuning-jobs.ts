import { type FineTuningJob, type FineTuningJobList, ListJobsQuery } from '@polymode/contracts';
import { cancelJob, listJobs } from '@polymode/db';
import type { FastifyInstance } from 'fastify';
import { createFineTuningJob } from '../create-job.js';
import type { ApiDependencies } from '../dependencies.js';
import { jobNotFound, wrongState } from '../errors.js';
import { existingJob, toJob } from '../job.js';
import { toList } from '../pagination.js';
import { parseRequest } from '../validation.js';

export async function fineTuningJobRoutes(app: FastifyInstance, deps: ApiDependencies): Promise<void> {
  const { db, queue } = deps;

  app.post('/fine_tuning/jobs', async (request): Promise<FineTuningJob> => {
    const job = await createFineTuningJob(deps, request.body);
    request.jobId = job.id;
    try {
      await queue.enqueue(job.id);
    } catch (error) {
      // The job is in the database, which is the truth; the reconciler puts it into the queue.
      request.log.warn({ err: error, jobId: job.id }, 'job is created but not in the queue yet');
    }
    return toJob(job);
  });

  app.get('/fine_tuning/jobs', async (request): Promise<FineTuningJobList> => {
    return toList(await listJobs(db, parseRequest(ListJobsQuery, request.query)), toJob);
  });

  app.get<{ Params: { job: string } }>('/fine_tuning/jobs/:job', async (request): Promise<FineTuningJob> => {
    return toJob(await existingJob(db, request));
  });

  app.post<{ Params: { job: string } }>('/fine_tuning/jobs/:job/cancel', async (request): Promise<FineTuningJob> => {
    const id = request.params.job;
    request.jobId = id;
    const result = await cancelJob(db, id, [{ dedupeKey: 'cancelled', message: 'The job was cancelled' }]);
    if (!result) throw jobNotFound(id);
    // A client that missed the answer asks again; the job is as it wants it.
    if (result.job.status === 'cancelled') return toJob(result.job);
    throw wrongState(
      400,
      `Job ${id} has already ${result.job.status} and cannot be cancelled.`,
      'fine_tune_id',
      'fine_tune_already_ended',
    );
  });
}
