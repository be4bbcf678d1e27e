import { createHash } from 'node:crypto';
import { findServedModel } from '@polymode/db';
import { findBaseModel } from '../base-models.js';
import type { ApiDependencies } from '../dependencies.js';
import { modelNotFound } from '../errors.js';

/** The weights behind a model's name. */
export interface Weights {
  /** As the request names it, or the base model that the name stands for. */
  readonly model: string;
  readonly baseModel: string;
  /** null: the base model itself. */
  readonly checkpointId: string | null;
  /** The same for the same weights. */
  readonly fingerprint: string;
}

/**
 * Looks a model up that a project may use: a base model, or a fine-tuned model or checkpoint of its own or one that another
 * project lets it use.
 *
 * @throws ApiError 404, also for models of others: nobody learns that they are there
 */
export async function servedModel(
  deps: Pick<ApiDependencies, 'db' | 'listBaseModels' | 'modelAliases'>,
  projectId: string,
  model: string,
): Promise<Weights> {
  const base = findBaseModel(deps, model);
  if (base) return weights(base.id, base.id, null);
  // No name holds what PostgreSQL's text cannot.
  if (!model.startsWith('ft:') || /[\0\p{Surrogate}]/u.test(model)) throw modelNotFound(model);
  const served = await findServedModel(deps.db, projectId, model);
  if (!served) throw modelNotFound(model);
  return weights(model, served.baseModel, served.checkpoint.id);
}

function weights(model: string, baseModel: string, checkpointId: string | null): Weights {
  const hash = createHash('sha256')
    .update(JSON.stringify([baseModel, checkpointId]))
    .digest('hex');
  return { model, baseModel, checkpointId, fingerprint: `fp_${hash.slice(0, 10)}` };
}
