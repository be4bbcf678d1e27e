import {
  CreateJobRequest,
  changedHyperparameters,
  type ForkJobRequest,
  hyperparametersOf,
  ResolvedMethod,
} from '@polymode/contracts';
import { type Database, findServedModel, getCheckpoint, type JobRecord, listCheckpoints } from '@polymode/db';
import { ApiError, badRequest } from './errors.js';
import { parseRequest, requireStorable } from './validation.js';

/** Announced checkpoints that are looked through for the one a request names. */
const MOST_CHECKPOINTS = 10_000;

/**
 * The request for a new job that starts from a checkpoint of another: the other's settings, with what is changed and what
 * derives from that.
 *
 * @throws ApiError 400, and 404 when the job has no such checkpoint
 */
export async function forkRequest(db: Database, job: JobRecord, change: ForkJobRequest): Promise<CreateJobRequest> {
  requireStorable(change, []);
  const method = ResolvedMethod.parse(job.method);
  const settings = (method as unknown as Record<string, object>)[method.type];
  const hyperparameters = changedHyperparameters(
    hyperparametersOf(method),
    change.hyperparameters ?? {},
    change.training_file != null && change.training_file !== job.trainingFileId,
  );
  return parseRequest(CreateJobRequest, {
    model: await checkpointName(db, job, change.checkpoint),
    training_file: change.training_file ?? job.trainingFileId,
    validation_file: changed(change.validation_file, job.validationFileId),
    suffix: changed(change.suffix, job.suffix),
    seed: change.seed,
    integrations: changed(change.integrations, job.integrations),
    metadata: changed(change.metadata, job.metadata),
    method: { type: method.type, [method.type]: { ...settings, hyperparameters } },
  });
}

/** Null drops what the other job has; what is left out stays. */
function changed<T>(to: T | null | undefined, from: T | null): T | null {
  return to === undefined ? from : to;
}

/** A refusal of the request that a fork comes to, in the names of the fork's own fields. */
export function inForkTerms(error: unknown): unknown {
  if (!(error instanceof ApiError) || error.param === null) return error;
  const param = error.param
    .replace(/^method\.\w+\.hyperparameters/, 'hyperparameters')
    .replace(/^model$/, 'checkpoint');
  const { status, code, headers } = error;
  return new ApiError(status, {
    message: error.message.replace(`'${error.param}'`, `'${param}'`),
    param,
    code,
    headers,
  });
}

async function checkpointName(db: Database, job: JobRecord, named: ForkJobRequest['checkpoint']): Promise<string> {
  if (named == null) {
    const [last] = (await listCheckpoints(db, job.id, { limit: 1 })).data;
    if (last) return last.modelName;
    const message = `Job ${job.id} has no checkpoint yet. Wait for its first, or create a job of its own.`;
    throw badRequest(message, 'fine_tune_id', 'checkpoint_not_found');
  }
  const found =
    typeof named === 'number'
      ? (await listCheckpoints(db, job.id, { limit: MOST_CHECKPOINTS })).data.find(({ step }) => step === named)
      : ((await getCheckpoint(db, job.id, named)) ?? (await findServedModel(db, job.projectId, named))?.checkpoint);
  if (found?.announced && found.jobId === job.id) return found.modelName;
  throw new ApiError(404, {
    message: `Job ${job.id} has no checkpoint ${named}. GET /v1/fine_tuning/jobs/${job.id}/checkpoints lists those it has.`,
    param: 'checkpoint',
    code: 'checkpoint_not_found',
  });
}
