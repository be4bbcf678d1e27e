import { randomInt } from 'node:crypto';
import {
  type CheckpointFormat,
  CheckpointFormatError,
  CreateJobRequest,
  HyperparameterError,
  type ResolvedHyperparameters,
  type ResolvedMethod,
  resolveCheckpointFormats,
  resolveHyperparameters,
} from '@polymode/contracts';
import { createJob, type Database, type FileRecord, getFile, type JobRecord, type NewEvent } from '@polymode/db';
import { GRADING_TIMEOUT_MS, type Grader, type Outcome } from '@polymode/verifiers';
import type { ApiDependencies } from './dependencies.js';
import { badRequest } from './errors.js';
import { graderOf, outcomeOf } from './grader-definition.js';
import { newId } from './ids.js';
import { checkReinforcementFile, type FileRole } from './training-file.js';
import { parseRequest, requireStorable } from './validation.js';

const METHOD = 'method.reinforcement';

/**
 * Checks everything about a requested job that can be checked without loading its model, and records it as `queued`.
 *
 * @throws ApiError 400 that names the field, or the lines of the file, to change; nothing is recorded then
 */
export async function createFineTuningJob(deps: ApiDependencies, body: unknown): Promise<JobRecord> {
  const request = parseRequest(CreateJobRequest, body);
  checkModel(deps, request.model);
  const { reinforcement } = request.method;
  const grader = await graderOf(reinforcement.grader, deps.graderServices, `${METHOD}.`);
  const outcome = outcomeOf(reinforcement.outcome, grader, `${METHOD}.`);
  const { training_file, validation_file, metadata } = request;
  requireStorable({ training_file, validation_file, metadata }, []);
  requireStorable(grader.config, [METHOD, 'grader']);
  requireStorable(outcome.config, [METHOD, 'outcome']);
  const trainingFile = await fineTuneFile(deps.db, request.training_file, 'training_file');
  const validationFile = request.validation_file
    ? await fineTuneFile(deps.db, request.validation_file, 'validation_file')
    : null;
  const reading = readingToo(grader, outcome);
  const training = await checkReinforcementFile(deps.storage, trainingFile, 'training_file', reading);
  const validation =
    validationFile && (await checkReinforcementFile(deps.storage, validationFile, 'validation_file', reading));
  const hyperparameters = resolved(reinforcement.hyperparameters ?? {}, {
    trainingRows: training.rows,
    modelParameters: await deps.parameterCount(request.model),
  });
  const method: ResolvedMethod = {
    type: 'reinforcement',
    reinforcement: {
      grader: { ...grader.config },
      outcome: { ...outcome.config },
      max_grader_error_share: reinforcement.max_grader_error_share ?? 0.1,
      grader_timeout_ms: reinforcement.grader_timeout_ms ?? GRADING_TIMEOUT_MS,
      hyperparameters,
      checkpoint_formats: checkpointFormats(reinforcement.checkpoint_formats, hyperparameters.trainable),
      gguf_type: reinforcement.gguf_type ?? 'F16',
      response_format: null,
    },
  };

  const id = newId('ftjob-');
  const shared = validation ? [...validation.digests].filter((digest) => training.digests.has(digest)).length : 0;
  const { job } = await createJob(
    deps.db,
    {
      id,
      model: request.model,
      organizationId: deps.organizationId,
      suffix: request.suffix ?? null,
      trainingFileId: trainingFile.id,
      validationFileId: validationFile?.id ?? null,
      method,
      hyperparameters,
      seed: request.seed ?? randomInt(2 ** 31),
      metadata: request.metadata ?? null,
    },
    firstEvents(id, trainingFile, validationFile, shared),
  );
  return job;
}

/** The grader, of which rows are also asked what the outcome reads. */
function readingToo(grader: Grader, outcome: Outcome): Grader {
  return {
    ...grader,
    checkItem(item) {
      const problems = grader.checkItem(item);
      const known = new Set(problems.map(({ path }) => path));
      return [...problems, ...outcome.checkItem(item).filter(({ path }) => !known.has(path))];
    },
  };
}

function checkModel({ listBaseModels }: ApiDependencies, model: string): void {
  const known = listBaseModels().map((base) => base.id);
  if (known.includes(model)) return;
  const advice = known.length > 0 ? `Base models here: ${known.join(', ')}.` : 'No base models are installed.';
  const reason = model.startsWith('ft:') ? 'cannot be trained further yet' : 'does not exist';
  throw badRequest(`The model '${model}' ${reason}. ${advice}`, 'model', 'model_not_found');
}

async function fineTuneFile(db: Database, id: string, role: FileRole): Promise<FileRecord> {
  const file = await getFile(db, id);
  if (!file) {
    throw badRequest(`No such File object: ${id}. Upload it first with POST /v1/files.`, role, 'file_not_found');
  }
  if (file.purpose !== 'fine-tune') {
    throw badRequest(
      `File '${id}' was uploaded with purpose '${file.purpose}'. Upload it again with purpose 'fine-tune'.`,
      role,
      'invalid_file_purpose',
    );
  }
  return file;
}

function resolved(...[requested, context]: Parameters<typeof resolveHyperparameters>): ResolvedHyperparameters {
  try {
    return resolveHyperparameters(requested, context);
  } catch (error) {
    if (!(error instanceof HyperparameterError)) throw error;
    throw badRequest(error.message, `${METHOD}.hyperparameters.${error.param}`, 'invalid_hyperparameter');
  }
}

function checkpointFormats(...request: Parameters<typeof resolveCheckpointFormats>): CheckpointFormat[] {
  try {
    return resolveCheckpointFormats(...request);
  } catch (error) {
    if (!(error instanceof CheckpointFormatError)) throw error;
    throw badRequest(error.message, `${METHOD}.checkpoint_formats`, 'invalid_value');
  }
}

function firstEvents(id: string, training: FileRecord, validation: FileRecord | null, shared: number): NewEvent[] {
  const files = `training file: ${training.id}${validation ? ` and validation file: ${validation.id}` : ''}`;
  const overlap: NewEvent = {
    dedupeKey: 'overlap',
    level: 'warn',
    message: `${shared} validation rows are in the training file too; validation will look better than it is`,
  };
  return [
    { dedupeKey: 'created', message: `Created fine-tuning job: ${id}` },
    { dedupeKey: 'validating', message: `Validating ${files}` },
    ...(shared > 0 ? [overlap] : []),
    { dedupeKey: 'queued', message: 'Files validated, moving job to queued state' },
  ];
}
