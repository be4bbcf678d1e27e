/** Base models on this machine. Loads nothing heavy: the API uses it to know what there is. */
import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ggufParameterCount } from './gguf/model.js';

export { specialTokens } from './special-tokens.js';

export interface BaseModel {
  /** the folder's name, with its owner's where it is from a hub, or the file's without `.gguf` */
  readonly id: string;
  /** a folder in Hugging Face layout, or one GGUF file */
  readonly format: 'safetensors' | 'gguf';
  /** of that folder or file */
  readonly path: string;
  /** the folder that the model's files are in */
  readonly dir: string;
  /** Unix seconds: when its config, or the file, was written here */
  readonly createdAt: number;
}

const SHIPPED = fileURLToPath(new URL('../models', import.meta.url));
const WEIGHTS = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const GGUF = '.gguf';

/**
 * The models that ship with the project and those in other folders, by id. An extra folder may be a model itself or
 * hold models; the first of two with one id wins, shipped ones first.
 */
export function listBaseModels(extraDirs: readonly string[] = []): BaseModel[] {
  const found = new Map<string, BaseModel>();
  for (const dir of [SHIPPED, ...extraDirs.map((d) => resolve(d))]) {
    if (!existsSync(dir)) continue;
    const itself = modelAt(dir);
    const models = itself === null && statSync(dir).isDirectory() ? modelsIn(dir) : [itself];
    for (const model of models) if (model !== null && !found.has(model.id)) found.set(model.id, model);
  }
  return [...found.values()];
}

export function findBaseModel(id: string, extraDirs: readonly string[] = []): BaseModel | undefined {
  return listBaseModels(extraDirs).find((model) => model.id === id);
}

/**
 * How many parameters a model has, read from the headers of its files.
 *
 * @throws Error when a file is damaged
 */
export async function parameterCount(model: BaseModel): Promise<number> {
  if (model.format === 'gguf') return ggufParameterCount(model.path);
  const counts = await Promise.all((await shardsOf(model.path)).map(countInSafetensors));
  return counts.reduce((a, b) => a + b, 0);
}

/** Models in a folder, and in folders of owners in it, as in `Qwen/Qwen3-0.6B`. */
function modelsIn(dir: string): (BaseModel | null)[] {
  const inside = (path: string): string[] => (statSync(path).isDirectory() ? readdirSync(path).sort() : []);
  // What begins with a dot is on its way.
  return inside(dir)
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) => {
      const path = join(dir, name);
      const itself = modelAt(path);
      if (itself !== null) return [itself];
      return inside(path).map((own) => {
        const model = own.startsWith('.') ? null : modelAt(join(path, own));
        return model?.format === 'safetensors' ? { ...model, id: `${name}/${own}` } : null;
      });
    });
}

/**
 * Where models are kept beside those that ship: `models` in the data folder, and the folders of a list.
 *
 * @param list POLYMODE_MODELS_DIR: folders with colons between them
 */
export function modelDirs(dataDir: string, list: string | undefined): string[] {
  return [join(dataDir, 'models'), ...(list ?? '').split(':').filter(Boolean)].map((dir) => resolve(dir));
}

/** The model that a path is, if it is one. */
function modelAt(path: string): BaseModel | null {
  const createdAt = (file: string): number => Math.floor(statSync(file).mtimeMs / 1000);
  if (isGguf(path)) {
    return { id: basename(path, GGUF), format: 'gguf', path, dir: dirname(path), createdAt: createdAt(path) };
  }
  const config = join(path, 'config.json');
  if (!existsSync(config) || ![WEIGHTS, INDEX].some((name) => existsSync(join(path, name)))) return null;
  return { id: basename(path), format: 'safetensors', path, dir: path, createdAt: createdAt(config) };
}

/** A file of that name that begins as the format does; half of a download does too. */
function isGguf(path: string): boolean {
  if (!path.endsWith(GGUF) || !existsSync(path) || !statSync(path).isFile()) return false;
  const file = openSync(path, 'r');
  try {
    const magic = Buffer.alloc(4);
    readSync(file, magic, 0, 4, 0);
    return magic.toString('latin1') === 'GGUF';
  } finally {
    closeSync(file);
  }
}

async function shardsOf(dir: string): Promise<string[]> {
  if (existsSync(join(dir, WEIGHTS))) return [join(dir, WEIGHTS)];
  const { weight_map: map } = JSON.parse(await readFile(join(dir, INDEX), 'utf8')) as { weight_map: object };
  return [...new Set(Object.values(map) as string[])].map((name) => join(dir, basename(name)));
}

/** The format's own bound on its header. */
const MAX_HEADER = 100_000_000;

async function countInSafetensors(path: string): Promise<number> {
  const file = await open(path, 'r');
  try {
    const length = Number((await readBytes(file, 0, 8)).readBigUInt64LE());
    if (length > MAX_HEADER) throw new Error(`${path} is no safetensors file: it claims a header of ${length} bytes`);
    const header = JSON.parse((await readBytes(file, 8, length)).toString()) as Record<string, { shape?: number[] }>;
    // Its metadata has no shape.
    return Object.values(header).reduce((sum, { shape }) => sum + (shape?.reduce((a, b) => a * b, 1) ?? 0), 0);
  } finally {
    await file.close();
  }
}

async function readBytes(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, position);
  if (bytesRead < length) throw new Error(`the file ends at byte ${position + bytesRead}, in its header`);
  return buffer;
}
