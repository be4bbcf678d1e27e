import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ModelConfig } from './config.js';
import { familyOf, parseModelConfig } from './families/index.js';
import { readGgufModel } from './gguf/index.js';
import type { Weights } from './policy.js';
import { readWeights } from './safetensors.js';

/** A model in Hugging Face layout. */
export interface ModelFolder {
  readonly config: ModelConfig;
  readonly weights: Weights;
  /** everything but the weights, by file name: config, tokenizer, chat template, generation settings */
  readonly otherFiles: ReadonlyMap<string, Uint8Array>;
}

/** What a folder's model needs beside its weights. Anything else (READMEs, other formats) stays behind. */
export const CARRIED_FILES: ReadonlySet<string> = new Set([
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
]);

/**
 * A model of the registry, wherever it lies: a folder in Hugging Face layout, or one GGUF file.
 *
 * @throws UnsupportedConfigError naming the field of a config that this package cannot run
 * @throws Error when files are missing or damaged
 */
export async function readModel(path: string): Promise<ModelFolder> {
  if (!path.endsWith('.gguf')) return readModelFolder(path);
  // The config is checked before any weight is read.
  const { config, weights, otherFiles } = await readGgufModel(path, parseModelConfig);
  return { config: parseModelConfig(config), weights, otherFiles };
}

/**
 * The same without the weights, which are not read.
 *
 * @throws as `readModel` does
 */
export async function readModelDescription(path: string): Promise<Omit<ModelFolder, 'weights'>> {
  if (!path.endsWith('.gguf')) return readDescription(path);
  const { config, otherFiles } = await readGgufModel(path, parseModelConfig, false);
  return { config: parseModelConfig(config), otherFiles };
}

/**
 * @throws UnsupportedConfigError naming the field of a config that this package cannot run
 * @throws Error when config.json or the weights are missing or damaged
 */
export async function readModelFolder(dir: string): Promise<ModelFolder> {
  const { config, otherFiles } = await readDescription(dir);
  const weights: Record<string, Weights[string]> = {};
  for (const [nameInFile, tensor] of Object.entries(await readWeights((name) => readFile(join(dir, name))))) {
    const name = familyOf(config).parameterName(nameInFile);
    if (name !== null) weights[name] = tensor;
  }
  return { config, weights, otherFiles };
}

async function readDescription(dir: string): Promise<Omit<ModelFolder, 'weights'>> {
  const names = (await readdir(dir)).filter((name) => CARRIED_FILES.has(name)).sort();
  const otherFiles = new Map<string, Uint8Array>();
  for (const name of names) otherFiles.set(name, await readFile(join(dir, name)));
  const configBytes = otherFiles.get('config.json');
  if (configBytes === undefined) throw new Error(`${dir} has no config.json`);
  const config = parseModelConfig(JSON.parse(new TextDecoder().decode(configBytes)));
  return { config, otherFiles };
}
