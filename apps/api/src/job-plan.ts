import { isDeepStrictEqual } from 'node:util';
import {
  type CheckpointFormat,
  CheckpointFormatError,
  type CreateJobRequest,
  type GgufType,
  HyperparameterError,
  type Integrations,
  type PreferenceMethod,
  type ReinforcementMethod,
  type ResolvedMethod,
  type ResponseFormat,
  resolveCheckpointFormats,
  resolveHyperparameters,
  resolvePreference,
  resolveSupervised,
  type SupervisedMethod,
} from '@polymode/contracts';
import { type FileRecord, getFile } from '@polymode/db';
import { compileSchema, SchemaError } from '@polymode/policy/json-schema';
import { GRADING_TIMEOUT_MS, type Grader, type Outcome, schemaProblem } from '@polymode/verifiers';
import type { z } from 'zod';
import { checkedFilesOf } from './checked-files.js';
import type { ApiDependencies } from './dependencies.js';
import { badRequest } from './errors.js';
import { graderOf, outcomeOf } from './grader-definition.js';
import { type StartingModel, startingModel } from './job-model.js';
import { tokenFinder } from './special-tokens.js';
import { type CheckedFile, checkTrainingFile, type FileRole, type RowBounds } from './training-file.js';
import { preferenceRows, type RowCheck, reinforcementRows, supervisedRows } from './training-rows.js';
import { requireStorable } from './validation.js';

/** What a request comes to: everything about the job that can be decided without loading its model. */
export interface JobPlan extends MethodPlan {
  readonly start: StartingModel;
  readonly files: JobFiles;
  readonly integrations: Integrations;
  /** Rows of the validation file that the training file has too. */
  readonly sharedRows: number;
}

/** What a request's method comes to, and the files that it was checked with. */
interface MethodPlan {
  readonly method: ResolvedMethod;
  readonly training: CheckedFile;
  readonly validation: CheckedFile | null;
}

interface JobFiles {
  readonly training: FileRecord;
  readonly validation: FileRecord | null;
}

/**
 * Checks everything about a requested job that can be checked without loading its model.
 *
 * @throws ApiError 400 that names the field, or the lines of the file, to change
 */
export async function planJob(deps: ApiDependencies, projectId: string, request: CreateJobRequest): Promise<JobPlan> {
  const { model, training_file, validation_file, metadata } = request;
  requireStorable({ model, training_file, validation_file, metadata }, []);
  const integrations = planIntegrations(deps, request.integrations ?? []);
  const start = await startingModel(deps, projectId, model);
  const files: JobFiles = {
    training: await fineTuneFile(deps, projectId, training_file, 'training_file'),
    validation: validation_file ? await fineTuneFile(deps, projectId, validation_file, 'validation_file') : null,
  };
  const plan = await planMethod(deps, start, request, files);
  const { training, validation } = plan;
  const sharedRows = validation ? [...validation.digests].filter((digest) => training.digests.has(digest)).length : 0;
  return { ...plan, start, files, integrations, sharedRows };
}

/** As the API shows them. */
function planIntegrations({ wandb = false }: ApiDependencies, asked: Integrations): Integrations {
  if (asked.length > 0 && !wandb) {
    const message =
      "Invalid 'integrations': no key of Weights & Biases is configured. Whoever runs this service sets WANDB_API_KEY for the API; or leave 'integrations' out.";
    throw badRequest(message, 'integrations', 'wandb_not_configured');
  }
  return asked.map(({ type, wandb: { project, name, entity, tags } }, i) => {
    const settings = { project, name: name ?? null, entity: entity ?? null, tags: tags ?? [] };
    requireStorable(settings, [`integrations[${i}]`, 'wandb']);
    return { type, wandb: settings };
  });
}

async function planMethod(
  deps: ApiDependencies,
  start: StartingModel,
  request: CreateJobRequest,
  files: JobFiles,
): Promise<MethodPlan> {
  const { method } = request;
  if (request.hyperparameters && method && method.type !== 'supervised') {
    const message = `These belong to supervised jobs. Set 'method.${method.type}.hyperparameters' instead.`;
    throw badRequest(`Invalid 'hyperparameters': ${message}`, 'hyperparameters', 'invalid_value');
  }
  switch (method?.type) {
    case 'reinforcement':
      return planReinforcement(deps, start, method.reinforcement, files);
    case 'dpo':
      return planPreference(deps, start, method.dpo ?? {}, files);
    default: {
      const settings = method?.supervised ?? {};
      // The old place counts where the new one is empty.
      const hyperparameters = settings.hyperparameters ?? request.hyperparameters ?? {};
      return planSupervised(deps, start, { ...settings, hyperparameters }, files);
    }
  }
}

async function planReinforcement(
  deps: ApiDependencies,
  start: StartingModel,
  reinforcement: z.infer<typeof ReinforcementMethod>,
  files: JobFiles,
): Promise<MethodPlan> {
  const path = 'method.reinforcement';
  const grader = await graderOf(reinforcement.grader, deps.graderServices, `${path}.`);
  const outcome = outcomeOf(reinforcement.outcome, grader, `${path}.`);
  requireStorable(grader.config, [path, 'grader']);
  requireStorable(outcome.config, [path, 'outcome']);
  const reading = readingToo(grader, outcome);
  const checked = await check(
    deps,
    start,
    files,
    JSON.stringify(['reinforcement', grader.config, outcome.config]),
    reinforcementRows(reading),
    REINFORCEMENT_ROWS,
  );
  const data = { trainingRows: checked.training.rows, modelParameters: await deps.parameterCount(start.baseModel) };
  const hyperparameters = resolved(path, start, reinforcement.hyperparameters, (given) =>
    resolveHyperparameters(given, data),
  );
  const format = responseFormat(`${path}.response_format`, reinforcement.response_format);
  if (format !== null && hyperparameters.stop.length > 0) {
    const message = "Invalid 'stop': it would cut answers that 'response_format' keeps whole. Leave one of them out.";
    throw badRequest(message, `${path}.hyperparameters.stop`, 'invalid_value');
  }
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
        response_format: format,
      },
    },
  };
}

async function planSupervised(
  deps: ApiDependencies,
  start: StartingModel,
  supervised: z.infer<typeof SupervisedMethod>,
  files: JobFiles,
): Promise<MethodPlan> {
  const path = 'method.supervised';
  const checked = await check(deps, start, files, 'supervised', supervisedRows, imitationRows(deps));
  const data = { trainingRows: checked.training.rows, modelParameters: await deps.parameterCount(start.baseModel) };
  const hyperparameters = resolved(path, start, supervised.hyperparameters, (given) => resolveSupervised(given, data));
  const written = formats(path, supervised, hyperparameters.trainable);
  return { ...checked, method: { type: 'supervised', supervised: { hyperparameters, ...written } } };
}

async function planPreference(
  deps: ApiDependencies,
  start: StartingModel,
  dpo: z.infer<typeof PreferenceMethod>,
  files: JobFiles,
): Promise<MethodPlan> {
  const path = 'method.dpo';
  const checked = await check(deps, start, files, 'dpo', preferenceRows, imitationRows(deps));
  const data = { trainingRows: checked.training.rows, modelParameters: await deps.parameterCount(start.baseModel) };
  const hyperparameters = resolved(path, start, dpo.hyperparameters, (given) => resolvePreference(given, data));
  return {
    ...checked,
    method: { type: 'dpo', dpo: { hyperparameters, ...formats(path, dpo, hyperparameters.trainable) } },
  };
}

function responseFormat(path: string, requested: ResponseFormat | null | undefined): ResponseFormat | null {
  if (requested == null) return null;
  const { type, json_schema } = requested;
  const problem = schemaProblem(json_schema.schema);
  const at = `${path}.json_schema.schema`;
  if (problem !== null)
    throw badRequest(`Invalid '${at}': it is no JSON Schema: ${problem}.`, at, 'invalid_json_schema');
  try {
    compileSchema(json_schema.schema);
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    throw badRequest(`Invalid '${at}': ${error.message}`, at, 'invalid_json_schema');
  }
  requireStorable(json_schema, [path, 'json_schema']);
  return { type, json_schema: { ...json_schema, strict: json_schema.strict ?? false } };
}

/** OpenAI's own bounds. */
const REINFORCEMENT_ROWS: RowBounds = { least: 1, most: { training_file: 50_000, validation_file: 1_000 } };

/** OpenAI's own least; at most what a worker holds in memory at once. */
function imitationRows({ minimumExamples = 10 }: ApiDependencies): RowBounds {
  return { least: minimumExamples, most: { training_file: 1_000_000, validation_file: 100_000 } };
}

/** @param asked which checks these are */
async function check(
  { storage, specialTokens }: ApiDependencies,
  { baseModel }: StartingModel,
  files: JobFiles,
  asked: string,
  rowCheck: RowCheck,
  bounds: RowBounds,
): Promise<{ training: CheckedFile; validation: CheckedFile | null }> {
  const tokens = await specialTokens(baseModel);
  const all = JSON.stringify([bounds.least, tokens, asked]);
  const checked = (file: FileRecord, role: FileRole): Promise<CheckedFile> =>
    checkedFilesOf(storage).find(file.storageKey, `${role} ${all}`, () => {
      const find = tokenFinder(tokens);
      return checkTrainingFile(storage, file, role, (row) => rowCheck(row, find), bounds);
    });
  const training = await checked(files.training, 'training_file');
  const validation = files.validation && (await checked(files.validation, 'validation_file'));
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

async function fineTuneFile(
  { db }: ApiDependencies,
  projectId: string,
  id: string,
  role: FileRole,
): Promise<FileRecord> {
  const file = await getFile(db, projectId, id);
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

/** Hyperparameters, with what a checkpoint that the job starts from decides. */
function resolved<Given extends object, T extends Trained>(
  path: string,
  { checkpoint }: StartingModel,
  given: Given | null | undefined,
  resolve: (given: Given) => T,
): T {
  const named = Object.fromEntries(Object.entries(given ?? {}).filter(([, value]) => value !== 'auto'));
  try {
    const hyperparameters = resolve({ ...(checkpoint && inherited(checkpoint)), ...named } as Given);
    if (checkpoint) requireContinuable(`${path}.hyperparameters`, checkpoint, hyperparameters);
    return hyperparameters;
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

type Trained = { trainable: 'lora' | 'full'; lora: unknown };
type Checkpoint = NonNullable<StartingModel['checkpoint']>;

function inherited({ trainable, lora }: Checkpoint): Partial<Trained> {
  return trainable === 'lora' ? { trainable, lora } : { trainable };
}

/** An adapter goes on as it is made, and one beside weights that were trained would need those weights wherever it goes. */
function requireContinuable(path: string, checkpoint: Checkpoint, { trainable, lora }: Trained): void {
  if (trainable === 'full') return;
  if (checkpoint.trainable === 'full') {
    const message = "the model was trained in all its weights, so it goes on with 'full'; leave 'trainable' out";
    throw badRequest(`Invalid '${path}.trainable': ${message}.`, `${path}.trainable`, 'invalid_hyperparameter');
  }
  if (isDeepStrictEqual(lora, checkpoint.lora)) return;
  const message = `the model's adapter was made with ${JSON.stringify(checkpoint.lora)} and goes on as such; leave 'lora' out, or set trainable to 'full'`;
  throw badRequest(`Invalid '${path}.lora': ${message}.`, `${path}.lora`, 'invalid_hyperparameter');
}
