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
  const counts = new Map<string, Promise<number | undefined>>();
  const list = (): BaseModel[] => {
    const now = performance.now();
    if (now - lookedAt >= LOOK_MS) {
      models = listBaseModels(dirs);
      lookedAt = now;
      counts.clear();
    }
    return models;
  };
  return {
    listBaseModels: list,
    parameterCount: async (id) => {
      const model = list().find((one) => one.id === id);
      if (!model) return undefined;
      let count = counts.get(id);
      if (!count) {
        // A damaged file fails the job, with what is wrong with it; it is no reason to refuse the request.
        count = parameterCount(model).catch(() => undefined);
        counts.set(id, count);
      }
      return count;
    },
    specialTokens: async (id) => {
      const model = list().find((one) => one.id === id);
      return model ? specialTokens(model).catch(() => []) : [];
    },
  };
}
