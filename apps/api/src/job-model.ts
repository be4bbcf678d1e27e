import { findServedModel } from '@polymode/db';
import { findBaseModel } from './base-models.js';
import type { ApiDependencies } from './dependencies.js';
import { badRequest } from './errors.js';

/** What a job starts from. */
export interface StartingModel {
  /** As the request names it, or the base model that the name stands for. */
  readonly model: string;
  readonly baseModel: string;
  /** null: the base model itself. */
  readonly checkpoint: {
    readonly id: string;
    /** What its job trained, all weights or an adapter, and how the adapter is made. */
    readonly trainable: 'lora' | 'full';
    readonly lora: Readonly<Record<string, unknown>>;
  } | null;
}

/**
 * Looks a job's `model` up: a base model, or a fine-tuned model or checkpoint that the project may use.
 *
 * @throws ApiError 400 that says which models there are
 */
export async function startingModel(deps: ApiDependencies, projectId: string, model: string): Promise<StartingModel> {
  const base = findBaseModel(deps, model);
  if (base) return { model: base.id, baseModel: base.id, checkpoint: null };
  const known = deps.listBaseModels().map(({ id }) => id);
  const served = model.startsWith('ft:') ? await findServedModel(deps.db, projectId, model) : null;
  if (served && known.includes(served.baseModel)) {
    const { trainable, lora } = trainedHow(served.method);
    return { model, baseModel: served.baseModel, checkpoint: { id: served.checkpoint.id, trainable, lora } };
  }
  const reason = served
    ? `is made of the base model '${served.baseModel}', which is not here any more`
    : 'does not exist';
  const advice = known.length > 0 ? `Base models here: ${known.join(', ')}.` : 'No base models are installed.';
  const remedy = /^[\w.-]+\/[\w.-]+$/.test(model)
    ? ` Fetch it with: polymode models pull ${model}`
    : ` POLYMODE_MODEL_ALIASES of the API lets other names stand for them.`;
  throw badRequest(`The model '${model}' ${reason}. ${advice}${served ? '' : remedy}`, 'model', 'model_not_found');
}

/** Of a resolved method, whichever it is. */
function trainedHow(method: Record<string, unknown>): { trainable: 'lora' | 'full'; lora: Record<string, unknown> } {
  const settings = method[String(method.type)] as { hyperparameters: Record<string, unknown> };
  const { trainable, lora } = settings.hyperparameters;
  return { trainable: trainable === 'full' ? 'full' : 'lora', lora: (lora ?? {}) as Record<string, unknown> };
}
