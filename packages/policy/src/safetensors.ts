import { halfValues } from './half.js';
import type { Weights } from './policy.js';

/**
 * The safetensors format: an 8-byte little-endian header length, a JSON header of
 * `{name: {dtype, shape, data_offsets: [begin, end]}}`, then the bytes of all tensors.
 */
export class SafetensorsError extends Error {
  override name = 'SafetensorsError';
}

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

const BYTES: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2 };
const METADATA = '__metadata__';

/**
 * Every tensor of a file as float32; F16 and BF16 are widened exactly.
 *
 * @throws SafetensorsError naming the tensor whose type, shape or place in the file is wrong
 */
export function readSafetensors(file: Uint8Array): Weights {
  const { header, data } = split(file);
  const tensors: Record<string, { shape: readonly number[]; data: Float32Array }> = {};
  const taken: { begin: number; end: number; name: string }[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === METADATA) continue;
    const { dtype, shape, begin, end } = checkEntry(name, value, data.length);
    taken.push({ begin, end, name });
    tensors[name] = { shape, data: toFloat32(dtype, data.subarray(begin, end)) };
  }
  taken.sort((a, b) => a.begin - b.begin || a.end - b.end);
  for (const [i, { begin, name }] of taken.entries()) {
    const before = taken[i - 1];
    if (before !== undefined && begin < before.end) {
      throw new SafetensorsError(`tensors ${before.name} and ${name} overlap`);
    }
  }
  return tensors;
}

function split(file: Uint8Array): { header: Record<string, unknown>; data: Uint8Array } {
  if (file.length < 8) throw new SafetensorsError(`a file of ${file.length} bytes is too short for a header`);
  const length = new DataView(file.buffer, file.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(file.length - 8)) {
    throw new SafetensorsError(`the header claims ${length} bytes, but the file has ${file.length}: it is cut off`);
  }
  const end = 8 + Number(length);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(file.subarray(8, end)));
  } catch (cause) {
    throw new SafetensorsError('the header is not JSON', { cause });
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw new SafetensorsError('the header is not a JSON object');
  }
  return { header: header as Record<string, unknown>, data: file.subarray(end) };
}

function checkEntry(
  name: string,
  value: unknown,
  available: number,
): { dtype: string; shape: readonly number[]; begin: number; end: number } {
  const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Partial<Entry>;
  const natural = (n: unknown): n is number => typeof n === 'number' && Number.isSafeInteger(n) && n >= 0;
  const width = typeof dtype === 'string' ? BYTES[dtype] : undefined;
  if (width === undefined) {
    throw new SafetensorsError(`tensor ${name} has type ${dtype}; supported are ${Object.keys(BYTES).join(', ')}`);
  }
  if (!Array.isArray(shape) || !shape.every(natural)) throw new SafetensorsError(`tensor ${name} has no valid shape`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(natural)) {
    throw new SafetensorsError(`tensor ${name} has no valid data_offsets`);
  }
  const [begin, end] = offsets as [number, number];
  const wanted = shape.reduce((a: number, b: number) => a * b, 1) * width;
  if (end - begin !== wanted) {
    throw new SafetensorsError(`tensor ${name} of shape [${shape}] needs ${wanted} bytes, but has ${end - begin}`);
  }
  if (end > available)
    throw new SafetensorsError(`tensor ${name} ends at byte ${end} of ${available}: the file is cut off`);
  return { dtype: dtype as string, shape, begin, end };
}

function toFloat32(dtype: string, bytes: Uint8Array): Float32Array {
  // A copy, so that the result is aligned and does not hold on to the file. (`slice` of a Node Buffer would be a view.)
  const copy = new Uint8Array(bytes).buffer;
  if (dtype === 'F32') return new Float32Array(copy);
  const halves = new Uint16Array(copy);
  if (dtype === 'F16') {
    const table = halfValues();
    const values = new Float32Array(halves.length);
    for (let i = 0; i < halves.length; i++) values[i] = table[halves[i]!]!;
    return values;
  }
  const words = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) words[i] = halves[i]! << 16;
  return new Float32Array(words.buffer);
}

/**
 * A file of float32 tensors. Tensors are sorted by name and nothing else goes in, so equal weights give equal bytes.
 * The metadata is what transformers writes and checks.
 */
export function writeSafetensors(tensors: Weights): Uint8Array {
  const shapes = Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape]));
  const header = safetensorsHeader(shapes);
  const parts = Object.keys(shapes)
    .sort()
    .map((name) => bytesOf(name, shapes[name]!, tensors[name]!.data));
  const file = new Uint8Array(parts.reduce((n, part) => n + part.length, header.length));
  let at = 0;
  for (const part of [header, ...parts]) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}

/**
 * The same file in pieces, a tensor at a time, for weights that need not be in memory together.
 *
 * @param read the values of a tensor
 */
export async function* safetensorsChunks(
  shapes: Readonly<Record<string, readonly number[]>>,
  read: (name: string) => Promise<Float32Array>,
): AsyncGenerator<Uint8Array> {
  yield safetensorsHeader(shapes);
  for (const name of Object.keys(shapes).sort()) yield bytesOf(name, shapes[name]!, await read(name));
}

function safetensorsHeader(shapes: Readonly<Record<string, readonly number[]>>): Uint8Array {
  const header: Record<string, unknown> = { [METADATA]: { format: 'pt' } };
  let end = 0;
  for (const name of Object.keys(shapes).sort()) {
    const length = 4 * shapes[name]!.reduce((a, b) => a * b, 1);
    header[name] = { dtype: 'F32', shape: shapes[name], data_offsets: [end, end + length] };
    end += length;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  // Spaces after the header keep the tensors aligned to 8 bytes for readers that map the file.
  const headerLength = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + headerLength).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerLength), true);
  bytes.set(json, 8);
  return bytes;
}

function bytesOf(name: string, shape: readonly number[], data: Float32Array): Uint8Array {
  if (shape.reduce((a, b) => a * b, 1) !== data.length) {
    throw new SafetensorsError(`tensor ${name} of shape [${shape}] cannot hold ${data.length} values`);
  }
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

const SINGLE_FILE = 'model.safetensors';
const INDEX_FILE = 'model.safetensors.index.json';

/**
 * The weights of a model folder: `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
 *
 * @param readFile reads a file of the folder by name; throws when it is not there
 */
export async function readWeights(readFile: (name: string) => Promise<Uint8Array>): Promise<Weights> {
  const index = await readFile(INDEX_FILE).catch(() => null);
  if (index === null) return readSafetensors(await readFile(SINGLE_FILE));
  const shardOf = readIndex(index);
  const all: Record<string, Weights[string]> = {};
  for (const shard of [...new Set(shardOf.values())].sort()) {
    const tensors = readSafetensors(await readFile(shard));
    for (const [name, tensor] of Object.entries(tensors)) {
      // Each tensor counts once, where the index says it is.
      if (shardOf.get(name) === shard) all[name] = tensor;
    }
  }
  for (const [name, shard] of shardOf) {
    if (all[name] === undefined)
      throw new SafetensorsError(`${shard} lacks tensor ${name}, which ${INDEX_FILE} puts there`);
  }
  return all;
}

/** Tensor name → file name. */
function readIndex(bytes: Uint8Array): Map<string, string> {
  let index: unknown;
  try {
    index = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new SafetensorsError(`${INDEX_FILE} is not JSON`, { cause });
  }
  const map = (index as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    throw new SafetensorsError(`${INDEX_FILE} has no weight_map`);
  }
  return new Map(
    Object.entries(map).map(([name, shard]: [string, unknown]) => {
      // A name with a slash could lead out of the folder.
      if (typeof shard !== 'string' || !/^[^/\\]+$/.test(shard)) {
        throw new SafetensorsError(
          `${INDEX_FILE} puts tensor ${name} in ${JSON.stringify(shard)}, which is no file name`,
        );
      }
      return [name, shard];
    }),
  );
}
