import { type FineTuningJob, hyperparametersOf, type Metadata, ResolvedMethod } from '@polymode/contracts';
import { type Database, getJob, type JobRecord } from '@polymode/db';
import type { FastifyRequest } from 'fastify';
import { jobNotFound } from './errors.js';
import { toSeconds } from './ids.js';

/**
 * The job that the path names; the request's log line carries its id from here on.
 *
 * @throws ApiError 404
 */
export async function existingJob(
  db: Database,
  request: FastifyRequest<{ Params: { job: string } }>,
): Promise<JobRecord> {
  request.jobId = request.params.job;
  const job = await getJob(db, request.params.job);
  if (!job) throw jobNotFound(request.params.job);
  return job;
}

/** A job as the API shows it. */
export function toJob(job: JobRecord): FineTuningJob {
  const method = ResolvedMethod.parse(job.method);
  const { n_epochs, batch_size, learning_rate_multiplier } = hyperparametersOf(method);
  const ended = job.status === 'succeeded' || job.status === 'failed' || job.status === 'cancelled';
  return {
    id: job.id,
    object: 'fine_tuning.job',
    created_at: toSeconds(job.createdAt),
    finished_at: job.finishedAt && toSeconds(job.finishedAt),
    estimated_finish: null,
    model: job.model,
    fine_tuned_model: job.fineTunedModel,
    user_provided_suffix: job.suffix,
    organization_id: job.organizationId,
    status: job.status,
    training_file: job.trainingFileId,
    validation_file: job.validationFileId,
    result_files: job.resultFiles,
    trained_tokens: ended ? job.trainedTokens : null,
    hyperparameters: { n_epochs, batch_size, learning_rate_multiplier },
    seed: job.seed,
    error: job.error,
    integrations: [],
    metadata: job.metadata satisfies Metadata | null,
    method,
  };
}
