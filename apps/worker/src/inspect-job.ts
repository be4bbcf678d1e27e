import type { Device } from '@polymode/autodiff';
import type { InspectedRows, InspectRequest, InspectResponse } from '@polymode/contracts';
import { findBaseModel } from '@polymode/policy/registry';
import { ObjectNotFoundError, type Storage } from '@polymode/storage';
import { type InspectedFile, type InspectOptions, inspectJob as inspect, TrainerInputError } from '@polymode/trainer';
import { InferenceError } from './inference/inference-error.js';
import { storedRows } from './stored-rows.js';

export interface InspectContext {
  readonly storage: Storage;
  readonly modelDirs: readonly string[];
  readonly device: Pick<Device, 'provider'>;
}

/** Rows beyond the context that are named. */
const MOST_NAMED = 10;

/**
 * What a job comes to in tokens and memory on this worker, of which nothing is stored yet but its files.
 *
 * @throws InferenceError 400 for settings that the model does not take, 404 for a model or file that is not here
 */
export async function inspectJob(
  { storage, modelDirs, device }: InspectContext,
  { baseModel, method, trainingFile, validationFile }: InspectRequest,
  signal?: AbortSignal,
): Promise<InspectResponse> {
  const model = findBaseModel(baseModel, modelDirs);
  if (model === undefined) throw new InferenceError(404, `this worker has no base model '${baseModel}'`);
  const lines = { training: [] as number[], validation: [] as number[] };
  const files = <Row>() => ({
    trainRows: storedRows<Row>(storage, trainingFile.storageKey, lines.training),
    validationRows: validationFile && storedRows<Row>(storage, validationFile.storageKey, lines.validation),
  });
  const options: InspectOptions = {
    modelPath: model.path,
    device: device.provider,
    ...(signal && { signal }),
    ...settingsOf(method, files),
  };
  try {
    const found = await inspect(options);
    return {
      rowTokens: Math.max(0, found.room),
      training: rowsOf(found.training, lines.training),
      validation: found.validation && rowsOf(found.validation, lines.validation),
      memory: {
        total_bytes: Math.ceil(found.totalBytes),
        parts: Object.fromEntries(Object.entries(found.memory).map(([name, bytes]) => [name, Math.ceil(bytes)])),
        budget_bytes: found.limitBytes,
        fits: found.problems.length === 0,
      },
      problems: [...found.problems],
    };
  } catch (error) {
    if (error instanceof TrainerInputError) {
      throw new InferenceError(400, error.message, { param: error.param, code: error.code, cause: error });
    }
    if (error instanceof ObjectNotFoundError) throw new InferenceError(404, error.message, { cause: error });
    throw error;
  }
}

type Files = <Row>() => { trainRows: AsyncIterable<Row>; validationRows: AsyncIterable<Row> | null };

function settingsOf(method: InspectRequest['method'], files: Files) {
  switch (method.type) {
    case 'reinforcement':
      return { ...files<never>(), method: method.type, hyperparameters: method.reinforcement.hyperparameters };
    case 'supervised':
      return { ...files<never>(), method: method.type, hyperparameters: method.supervised.hyperparameters };
    case 'dpo':
      return { ...files<never>(), method: method.type, hyperparameters: method.dpo.hyperparameters };
  }
}

function rowsOf({ tokens, beyond }: InspectedFile, lines: readonly number[]): InspectedRows {
  const sorted = [...tokens].sort((a, b) => a - b);
  const total = sorted.reduce((sum, count) => sum + count, 0);
  // The least number that 95 of 100 rows do not exceed.
  const p95 = sorted[Math.max(0, Math.ceil(0.95 * sorted.length) - 1)] ?? 0;
  return {
    tokens: { min: sorted[0] ?? 0, mean: total / Math.max(1, sorted.length), p95, max: sorted.at(-1) ?? 0, total },
    beyondContext: beyond.length,
    longest: beyond.slice(0, MOST_NAMED).map((i) => ({ line: lines[i]!, tokens: tokens[i]! })),
  };
}
