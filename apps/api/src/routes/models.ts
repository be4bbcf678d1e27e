import type { Model, ModelList } from '@polymode/contracts';
import { listCheckpointModels, listFineTunedModels } from '@polymode/db';
import type { FastifyInstance } from 'fastify';
import type { ApiDependencies } from '../dependencies.js';
import { ApiError } from '../errors.js';
import { toSeconds } from '../ids.js';

/** Base models, fine-tuned models and checkpoints. */
export async function modelRoutes(app: FastifyInstance, deps: ApiDependencies): Promise<void> {
  app.get('/models', async (): Promise<ModelList> => ({ object: 'list', data: await allModels(deps) }));

  // A wildcard: ids have slashes and colons, and some clients do not encode the slash.
  app.get<{ Params: { '*': string } }>('/models/*', async (request): Promise<Model> => {
    const id = request.params['*'];
    const model = (await allModels(deps)).find((one) => one.id === id);
    if (model) return model;
    throw new ApiError(404, {
      message: `The model '${id}' does not exist. GET /v1/models lists those that do.`,
      param: 'model',
      code: 'model_not_found',
    });
  });
}

async function allModels({ db, listBaseModels, organizationId }: ApiDependencies): Promise<Model[]> {
  const [fineTuned, checkpoints] = await Promise.all([listFineTunedModels(db), listCheckpointModels(db)]);
  const toModel = (id: string, created: number, ownedBy: string): Model => ({
    id,
    object: 'model',
    created,
    owned_by: ownedBy,
  });
  return [
    ...listBaseModels().map((base) => toModel(base.id, base.createdAt, 'polymode')),
    ...fineTuned.map((tuned) => toModel(tuned.model, toSeconds(tuned.createdAt), organizationId)),
    ...checkpoints.map((checkpoint) => toModel(checkpoint.model, toSeconds(checkpoint.createdAt), organizationId)),
  ];
}
