import { Model, ModelDeleted, ModelList } from '../models.js';
import { operation } from '../operation.js';

const tag = 'Models';

export const modelOperations = {
  listModels: operation({
    id: 'listModels',
    method: 'GET',
    path: '/models',
    tag,
    scope: 'read',
    summary: 'List base models, fine-tuned models and checkpoints',
    response: ModelList,
  }),
  retrieveModel: operation({
    id: 'retrieveModel',
    method: 'GET',
    path: '/models/{model*}',
    tag,
    scope: 'read',
    summary: 'Look at a model',
    response: Model,
  }),
  deleteModel: operation({
    id: 'deleteModel',
    method: 'DELETE',
    path: '/models/{model*}',
    tag,
    scope: 'write',
    summary: 'Delete a fine-tuned model or a checkpoint, with its weights',
    response: ModelDeleted,
  }),
} as const;
