import { type Model, type ModelDeleted, type ModelList, operations } from '@polymode/contracts';
import { type Caller, deleteTunedModel, findServedModel, listTunedModels } from '@polymode/db';
import type { FastifyInstance } from 'fastify';
import { findBaseModel, namedBaseModels } from '../base-models.js';
import type { ApiDependencies } from '../dependencies.js';
import { ApiError, modelNotFound } from '../errors.js';
import { deleteCheckpointFiles } from '../housekeeping.js';
import { toSeconds } from '../ids.js';
import { serve } from '../serve.js';

/** Base models, fine-tuned models and checkpoints. */
export async function modelRoutes(app: FastifyInstance, deps: ApiDependencies): Promise<void> {
  const { db, storage } = deps;
  const baseModels = (): Model[] => namedBaseModels(deps).map((base) => toModel(base.id, base.createdAt, 'polymode'));

  const tunedModels = async ({ projectId }: Caller, model?: string): Promise<Model[]> => {
    const tuned = await listTunedModels(db, projectId, model);
    return tuned.map((one) => toModel(one.model, toSeconds(one.createdAt), one.organizationId));
  };

  serve(app, operations.listModels, async ({ caller }): Promise<ModelList> => {
    return { object: 'list', data: [...baseModels(), ...(await tunedModels(caller))] };
  });

  serve(app, operations.retrieveModel, async ({ params, caller }): Promise<Model> => {
    const base = findBaseModel(deps, params.model);
    if (base) return toModel(params.model, base.createdAt, 'polymode');
    const [tuned] = await tunedModels(caller, params.model);
    if (tuned) return tuned;
    throw modelNotFound(params.model);
  });

  serve(app, operations.deleteModel, async ({ params: { model }, caller }, request): Promise<ModelDeleted> => {
    const { projectId } = caller;
    if (await deleteTunedModel(db, projectId, model)) {
      // What is left when this fails, the housekeeper deletes.
      await deleteCheckpointFiles(db, storage).catch((err) => request.log.warn({ err }, 'files of a model remain'));
      return { id: model, object: 'model', deleted: true };
    }
    const base = findBaseModel(deps, model);
    if (!base && (await findServedModel(db, projectId, model)) === null) throw modelNotFound(model);
    const reason = base
      ? 'is a base model. Whoever runs this service deletes it from its models folder.'
      : 'belongs to another project, which lets this one use it.';
    throw new ApiError(403, {
      message: `The model '${model}' ${reason}`,
      param: 'model',
      code: 'model_not_deletable',
    });
  });
}

function toModel(id: string, created: number, ownedBy: string): Model {
  return { id, object: 'model', created, owned_by: ownedBy };
}
