import { GgufError } from './error.js';
import { type TensorType, tensorType } from './tensor-types.js';

/** Numbers beyond 2⁵³ are bigints. Arrays of numbers are typed arrays. */
export type MetadataValue = string | number | bigint | boolean | NumberArray | readonly MetadataValue[];
type NumberArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

export interface GgufTensor {
  readonly name: string;
  readonly type: TensorType;
  /** rows first, as Hugging Face has it: the reverse of the order in the file */
  readonly shape: readonly number[];
  /** where its bytes begin in the file */
  readonly offset: number;
  readonly byteLength: number;
}

export interface GgufHeader {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/** The bytes given end inside the header, though the file goes on. */
export class HeaderContinues extends Error {}

const MAGIC = 0x46554747; // 'GGUF'
const DEFAULT_ALIGNMENT = 32;
const LIMITS = { keys: 65_536, tensors: 65_536, dimensions: 4, nesting: 4, nameBytes: 65_535, alignment: 1 << 20 };

/**
 * What stands before a GGUF file's tensors: metadata, and each tensor's name, type, shape and place.
 *
 * Every count is held against the bytes that the file still has before anything of its size is made.
 *
 * @param bytes the file's beginning
 * @param fileSize in bytes
 * @throws HeaderContinues when the header goes on behind `bytes`
 * @throws GgufError naming what is damaged or not supported
 */
export function parseGgufHeader(bytes: Uint8Array, fileSize: number): GgufHeader {
  const cursor = new Cursor(bytes, fileSize);
  if (fileSize < 4 || cursor.u32('magic') !== MAGIC)
    throw new GgufError('this is no GGUF file: it does not begin with GGUF');
  const version = cursor.u32('version');
  if (version !== 2 && version !== 3) {
    const swapped = (version & 0xffff) === 0 && version !== 0;
    throw new GgufError(
      swapped
        ? 'the file is big-endian; convert it with gguf-convert-endian'
        : `GGUF version ${version} is not supported, only 2 and 3`,
    );
  }
  const tensorCount = cursor.count('number of tensors', LIMITS.tensors);
  const keyCount = cursor.count('number of metadata keys', LIMITS.keys);
  const metadata = new Map<string, MetadataValue>();
  for (let i = 0; i < keyCount; i++) {
    const key = cursor.string(`metadata key ${i}`, LIMITS.nameBytes);
    if (metadata.has(key)) throw new GgufError(`metadata key ${key} occurs twice`);
    metadata.set(key, readValue(cursor, key, cursor.u32(key), 0));
  }
  const split = metadata.get('split.count');
  if (typeof split === 'number' && split > 1) {
    throw new GgufError(`the file is one of ${split} parts; join them with llama-gguf-split --merge`);
  }
  const entries = Array.from({ length: tensorCount }, (_, i) => readTensorEntry(cursor, i));
  const alignment = readAlignment(metadata);
  const dataStart = Math.ceil(cursor.at / alignment) * alignment;
  return { version, metadata, tensors: placeTensors(entries, dataStart, alignment, fileSize) };
}

interface TensorEntry {
  readonly name: string;
  readonly type: TensorType;
  readonly shape: readonly number[];
  readonly relativeOffset: number;
}

function readTensorEntry(cursor: Cursor, index: number): TensorEntry {
  const name = cursor.string(`name of tensor ${index}`, LIMITS.nameBytes);
  const dimensions = cursor.u32(`tensor ${name}`);
  if (dimensions < 1 || dimensions > LIMITS.dimensions) {
    throw new GgufError(`tensor ${name} has ${dimensions} dimensions, but may have 1 to ${LIMITS.dimensions}`);
  }
  const shape = Array.from({ length: dimensions }, () => cursor.safeInteger(`shape of tensor ${name}`)).reverse();
  const type = tensorType(cursor.u32(`tensor ${name}`), name);
  return { name, type, shape, relativeOffset: cursor.safeInteger(`offset of tensor ${name}`) };
}

function readAlignment(metadata: ReadonlyMap<string, MetadataValue>): number {
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== 'number' || !isPowerOfTwo(alignment) || alignment > LIMITS.alignment) {
    throw new GgufError(`general.alignment is ${alignment}, but must be a power of two up to ${LIMITS.alignment}`);
  }
  return alignment;
}

const isPowerOfTwo = (n: number): boolean => n >= 1 && Number.isInteger(Math.log2(n));

function placeTensors(
  entries: readonly TensorEntry[],
  dataStart: number,
  alignment: number,
  fileSize: number,
): Map<string, GgufTensor> {
  const tensors = new Map<string, GgufTensor>();
  for (const { name, type, shape, relativeOffset } of entries) {
    if (tensors.has(name)) throw new GgufError(`tensor ${name} occurs twice`);
    const size = shape.reduce((a, b) => a * b, 1);
    const row = shape.at(-1)!;
    if (!Number.isSafeInteger(size) || size < 1 || row % type.block !== 0) {
      throw new GgufError(`tensor ${name} of type ${type.name} cannot have shape [${shape}]`);
    }
    if (relativeOffset % alignment !== 0) {
      throw new GgufError(
        `tensor ${name} lies at ${relativeOffset}, which is no multiple of the alignment ${alignment}`,
      );
    }
    const byteLength = (size / type.block) * type.bytes;
    const offset = dataStart + relativeOffset;
    if (offset + byteLength > fileSize) {
      throw new GgufError(`tensor ${name} ends at byte ${offset + byteLength} of ${fileSize}: the file is cut off`);
    }
    tensors.set(name, { name, type, shape, offset, byteLength });
  }
  const inOrder = [...tensors.values()].sort((a, b) => a.offset - b.offset);
  for (const [i, tensor] of inOrder.entries()) {
    const before = inOrder[i - 1];
    if (before !== undefined && tensor.offset < before.offset + before.byteLength) {
      throw new GgufError(`tensors ${before.name} and ${tensor.name} overlap`);
    }
  }
  return tensors;
}

const [BOOL, STRING, ARRAY] = [7, 8, 9];

/** Fixed-size value types by their number in the file. */
const SCALARS: Readonly<
  Record<number, { bytes: number; read: (view: DataView, at: number) => number | bigint; array: NumberArrayType }>
> = {
  0: { bytes: 1, read: (v, at) => v.getUint8(at), array: Uint8Array },
  1: { bytes: 1, read: (v, at) => v.getInt8(at), array: Int8Array },
  2: { bytes: 2, read: (v, at) => v.getUint16(at, true), array: Uint16Array },
  3: { bytes: 2, read: (v, at) => v.getInt16(at, true), array: Int16Array },
  4: { bytes: 4, read: (v, at) => v.getUint32(at, true), array: Uint32Array },
  5: { bytes: 4, read: (v, at) => v.getInt32(at, true), array: Int32Array },
  6: { bytes: 4, read: (v, at) => v.getFloat32(at, true), array: Float32Array },
  10: { bytes: 8, read: (v, at) => v.getBigUint64(at, true), array: BigUint64Array },
  11: { bytes: 8, read: (v, at) => v.getBigInt64(at, true), array: BigInt64Array },
  12: { bytes: 8, read: (v, at) => v.getFloat64(at, true), array: Float64Array },
};
type NumberArrayType = new (buffer: ArrayBuffer) => NumberArray;

function readValue(cursor: Cursor, key: string, type: number, depth: number): MetadataValue {
  if (type === STRING) return cursor.string(key);
  if (type === BOOL) return cursor.take(1, key)[0] !== 0;
  if (type === ARRAY) return readArray(cursor, key, depth);
  const scalar = SCALARS[type];
  if (scalar === undefined) throw new GgufError(`metadata key ${key} has a value of unknown type ${type}`);
  const bytes = cursor.take(scalar.bytes, key);
  const value = scalar.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0);
  if (typeof value === 'number') return value;
  return BigInt.asIntN(54, value) === value ? Number(value) : value;
}

function readArray(cursor: Cursor, key: string, depth: number): MetadataValue {
  if (depth === LIMITS.nesting) throw new GgufError(`metadata key ${key} nests arrays more than ${depth} deep`);
  const type = cursor.u32(key);
  const scalar = SCALARS[type];
  if (scalar !== undefined || type === BOOL) {
    const width = scalar?.bytes ?? 1;
    const length = cursor.count(`length of ${key}`, cursor.remaining / width);
    const bytes = cursor.take(length * width, key);
    if (scalar === undefined) return Array.from(bytes, (b) => b !== 0);
    return new scalar.array(new Uint8Array(bytes).buffer); // a copy is aligned
  }
  if (type !== STRING && type !== ARRAY) throw new GgufError(`metadata key ${key} is an array of unknown type ${type}`);
  const length = cursor.count(`length of ${key}`, cursor.remaining / (type === STRING ? 8 : 12));
  const values: MetadataValue[] = [];
  for (let i = 0; i < length; i++) values.push(readValue(cursor, key, type, depth + 1));
  return values;
}

class Cursor {
  at = 0;
  private readonly view: DataView;
  private readonly text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  constructor(
    private readonly bytes: Uint8Array,
    private readonly fileSize: number,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** bytes of the file behind the cursor */
  get remaining(): number {
    return this.fileSize - this.at;
  }

  take(length: number, what: string): Uint8Array {
    this.need(length, what);
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  u32(what: string): number {
    this.need(4, what);
    this.at += 4;
    return this.view.getUint32(this.at - 4, true);
  }

  safeInteger(what: string): number {
    this.need(8, what);
    this.at += 8;
    const value = this.view.getBigUint64(this.at - 8, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new GgufError(`${what} is ${value}: the file is damaged`);
    return Number(value);
  }

  count(what: string, most: number): number {
    const value = this.safeInteger(what);
    if (value > most) throw new GgufError(`${what} is ${value}, more than there can be: the file is damaged`);
    return value;
  }

  string(what: string, most = Number.POSITIVE_INFINITY): string {
    const length = this.safeInteger(`length of ${what}`);
    if (length > most || length > this.remaining) {
      throw new GgufError(
        `${what} claims ${length} bytes, but the file has ${this.remaining} more: it is damaged or cut off`,
      );
    }
    const bytes = this.take(length, what);
    try {
      return this.text.decode(bytes);
    } catch (cause) {
      throw new GgufError(`${what} is not UTF-8`, { cause });
    }
  }

  private need(length: number, what: string): void {
    if (this.at + length <= this.bytes.length) return;
    if (this.at + length <= this.fileSize) throw new HeaderContinues();
    throw new GgufError(`the file is cut off at byte ${this.fileSize}, in its ${what}`);
  }
}
