import type { ApiDependencies, BaseModel } from './dependencies.js';

/**
 * What names of another service stand for here, so that code which names its models need not change. A name may end with `*`,
 * for whatever comes there; the first that fits counts.
 */
export type ModelAliases = Readonly<Record<string, string>>;

type Models = Pick<ApiDependencies, 'listBaseModels' | 'modelAliases'>;

/** The base model of that name, or that the name stands for; undefined when it is not here. */
export function findBaseModel({ listBaseModels, modelAliases = {} }: Models, name: string): BaseModel | undefined {
  const models = listBaseModels();
  const named = models.find(({ id }) => id === name);
  if (named) return named;
  const meant = Object.entries(modelAliases).find(([alias]) => fits(alias, name))?.[1];
  return models.find(({ id }) => id === meant);
}

/** Base models by their own names, and by those that stand for one that is here. */
export function namedBaseModels(deps: Models): BaseModel[] {
  const own = deps.listBaseModels();
  const names = Object.keys(deps.modelAliases ?? {}).filter(
    (name) => !name.endsWith('*') && !own.some(({ id }) => id === name),
  );
  const others = names.flatMap((name) => {
    const model = findBaseModel(deps, name);
    return model ? [{ ...model, id: name }] : [];
  });
  return [...own, ...others];
}

function fits(alias: string, name: string): boolean {
  // Those of our own fine-tuned models mean nothing else.
  if (name.startsWith('ft:')) return false;
  return alias.endsWith('*') ? name.startsWith(alias.slice(0, -1)) : name === alias;
}
