import type { Weights } from '../policy.js';
import { GgufError } from './error.js';
import { type Config, ggufFamilies, type TensorPlan } from './families.js';
import { GgufFile } from './file.js';
import { toHuggingFace } from './layout.js';
import { Metadata } from './metadata.js';
import { scalingOfDivisors } from './rotary-scaling.js';
import { readSpecialTokens, readTokenizer } from './tokenizer-read.js';

export interface GgufModel {
  /** a Hugging Face `config.json` */
  readonly config: Config;
  /** by Hugging Face parameter name, in Hugging Face's shapes and order of rows */
  readonly weights: Weights;
  /** config.json, generation_config.json, tokenizer.json, tokenizer_config.json, chat_template.jinja where there is one */
  readonly otherFiles: ReadonlyMap<string, Uint8Array>;
}

/**
 * A GGUF file as the Hugging Face folder that it was made from.
 *
 * @param accept is given the config before any tensor is read, and throws to refuse it
 * @param withWeights false: everything but the weights
 * @throws GgufError naming what is damaged or not supported
 */
export async function readGgufModel(
  path: string,
  accept?: (config: Config) => void,
  withWeights = true,
): Promise<GgufModel> {
  const file = await GgufFile.open(path);
  try {
    const metadata = new Metadata(file.header.metadata);
    const architecture = metadata.string('general.architecture');
    const family = ggufFamilies.get(architecture);
    if (family === undefined) {
      const known = [...ggufFamilies.keys()].join(', ');
      throw new GgufError(`general.architecture is ${architecture}; supported are ${known}`);
    }
    const tokenizer = readTokenizer(metadata, architecture, file.tensor('token_embd.weight').shape[0]!);
    const config = {
      ...family.readConfig(metadata, file.header),
      ...tokenizer.ids,
      torch_dtype: 'float32',
    } as Record<string, unknown>;
    await readDivisors(file, architecture, config);
    // Older files of tied models repeat the embeddings.
    if (config.tie_word_embeddings === false && (await file.equal('token_embd.weight', 'output.weight'))) {
      config.tie_word_embeddings = true;
    }
    accept?.(config);
    const plans = family.tensors(config);
    checkTensors(file, plans, family.ignored);
    const weights: Record<string, { shape: readonly number[]; data: Float32Array }> = {};
    for (const plan of withWeights ? plans : []) {
      weights[plan.huggingFace] = { shape: plan.shape, data: toHuggingFace(await file.read(plan.gguf), plan) };
    }
    const otherFiles = new Map([['config.json', json(config)]]);
    for (const [name, content] of Object.entries(tokenizer.files)) {
      otherFiles.set(name, typeof content === 'string' ? new TextEncoder().encode(content) : json(content));
    }
    return { config, weights, otherFiles };
  } finally {
    await file.close();
  }
}

/** How many values the weights have, from the header alone. */
export async function ggufParameterCount(path: string): Promise<number> {
  const file = await GgufFile.open(path);
  await file.close();
  let count = 0;
  for (const { name, shape } of file.header.tensors.values()) {
    if (name !== 'rope_freqs.weight') count += shape.reduce((a, b) => a * b, 1);
  }
  return count;
}

/** Tokens that no text is to hold, from the header alone. @throws GgufError for a file without a vocabulary */
export async function ggufSpecialTokens(path: string): Promise<string[]> {
  const file = await GgufFile.open(path);
  await file.close();
  return readSpecialTokens(new Metadata(file.header.metadata));
}

const json = (value: unknown): Uint8Array => new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);

/** Llama 3's scaling is a tensor in the file and numbers in config.json. */
async function readDivisors(file: GgufFile, architecture: string, config: Record<string, unknown>): Promise<void> {
  if (!file.header.tensors.has('rope_freqs.weight')) return;
  const divisors = await file.read('rope_freqs.weight');
  if (2 * divisors.length !== config.head_dim) {
    throw new GgufError(`rope_freqs.weight has ${divisors.length} values for heads of ${config.head_dim}`);
  }
  const context = file.header.metadata.get(`${architecture}.rope.scaling.original_context_length`);
  const scaling = scalingOfDivisors(
    divisors,
    config.rope_theta as number,
    typeof context === 'number' ? context : undefined,
  );
  if (scaling === null) return;
  if (config.rope_scaling !== null) throw new GgufError('rope_freqs.weight stands beside another scaling');
  config.rope_scaling =
    typeof scaling === 'number' ? { rope_type: 'linear', factor: scaling } : { rope_type: 'llama3', ...scaling };
}

/** Everything the config asks for, in its shape, and nothing else. */
function checkTensors(file: GgufFile, plans: readonly TensorPlan[], ignored: RegExp | null): void {
  const wanted = new Set(plans.map((plan) => plan.gguf));
  for (const { gguf, shape, layout } of plans) {
    const stored = layout === 'transposed' ? [...shape].reverse() : shape;
    const found = file.tensor(gguf).shape;
    if (found.join() !== stored.join()) {
      throw new GgufError(`tensor ${gguf} has shape [${found}], but the metadata asks for [${stored}]`);
    }
  }
  for (const name of file.header.tensors.keys()) {
    // A tied model's second copy of its embeddings.
    if (wanted.has(name) || name === 'output.weight' || ignored?.test(name)) continue;
    throw new GgufError(`tensor ${name} has no place in a model of this architecture`);
  }
}
