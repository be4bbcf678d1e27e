import { parameterShapes } from '../families/index.js';
import { readModelFolder } from '../model-folder.js';
import { safetensorsChunks } from '../safetensors.js';
import { bytesFile, copiedFiles, type ExportFile, type Format, float32Config, jsonBytes } from './format.js';
import { logitsOfWeights } from './logits.js';

/** Bytes of one file of weights; more go into several, with an index, as transformers does. */
const SHARD_BYTES = 5 * 10 ** 9;

/** A Hugging Face folder: weights as float32, config, tokenizer, chat template, generation settings. */
export const merged: Format = {
  files: async (source) => {
    const { policy } = source;
    const shapes = parameterShapes(policy.config);
    const shards = shardsOf(shapes);
    const read = (name: string): Promise<Float32Array> => policy.mergedWeight(name);
    const files: ExportFile[] = shards.map(({ path, shapes: own }) => ({
      path,
      chunks: () => safetensorsChunks(own, read),
    }));
    if (shards.length > 1) files.push(bytesFile('model.safetensors.index.json', jsonBytes(indexOf(shards))));
    return [
      bytesFile('config.json', jsonBytes(float32Config(source))),
      ...copiedFiles(source, ['config.json']),
      ...files,
    ];
  },
  logits: async (folder, { policy }, expected) => {
    const { config, weights } = await readModelFolder(folder);
    return logitsOfWeights(config, weights, policy.paddingToken, expected);
  },
  tolerance: () => 1e-4,
};

interface Shard {
  readonly path: string;
  readonly shapes: Record<string, readonly number[]>;
}

const byteLength = (shape: readonly number[]): number => 4 * shape.reduce((a, b) => a * b, 1);

function shardsOf(shapes: Readonly<Record<string, readonly number[]>>): Shard[] {
  const groups: Record<string, readonly number[]>[] = [{}];
  let size = 0;
  for (const [name, shape] of Object.entries(shapes)) {
    const bytes = byteLength(shape);
    if (size > 0 && size + bytes > SHARD_BYTES) {
      groups.push({});
      size = 0;
    }
    groups[groups.length - 1]![name] = shape;
    size += bytes;
  }
  if (groups.length === 1) return [{ path: 'model.safetensors', shapes: groups[0]! }];
  const number = (n: number): string => String(n).padStart(5, '0');
  return groups.map((own, i) => ({
    path: `model-${number(i + 1)}-of-${number(groups.length)}.safetensors`,
    shapes: own,
  }));
}

function indexOf(shards: readonly Shard[]): object {
  const entries = shards.flatMap(({ path, shapes }) => Object.keys(shapes).map((name) => [name, path] as const));
  const size = shards.reduce(
    (sum, { shapes }) => sum + Object.values(shapes).reduce((n, s) => n + byteLength(s), 0),
    0,
  );
  return {
    metadata: { total_size: size },
    weight_map: Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}
