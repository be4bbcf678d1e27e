import { randomInt } from 'node:crypto';
import {
  type CheckpointFormat,
  CheckpointFormatError,
  CreateJobRequest,
  type GgufType,
  HyperparameterError,
  hyperparametersOf,
  type PreferenceMethod,
  type ReinforcementMethod,
  type ResolvedMethod,
  resolveCheckpointFormats,
  resolveHyperparameters,
  resolvePreference,
  resolveSupervised,
  type SupervisedMethod,
} from '@polymode/contracts';
import { createJob, type Database, type FileRecord, getFile, type JobRecord, type NewEvent } from '@polymode/db';
import { GRADING_TIMEOUT_MS, type Grader, type Outcome } from '@polymode/verifiers';
import type { z } from 'zod';
import type { ApiDependencies } from './dependencies.js';
import { badRequest } from './errors.js';
import { graderOf, outcomeOf } from './grader-definition.js';
import { newId } from './ids.js';
import { type CheckedFile, checkTrainingFile, type FileRole } from './training-file.js';
import { preferenceRowProblems, reinforcementRowProblems, supervisedRowProblems } from './training-rows.js';
import { parseRequest, requireStorable } from './validation.js';

/** What a request's method comes to, and the files that it was checked with. */
interface Plan {
  readonly method: ResolvedMethod;
  readonly training: CheckedFile;
  readonly validation: CheckedFile | null;
}

interface JobFiles {
  readonly training: FileRecord;
  readonly validation: FileRecord | null;
}

/**
 * Checks everything about a requested job that can be checked without loading its model, and records it as `queued`.
 *
 * @throws ApiError 400 that names the field, or the lines of the file, to change; nothing is recorded then
 */
export async function createFineTuningJob(deps: ApiDependencies, body: unknown): Promise<JobRecord> {
  const request = parseRequest(CreateJobRequest, body);
  checkModel(deps, request.model);
  const { training_file, validation_file, metadata } = request;
  requireStorable({ training_file, validation_file, metadata }, []);
  const files: JobFiles = {
    training: await fineTuneFile(deps.db, request.training_file, 'training_file'),
    validation: request.validation_file
      ? await fineTuneFile(deps.db, request.validation_file, 'validation_file')
      : null,
  };
  const { method, training, validation } = await plan(deps, request, files);

  const id = newId('ftjob-');
  const shared = validation ? [...validation.digests].filter((digest) => training.digests.has(digest)).length : 0;
  const { job } = await createJob(
    deps.db,
    {
      id,
      model: request.model,
      organizationId: deps.organizationId,
      suffix: request.suffix ?? null,
      trainingFileId: files.training.id,
      validationFileId: files.validation?.id ?? null,
      method,
      hyperparameters: hyperparametersOf(method),
      seed: request.seed ?? randomInt(2 ** 31),
      metadata: request.metadata ?? null,
    },
    firstEvents(id, files.training, files.validation, shared),
  );
  return job;
}

async function plan(deps: ApiDependencies, request: CreateJobRequest, files: JobFiles): Promise<Plan> {
  const { method } = request;
  if (request.hyperparameters && method && method.type !== 'supervised') {
    const message = `These belong to supervised jobs. Set 'method.${method.type}.hyperparameters' instead.`;
    throw badRequest(`Invalid 'hyperparameters': ${message}`, 'hyperparameters', 'invalid_value');
  }
  switch (method?.type) {
    case 'reinforcement':
      return planReinforcement(deps, request.model, method.reinforcement, files);
    case 'dpo':
      return planPreference(deps, request.model, method.dpo ?? {}, files);
    default: {
      const settings = method?.supervised ?? {};
      // The old place counts where the new one is empty.
      const hyperparameters = settings.hyperparameters ?? request.hyperparameters ?? {};
      return planSupervised(deps, request.model, { ...settings, hyperparameters }, files);
    }
  }
}

async function planReinforcement(
  deps: ApiDependencies,
  model: string,
  reinforcement: z.infer<typeof ReinforcementMethod>,
  files: JobFiles,
): Promise<Plan> {
  const path = 'method.reinforcement';
  const grader = await graderOf(reinforcement.grader, deps.graderServices, `${path}.`);
  const outcome = outcomeOf(reinforcement.outcome, grader, `${path}.`);
  requireStorable(grader.config, [path, 'grader']);
  requireStorable(outcome.config, [path, 'outcome']);
  const reading = readingToo(grader, outcome);
  const checked = await check(deps, files, (row) => reinforcementRowProblems(row, reading), 1);
  const data = { trainingRows: checked.training.rows, modelParameters: await deps.parameterCount(model) };
  const hyperparameters = resolved(path, () => resolveHyperparameters(reinforcement.hyperparameters ?? {}, data));
  return {
    ...checked,
    method: {
      type: 'reinforcement',
      reinforcement: {
        grader: { ...grader.config },
        outcome: { ...outcome.config },
        max_grader_error_share: reinforcement.max_grader_error_share ?? 0.1,
        grader_timeout_ms: reinforcement.grader_timeout_ms ?? GRADING_TIMEOUT_MS,
        hyperparameters,
        ...formats(path, reinforcement, hyperparameters.trainable),
        response_format: null,
      },
    },
  };
}

async function planSupervised(
  deps: ApiDependencies,
  model: string,
  supervised: z.infer<typeof SupervisedMethod>,
  files: JobFiles,
): Promise<Plan> {
  const path = 'method.supervised';
  const checked = await check(deps, files, supervisedRowProblems, deps.minimumExamples ?? MINIMUM_EXAMPLES);
  const data = { trainingRows: checked.training.rows, modelParameters: await deps.parameterCount(model) };
  const hyperparameters = resolved(path, () => resolveSupervised(supervised.hyperparameters ?? {}, data));
  const written = formats(path, supervised, hyperparameters.trainable);
  return { ...checked, method: { type: 'supervised', supervised: { hyperparameters, ...written } } };
}

async function planPreference(
  deps: ApiDependencies,
  model: string,
  dpo: z.infer<typeof PreferenceMethod>,
  files: JobFiles,
): Promise<Plan> {
  const path = 'method.dpo';
  const checked = await check(deps, files, preferenceRowProblems, deps.minimumExamples ?? MINIMUM_EXAMPLES);
  const data = { trainingRows: checked.training.rows, modelParameters: await deps.parameterCount(model) };
  const hyperparameters = resolved(path, () => resolvePreference(dpo.hyperparameters ?? {}, data));
  return {
    ...checked,
    method: { type: 'dpo', dpo: { hyperparameters, ...formats(path, dpo, hyperparameters.trainable) } },
  };
}

/** Rows that supervised and preference jobs need, where nothing else is configured: OpenAI's own bound. */
const MINIMUM_EXAMPLES = 10;

async function check(
  { storage }: ApiDependencies,
  files: JobFiles,
  rowProblems: (row: Record<string, unknown>) => string[],
  minimum: number,
): Promise<{ training: CheckedFile; validation: CheckedFile | null }> {
  const training = await checkTrainingFile(storage, files.training, 'training_file', rowProblems, minimum);
  const validation =
    files.validation && (await checkTrainingFile(storage, files.validation, 'validation_file', rowProblems));
  return { training, validation };
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
  const fetchable = /^[\w.-]+\/[\w.-]+$/.test(model) ? ` Fetch it with: polymode models pull ${model}` : '';
  throw badRequest(`The model '${model}' ${reason}. ${advice}${fetchable}`, 'model', 'model_not_found');
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

function resolved<T>(path: string, resolve: () => T): T {
  try {
    return resolve();
  } catch (error) {
    if (!(error instanceof HyperparameterError)) throw error;
    throw badRequest(error.message, `${path}.hyperparameters.${error.param}`, 'invalid_hyperparameter');
  }
}

function formats(
  path: string,
  requested: Pick<z.infer<typeof SupervisedMethod>, 'checkpoint_formats' | 'gguf_type'>,
  trainable: 'lora' | 'full',
): { checkpoint_formats: CheckpointFormat[]; gguf_type: GgufType } {
  try {
    return {
      checkpoint_formats: resolveCheckpointFormats(requested.checkpoint_formats, trainable),
      gguf_type: requested.gguf_type ?? 'F16',
    };
  } catch (error) {
    if (!(error instanceof CheckpointFormatError)) throw error;
    throw badRequest(error.message, `${path}.checkpoint_formats`, 'invalid_value');
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
