/** Base models on this machine. Loads nothing heavy: the API uses it to know what there is. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface BaseModel {
  /** the folder's name */
  readonly id: string;
  readonly dir: string;
  /** Unix seconds: when its config was written here */
  readonly createdAt: number;
}

const SHIPPED = fileURLToPath(new URL('../models', import.meta.url));

/**
 * The models that ship with the project and those in other folders, by id. An extra folder may be a model itself or
 * hold models; the first of two with one id wins, shipped ones first.
 */
export function listBaseModels(extraDirs: readonly string[] = []): BaseModel[] {
  const found = new Map<string, BaseModel>();
  for (const dir of [SHIPPED, ...extraDirs.map((d) => resolve(d))]) {
    if (!existsSync(dir)) continue;
    const candidates = isModel(dir)
      ? [dir]
      : readdirSync(dir)
          .sort()
          .map((name) => join(dir, name));
    for (const candidate of candidates.filter(isModel)) {
      const id = basename(candidate);
      const createdAt = Math.floor(statSync(join(candidate, 'config.json')).mtimeMs / 1000);
      if (!found.has(id)) found.set(id, { id, dir: candidate, createdAt });
    }
  }
  return [...found.values()];
}

export function findBaseModel(id: string, extraDirs: readonly string[] = []): BaseModel | undefined {
  return listBaseModels(extraDirs).find((model) => model.id === id);
}

function isModel(dir: string): boolean {
  return (
    existsSync(join(dir, 'config.json')) &&
    ['model.safetensors', 'model.safetensors.index.json'].some((name) => existsSync(join(dir, name)))
  );
}
