import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeHeader, type TensorEntry } from './encode.js';
import { GgufError } from './error.js';
import type { MetadataEntry } from './families.js';
import { GgufFile } from './file.js';
import { type GgufHeader, HeaderContinues, parseGgufHeader } from './header.js';

const METADATA = readFileSync(new URL('../../test/fixtures/gguf/metadata.gguf', import.meta.url));
const parse = (bytes: Uint8Array): GgufHeader => parseGgufHeader(bytes, bytes.length);

/** A file of these tensors, all zeros. */
function file(tensors: readonly TensorEntry[], metadata: readonly MetadataEntry[] = []): Uint8Array {
  const header = encodeHeader(metadata, tensors);
  const size = tensors.reduce((sum, { byteLength }) => sum + Math.ceil(byteLength / 32) * 32, header.length);
  const bytes = new Uint8Array(size);
  bytes.set(header);
  return bytes;
}
const tensor = (name: string, shape: number[]): TensorEntry => ({
  name,
  type: 'F32',
  shape,
  byteLength: 4 * shape.reduce((a, b) => a * b, 1),
});

/** The place of a little-endian number behind some text. */
function after(bytes: Uint8Array, text: string): DataView {
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(text);
  return new DataView(bytes.buffer, bytes.byteOffset + at + text.length);
}

describe('parseGgufHeader', () => {
  it('reads metadata of every type', () => {
    const { metadata, version } = parse(METADATA);
    expect(version).toBe(3);
    expect(Object.fromEntries(metadata)).toEqual({
      'general.architecture': 'anything',
      'general.alignment': 64,
      u8: 200,
      i8: -100,
      u16: 60000,
      i16: -30000,
      u32: 4_000_000_000,
      i32: -2_000_000_000,
      f32: 1.5,
      bool: true,
      string: 'grüße 🎉',
      u64: 2 ** 53 - 1,
      'u64 large': 2n ** 63n,
      i64: -(2 ** 40),
      f64: 0.1,
      strings: ['a', '', 'ü'],
      bools: [true, false],
      ints: Int32Array.of(1, -2, 3),
      floats: Float32Array.of(0.5, -0.25),
      nested: [Int32Array.of(1, 2), Int32Array.of(3)],
    });
  });

  it('finds tensors by the alignment that the file states, rows first', () => {
    const { tensors } = parse(METADATA);
    expect(tensors.get('a')!.shape).toEqual([3]);
    expect(tensors.get('b')!.shape).toEqual([2, 3]);
    expect(tensors.get('b')!.offset).toBe(tensors.get('a')!.offset + 64);
  });

  it('says where a file is cut off, wherever it is', () => {
    for (let length = 0; length < METADATA.length - 1; length++) {
      const cut = METADATA.subarray(0, length);
      // The padding after the last tensor is of no use.
      if (length >= parse(METADATA).tensors.get('b')!.offset + 24) break;
      expect(() => parse(cut), `${length} bytes`).toThrow(GgufError);
      if (length > 24) expect(() => parse(cut)).toThrow(/cut off|damaged/);
    }
  });

  it('asks for more where only the part given ends', () => {
    expect(() => parseGgufHeader(METADATA.subarray(0, 100), METADATA.length)).toThrow(HeaderContinues);
  });

  it('reads any damage as another file, or refuses it', () => {
    const headerEnd = parse(METADATA).tensors.get('a')!.offset;
    let refused = 0;
    for (let at = 0; at < headerEnd; at++) {
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        const damaged = Uint8Array.from(METADATA);
        damaged[at] = value;
        try {
          parse(damaged);
        } catch (error) {
          if (!(error instanceof GgufError)) throw error;
          refused++;
        }
      }
    }
    expect(refused).toBeGreaterThan(1000);
  });

  it.each([
    ['no GGUF file', Uint8Array.from(Buffer.from('PK\u0003\u0004 a zip'))],
    ['no GGUF file', new Uint8Array(0)],
    ['version 1', Uint8Array.from(Buffer.from('4747554601000000', 'hex'))],
    ['big-endian', Uint8Array.from(Buffer.from('4747554600000003', 'hex'))],
  ])('refuses %s', (message, bytes) => {
    expect(() => parse(bytes)).toThrow(message);
  });

  it('makes nothing of a size that the file has no bytes for', () => {
    const bytes = file([], [{ key: 'k', type: 'strings', value: ['a', 'b'] }]);
    after(bytes, 'k').setBigUint64(8, 2n ** 40n, true); // behind the types of array and item
    expect(() => parse(bytes)).toThrow('length of k is 1099511627776, more than there can be');
    const text = file([], [{ key: 'k', type: 'string', value: 'a' }]);
    after(text, 'k').setBigUint64(4, 2n ** 62n, true);
    expect(() => parse(text)).toThrow('length of k is 4611686018427387904');
    const counts = file([]);
    new DataView(counts.buffer).setBigUint64(8, 100_000n, true);
    expect(() => parse(counts)).toThrow('number of tensors is 100000');
  });

  it('refuses arrays nested without end', () => {
    // Five levels of an array of one array.
    const bytes = file([], [{ key: 'k', type: 'string', value: 'x'.repeat(200) }]);
    const view = after(bytes, 'k');
    view.setUint32(0, 9, true);
    for (let level = 0; level < 6; level++) {
      view.setUint32(4 + 12 * level, 9, true);
      view.setBigUint64(8 + 12 * level, 1n, true);
    }
    expect(() => parse(bytes)).toThrow('metadata key k nests arrays');
  });

  it('names the tensor that has a wrong shape, place or type', () => {
    const one = file([tensor('w', [4, 8])]);
    const change = (edit: (view: DataView) => void): Uint8Array => {
      const bytes = Uint8Array.from(one);
      edit(after(bytes, 'w'));
      return bytes;
    };
    // dimensions u32, sizes u64 × 2, type u32, offset u64
    expect(() => parse(change((v) => v.setUint32(0, 5, true)))).toThrow('tensor w has 5 dimensions');
    expect(() => parse(change((v) => v.setBigUint64(4, 0n, true)))).toThrow(
      'tensor w of type F32 cannot have shape [4,0]',
    );
    expect(() => parse(change((v) => v.setBigUint64(4, 2n ** 52n, true)))).toThrow('tensor w of type F32 cannot');
    expect(() => parse(change((v) => v.setUint32(20, 10, true)))).toThrow(
      'tensor w is of type Q2_K; supported are F32',
    );
    expect(() => parse(change((v) => v.setUint32(20, 999, true)))).toThrow('tensor w is of type number 999');
    expect(() => parse(change((v) => v.setUint32(20, 12, true)))).toThrow(
      'tensor w of type Q4_K cannot have shape [4,8]',
    );
    expect(() => parse(change((v) => v.setBigUint64(24, 4n, true)))).toThrow('tensor w lies at 4');
    expect(() => parse(change((v) => v.setBigUint64(24, 3200n, true)))).toThrow(
      /tensor w ends at byte \d+ of \d+: the file is cut off/,
    );
  });

  it('refuses tensors that overlap, names that repeat, and parts of a model', () => {
    const two = file([tensor('first', [8]), tensor('other', [8])]);
    after(two, 'other').setBigUint64(16, 0n, true);
    expect(() => parse(two)).toThrow('tensors first and other overlap');
    expect(() => parse(file([tensor('w', [8]), tensor('w', [8])]))).toThrow('tensor w occurs twice');
    const key: MetadataEntry = { key: 'k', type: 'u32', value: 1 };
    expect(() => parse(file([], [key, key]))).toThrow('metadata key k occurs twice');
    expect(() => parse(file([], [{ key: 'split.count', type: 'u32', value: 3 }]))).toThrow('one of 3 parts');
    expect(() => parse(file([], [{ key: 'general.alignment', type: 'u32', value: 24 }]))).toThrow('power of two');
  });
});

describe('GgufFile', () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'polymode-gguf-'));
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  it('reads behind the fourth gigabyte, and a header larger than its first read', async () => {
    const path = join(dir, 'large.gguf');
    const tensors = [tensor('hole', [2 ** 14, 2 ** 16 + 2 ** 14]), tensor('tail', [3])];
    const header = encodeHeader([{ key: 'long', type: 'string', value: 'x'.repeat(3 * 2 ** 20) }], tensors);
    const at = header.length + tensors[0]!.byteLength;
    expect(at).toBeGreaterThan(2 ** 32);
    const handle = openSync(path, 'w');
    writeSync(handle, header);
    writeSync(handle, new Uint8Array(Float32Array.of(1, -2, 3).buffer), 0, 12, at);
    ftruncateSync(handle, at + 32); // the hole takes no space
    closeSync(handle);
    const file = await GgufFile.open(path);
    expect([...(await file.read('tail'))]).toEqual([1, -2, 3]);
    await expect(file.read('gone')).rejects.toThrow('the file has no tensor gone');
    await file.close();
  });

  it('notices a file that is cut off', async () => {
    const path = join(dir, 'cut.gguf');
    writeFileSync(path, METADATA.subarray(0, 700));
    await expect(GgufFile.open(path)).rejects.toThrow(GgufError);
  });
});
