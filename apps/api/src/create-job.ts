import { randomInt } from 'node:crypto';
import type { CreateJobRequest } from '@polymode/contracts';
import { type Caller, createJob, getJob, type JobRecord, type NewEvent } from '@polymode/db';
import type { ApiDependencies } from './dependencies.js';
import { type CreationId, requireSameRequest } from './idempotency.js';
import { type JobPlan, planJob } from './job-plan.js';

/**
 * Checks a requested job and records it as `queued`. With the id of a job that is there it answers that job.
 *
 * @param ask the request, which nobody needs for a job that is there
 * @param onCreated is told of a job that this call recorded
 * @throws ApiError 400 that names the field, or the lines of the file, to change; nothing is recorded then
 */
export async function createFineTuningJob(
  deps: ApiDependencies,
  { projectId, organizationId }: Caller,
  { id, requestHash }: CreationId,
  ask: () => CreateJobRequest | Promise<CreateJobRequest>,
  onCreated: (job: JobRecord, plan: JobPlan) => void = () => {},
): Promise<JobRecord> {
  // Its files may be gone by now, and that is no reason to refuse what was done long ago.
  const made = requestHash === null ? null : await getJob(deps.db, projectId, id);
  if (made) {
    requireSameRequest(made.requestHash, requestHash);
    return made;
  }
  const request = await ask();
  const plan = await planJob(deps, projectId, request);
  const { start, files, method, integrations } = plan;
  const { job, created } = await createJob(
    deps.db,
    {
      id,
      projectId,
      requestHash,
      model: start.model,
      baseModel: start.baseModel,
      startCheckpointId: start.checkpoint?.id ?? null,
      organizationId,
      suffix: request.suffix ?? null,
      trainingFileId: files.training.id,
      validationFileId: files.validation?.id ?? null,
      method,
      seed: request.seed ?? randomInt(2 ** 31),
      metadata: request.metadata ?? null,
      integrations: integrations.length > 0 ? integrations : null,
    },
    firstEvents(id, plan),
  );
  requireSameRequest(job.requestHash, requestHash);
  if (created) onCreated(job, plan);
  return job;
}

function firstEvents(id: string, { files: { training, validation }, sharedRows }: JobPlan): NewEvent[] {
  const files = `training file: ${training.id}${validation ? ` and validation file: ${validation.id}` : ''}`;
  const overlap: NewEvent = {
    dedupeKey: 'overlap',
    level: 'warn',
    message: `${sharedRows} validation rows are in the training file too; validation will look better than it is`,
  };
  return [
    { dedupeKey: 'created', message: `Created fine-tuning job: ${id}` },
    { dedupeKey: 'validating', message: `Validating ${files}` },
    ...(sharedRows > 0 ? [overlap] : []),
    { dedupeKey: 'queued', message: 'Files validated, moving job to queued state' },
  ];
}
