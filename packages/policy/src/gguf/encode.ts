import type { MetadataEntry } from './families.js';
import { tensorTypeId } from './tensor-types.js';

export const ALIGNMENT = 32;
const VERSION = 3;
const TYPE_IDS = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const;

export interface TensorEntry {
  readonly name: string;
  readonly type: 'F32' | 'F16' | 'Q8_0';
  /** rows first */
  readonly shape: readonly number[];
  readonly byteLength: number;
}

export const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** What stands before the tensors of a file, padded up to the first. Tensors lie in the order given. */
export function encodeHeader(metadata: readonly MetadataEntry[], tensors: readonly TensorEntry[]): Uint8Array {
  const out = new Writer();
  out.bytes(new TextEncoder().encode('GGUF'));
  out.u32(VERSION);
  out.u64(tensors.length);
  out.u64(metadata.length);
  for (const { key, type, value } of metadata) {
    out.string(key);
    if (type === 'strings' || type === 'i32s' || type === 'f32s') {
      const item = type.slice(0, -1) as 'string' | 'i32' | 'f32';
      const items = value as readonly (string | number)[];
      out.u32(TYPE_IDS.array);
      out.u32(TYPE_IDS[item]);
      out.u64(items.length);
      for (const one of items) out.value(item, one);
    } else {
      out.u32(TYPE_IDS[type]);
      out.value(type, value as string | number | boolean);
    }
  }
  let offset = 0;
  for (const { name, type, shape, byteLength } of tensors) {
    out.string(name);
    out.u32(shape.length);
    for (const size of [...shape].reverse()) out.u64(size);
    out.u32(tensorTypeId(type));
    out.u64(offset);
    offset += aligned(byteLength);
  }
  return out.take();
}

/** Little-endian bytes that grow. */
class Writer {
  private buffer = new Uint8Array(1 << 16);
  private view = new DataView(this.buffer.buffer);
  private length = 0;

  bytes(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
  }

  u32(value: number): void {
    this.reserve(4);
    this.view.setUint32(this.length, value, true);
    this.length += 4;
  }

  u64(value: number): void {
    this.reserve(8);
    this.view.setBigUint64(this.length, BigInt(value), true);
    this.length += 8;
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.bytes(bytes);
  }

  value(type: 'u32' | 'i32' | 'f32' | 'bool' | 'string', value: string | number | boolean): void {
    if (type === 'string') this.string(value as string);
    else if (type === 'bool') this.bytes(Uint8Array.of(value === true ? 1 : 0));
    else if (type === 'f32') this.u32(floatBits(value as number));
    else this.u32(value as number); // an i32's bits are its value modulo 2³²
  }

  take(): Uint8Array {
    const out = new Uint8Array(aligned(this.length));
    out.set(this.buffer.subarray(0, this.length));
    return out;
  }

  private reserve(more: number): void {
    if (this.length + more <= this.buffer.length) return;
    const larger = new Uint8Array(Math.max(2 * this.buffer.length, this.length + more));
    larger.set(this.buffer);
    this.buffer = larger;
    this.view = new DataView(larger.buffer);
  }
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

function floatBits(value: number): number {
  float[0] = value;
  return bits[0]!;
}
