import {
  type FineTuningJob,
  hyperparametersOf,
  type Integrations,
  type Metadata,
  type ResolvedMethod,
} from '@polymode/contracts';
import { type Caller, type Database, getJob, hasJob, type JobRecord } from '@polymode/db';
import { jobNotFound } from './errors.js';
import { toSeconds } from './ids.js';

/**
 * The job that the path names, if the caller's project has it.
 *
 * @throws ApiError 404
 */
export async function existingJob(
  db: Database,
  { params, caller }: { params: { fine_tuning_job_id: string }; caller: Caller },
): Promise<JobRecord> {
  const job = await getJob(db, caller.projectId, params.fine_tuning_job_id);
  if (!job) throw jobNotFound(params.fine_tuning_job_id);
  return job;
}

/**
 * Its id alone, for what hangs on it.
 *
 * @throws ApiError 404
 */
export async function existingJobId(
  db: Database,
  { params, caller }: { params: { fine_tuning_job_id: string }; caller: Caller },
): Promise<string> {
  const { fine_tuning_job_id: id } = params;
  if (!(await hasJob(db, caller.projectId, id))) throw jobNotFound(id);
  return id;
}

/** A job as the API shows it. */
export function toJob(job: JobRecord): FineTuningJob {
  // Checked when the job was made; jobs are polled far more often.
  const method = job.method as unknown as ResolvedMethod;
  const { n_epochs, batch_size, learning_rate_multiplier } = hyperparametersOf(method);
  const ended = job.status === 'succeeded' || job.status === 'failed' || job.status === 'cancelled';
  const running = job.status === 'running' && job.estimatedFinishAt !== null;
  return {
    id: job.id,
    object: 'fine_tuning.job',
    created_at: toSeconds(job.createdAt),
    finished_at: job.finishedAt && toSeconds(job.finishedAt),
    estimated_finish: running ? toSeconds(job.estimatedFinishAt!) : null,
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
    integrations: (job.integrations ?? []) as unknown as Integrations,
    metadata: job.metadata satisfies Metadata | null,
    method,
  };
}
