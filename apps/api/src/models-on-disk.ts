import { type BaseModel, listBaseModels, parameterCount, specialTokens } from '@polymode/policy/registry';
import type { ApiDependencies } from './dependencies.js';

/** Milliseconds that the folders count as they were: a burst of requests looks once. */
const LOOK_MS = 1000;

/** The base models in some folders, as they were up to a second ago. */
export function modelsIn(
  dirs: readonly string[],
): Pick<ApiDependencies, 'listBaseModels' | 'parameterCount' | 'specialTokens'> {
  let models: BaseModel[] = [];
  let lookedAt = Number.NEGATIVE_INFINITY;
  const read: Map<string, unknown>[] = [];
  const list = (): BaseModel[] => {
    const now = performance.now();
    if (now - lookedAt >= LOOK_MS) {
      models = listBaseModels(dirs);
      lookedAt = now;
      for (const known of read) known.clear();
    }
    return models;
  };
  /** What is read of a model's files. A damaged one fails the job, with what is wrong with it; it is no reason to refuse the request. */
  const reading = <T>(from: (model: BaseModel) => Promise<T>, otherwise: T): ((id: string) => Promise<T>) => {
    const known = new Map<string, Promise<T>>();
    read.push(known);
    return async (id) => {
      const model = list().find((one) => one.id === id);
      if (!model) return otherwise;
      const found = known.get(id) ?? from(model).catch(() => otherwise);
      known.set(id, found);
      return found;
    };
  };
  return {
    listBaseModels: list,
    parameterCount: reading<number | undefined>(parameterCount, undefined),
    specialTokens: reading(specialTokens, []),
  };
}
