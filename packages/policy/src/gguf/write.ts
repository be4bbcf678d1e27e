import type { Weights } from '../policy.js';
import { ALIGNMENT, aligned, encodeHeader, type TensorEntry } from './encode.js';
import { GgufError } from './error.js';
import { architectureOf, type Config, ggufFamilies, type MetadataEntry, type TensorPlan } from './families.js';
import { headDimOf, rotaryOf, slidingWindow } from './gated-decoder.js';
import { fromHuggingFace } from './layout.js';
import { Q8_0_BLOCK, toF16, toQ8_0 } from './quantize.js';
import { llama3Divisors } from './rotary-scaling.js';
import { tokenizerMetadata } from './tokenizer-write.js';

/** A GGUF file to be: its bytes in order, as often as they are asked for. */
export interface GgufOutput extends AsyncIterable<Uint8Array> {
  readonly byteLength: number;
  /** where llama.cpp will not do just what the model does; to be told to the user */
  readonly warnings: readonly string[];
}

/** Values turned into bytes at once. */
const SLICE = 2 ** 20;

/** `general.file_type` of llama.cpp */
const FILE_TYPES = { F16: 1, Q8_0: 7 } as const;

/**
 * A model as llama.cpp's converter writes it: its names, order of rows and metadata. Vectors stay float32; of the rest
 * all is of the type asked for, but for matrices whose rows Q8_0's blocks of 32 do not divide: those are F16.
 *
 * Equal models give equal bytes. Bytes are made while they are read, so the file is never in memory whole.
 *
 * @throws GgufError for a family, config, tokenizer or weight that such a file cannot hold; a value too large for the
 * type throws only when it is reached
 */
export function writeGguf(
  model: { readonly config: Config; readonly weights: Weights; readonly otherFiles: ReadonlyMap<string, Uint8Array> },
  type: 'F16' | 'Q8_0',
  /** what programs show the model as */
  name?: string,
): GgufOutput {
  const { config } = model;
  const architecture = architectureOf.get(config.model_type);
  const family = ggufFamilies.get(architecture ?? '');
  if (architecture === undefined || family === undefined) {
    const known = [...architectureOf.keys()].join(', ');
    throw new GgufError(`config.json: model_type is ${JSON.stringify(config.model_type)}, but must be one of ${known}`);
  }
  const plans = family.tensors(config);
  const tensors = plans.map((plan) => {
    const data = findWeight(model.weights, plan);
    return { entry: entryOf(plan, type), slices: () => encodeTensor(plan, data, type) };
  });
  refuseOthers(model.weights, plans);
  const divisors = rotaryDivisors(architecture, config);
  if (divisors !== null) {
    const name = 'rope_freqs.weight';
    const plan: TensorPlan = { gguf: name, huggingFace: name, shape: [divisors.length], layout: 'same' };
    tensors.unshift({ entry: entryOf(plan, type), slices: () => encodeTensor(plan, divisors, type) });
  }
  const tokenizer = tokenizerMetadata(model.otherFiles, config, plans[0]!.shape[0]!);
  const metadata: MetadataEntry[] = [
    { key: 'general.architecture', type: 'string', value: architecture },
    { key: 'general.type', type: 'string', value: 'model' },
    ...(name === undefined ? [] : [{ key: 'general.name', type: 'string', value: name } as const]),
    { key: 'general.file_type', type: 'u32', value: FILE_TYPES[type] },
    { key: 'general.quantization_version', type: 'u32', value: 2 },
    { key: 'general.alignment', type: 'u32', value: ALIGNMENT },
    ...family.writeConfig(config),
    ...tokenizer.entries,
  ];
  const header = encodeHeader(
    metadata,
    tensors.map(({ entry }) => entry),
  );
  const warnings = tokenizer.differences.map((difference) => `llama.cpp cuts text in another way: ${difference}`);
  if (slidingWindow(config) !== null) {
    warnings.push('llama.cpp lets a token see beyond the sliding window of this model');
  }
  return {
    byteLength: tensors.reduce((sum, { entry }) => sum + aligned(entry.byteLength), header.length),
    warnings,
    async *[Symbol.asyncIterator]() {
      yield header;
      for (const { entry, slices } of tensors) {
        yield* slices();
        const padding = aligned(entry.byteLength) - entry.byteLength;
        if (padding > 0) yield new Uint8Array(padding);
      }
    },
  };
}

/** A tensor's type in a file: vectors and what must be exact keep their float32. */
function typeOf({ shape, exact }: TensorPlan, type: 'F16' | 'Q8_0', row: number): TensorEntry['type'] {
  if (shape.length === 1 || exact === true) return 'F32';
  return type === 'Q8_0' && row % Q8_0_BLOCK !== 0 ? 'F16' : type;
}

function entryOf(plan: TensorPlan, wanted: 'F16' | 'Q8_0'): TensorEntry {
  const shape = plan.layout === 'transposed' ? [...plan.shape].reverse() : plan.shape;
  const type = typeOf(plan, wanted, shape.at(-1)!);
  const size = shape.reduce((a, b) => a * b, 1);
  const byteLength = type === 'F32' ? 4 * size : type === 'F16' ? 2 * size : (size / 32) * 34;
  return { name: plan.gguf, type, shape, byteLength };
}

function* encodeTensor(plan: TensorPlan, data: Float32Array, wanted: 'F16' | 'Q8_0'): Generator<Uint8Array> {
  const { type } = entryOf(plan, wanted);
  const values = fromHuggingFace(data, plan);
  for (let at = 0; at < values.length; at += SLICE) {
    const slice = values.subarray(at, at + SLICE);
    if (type === 'F16') yield toF16(slice, plan.huggingFace);
    else if (type === 'Q8_0') yield toQ8_0(slice, plan.huggingFace);
    else yield new Uint8Array(slice.slice().buffer);
  }
}

/** The first GPT-2 checkpoints lack this prefix. */
const PREFIX = 'transformer.';
const shortName = (name: string): string => (name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name);

function findWeight(weights: Weights, { huggingFace, shape }: TensorPlan): Float32Array {
  const weight = weights[huggingFace] ?? weights[shortName(huggingFace)];
  if (weight === undefined) throw new GgufError(`the weights lack ${huggingFace}`);
  if (weight.shape.join() !== shape.join()) {
    throw new GgufError(`${huggingFace} has shape [${weight.shape}], but the config asks for [${shape}]`);
  }
  return weight.data;
}

function refuseOthers(weights: Weights, plans: readonly TensorPlan[]): void {
  const known = new Set(plans.map(({ huggingFace }) => shortName(huggingFace)));
  // A tied model's second name of its embeddings, and the causal masks of the first GPT-2 checkpoints, are no weights.
  const other = Object.keys(weights).find(
    (name) => !known.has(shortName(name)) && name !== 'lm_head.weight' && !/\bh\.\d+\.attn\.(masked_)?bias$/.test(name),
  );
  if (other !== undefined) throw new GgufError(`the weights have ${other}, for which a GGUF file has no place`);
}

function rotaryDivisors(architecture: string, config: Config): Float32Array | null {
  if (architecture === 'gpt2') return null;
  const { theta, scaling } = rotaryOf(config);
  return scaling?.type === 'llama3' ? llama3Divisors(scaling, theta, headDimOf(config)) : null;
}
