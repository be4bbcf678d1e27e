import { gatedDecoder } from './gated-decoder.js';
import { gpt2 } from './gpt2.js';
import type { GgufHeader } from './header.js';
import type { Metadata } from './metadata.js';

/** A Hugging Face `config.json`. */
export type Config = Readonly<Record<string, unknown>>;

/** How llama.cpp writes a model family: names, shapes and metadata of both sides. One per `general.architecture`. */
export interface GgufFamily {
  /** @throws GgufError for what Hugging Face's form of the family cannot say */
  readConfig(metadata: Metadata, header: GgufHeader): Config;
  /** Every tensor of a config, in a fixed order; `lm_head.weight` only where embeddings are not tied. */
  tensors(config: Config): TensorPlan[];
  /** Metadata under the architecture's name, without the tokenizer's. @throws GgufError for what llama.cpp cannot say */
  writeConfig(config: Config): MetadataEntry[];
  /** Tensors of a file that are no weights. */
  readonly ignored: RegExp | null;
}

export interface TensorPlan {
  readonly gguf: string;
  readonly huggingFace: string;
  /** Hugging Face's */
  readonly shape: readonly number[];
  /**
   * How the rows of Hugging Face lie in the file. `heads`: llama.cpp turns neighbours (2j, 2j + 1) of a head where
   * Hugging Face turns (j, j + D/2), so the rows of each of this many heads are interleaved. `transposed`: GPT-2's
   * matrices are [in, out] in Hugging Face only.
   */
  readonly layout: 'same' | 'transposed' | { readonly heads: number };
  /** stays float32 in a file of halves, as all vectors do */
  readonly exact?: boolean;
}

export interface MetadataEntry {
  readonly key: string;
  readonly type: 'u32' | 'i32' | 'f32' | 'bool' | 'string' | 'strings' | 'i32s' | 'f32s';
  readonly value: number | boolean | string | readonly string[] | readonly number[];
}

/** By `general.architecture`. Mistral is saved as a Llama. */
export const ggufFamilies: ReadonlyMap<string, GgufFamily> = new Map([
  ['llama', gatedDecoder('llama', { interleavedHeads: true })],
  ['qwen2', gatedDecoder('qwen2', { inputBiases: true })],
  ['qwen3', gatedDecoder('qwen3', { headNorms: true })],
  ['gpt2', gpt2],
]);

/** `general.architecture` by `model_type` of config.json. */
export const architectureOf: ReadonlyMap<unknown, string> = new Map([
  ['llama', 'llama'],
  ['mistral', 'llama'],
  ['qwen2', 'qwen2'],
  ['qwen3', 'qwen3'],
  ['gpt2', 'gpt2'],
]);
