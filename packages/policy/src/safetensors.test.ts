import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { readSafetensors, readWeights, SafetensorsError, writeSafetensors } from './safetensors.js';

/** A file from a header and data, with nothing checked. */
function file(header: unknown, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

const tensors = {
  'b.weight': { shape: [2, 3], data: Float32Array.of(1, -2, 3.5, 0, Number.POSITIVE_INFINITY, 1e-45) },
  a: { shape: [], data: Float32Array.of(7) },
  empty: { shape: [0, 4], data: new Float32Array(0) },
};

describe('writing', () => {
  it('comes back the same', () => {
    expect(readSafetensors(writeSafetensors(tensors))).toEqual(tensors);
  });

  it('does not depend on the order of names', () => {
    const { a, empty, 'b.weight': b } = tensors;
    expect(writeSafetensors({ empty, a, 'b.weight': b })).toEqual(writeSafetensors(tensors));
  });

  it('sorts names, pads the header to eight bytes and says pt, byte for byte', () => {
    const bytes = writeSafetensors({
      y: { shape: [1], data: Float32Array.of(1) },
      x: { shape: [1], data: Float32Array.of(2) },
    });
    const header =
      '{"__metadata__":{"format":"pt"},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"y":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}';
    const padded = header.padEnd(Math.ceil(header.length / 8) * 8);
    expect(Buffer.from(bytes).subarray(0, 8).readBigUInt64LE()).toBe(BigInt(padded.length));
    expect(Buffer.from(bytes).subarray(8, -8).toString()).toBe(padded);
    expect([...bytes.slice(-8)]).toEqual([0, 0, 0, 0x40, 0, 0, 0x80, 0x3f]);
  });

  it('writes views of larger buffers as they are', () => {
    const view = Float32Array.of(9, 1, 2, 9).subarray(1, 3);
    const { v } = readSafetensors(writeSafetensors({ v: { shape: [2], data: view } }));
    expect(v!.data).toEqual(Float32Array.of(1, 2));
  });

  it('refuses data that does not fill its shape', () => {
    expect(() => writeSafetensors({ w: { shape: [3], data: new Float32Array(2) } })).toThrow(
      /w of shape \[3\].*2 values/,
    );
  });
});

describe('reading', () => {
  it('copies out of a Node Buffer at any offset', () => {
    const padded = Buffer.concat([Buffer.from('xyz'), writeSafetensors(tensors)]);
    const read = readSafetensors(padded.subarray(3));
    padded.fill(0);
    expect(read).toEqual(tensors);
  });

  it('reads what PyTorch wrote', async () => {
    const read = readSafetensors(
      await readFile(new URL('../test/fixtures/llama-tied/model.safetensors', import.meta.url)),
    );
    expect(read['model.embed_tokens.weight']!.shape).toEqual([40, 32]);
    expect(read['model.norm.weight']!.data).toHaveLength(32);
  });

  it('widens F16 and BF16 exactly', () => {
    const halves = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x8000, 0x7bff, 0x7c00, 0x3555, 0x03ff);
    const brains = Uint16Array.of(0x3f80, 0xc000, 0x0001, 0x7f80);
    const data = new Uint8Array([...new Uint8Array(halves.buffer), ...new Uint8Array(brains.buffer)]);
    const read = readSafetensors(
      file(
        {
          h: { dtype: 'F16', shape: [8], data_offsets: [0, 16] },
          b: { dtype: 'BF16', shape: [2, 2], data_offsets: [16, 24] },
        },
        data,
      ),
    );
    // 0x3555 = 1365 · 2⁻¹², and 0x03ff is the largest subnormal.
    expect([...read.h!.data]).toEqual([
      1,
      -2,
      2 ** -24,
      -0,
      65504,
      Number.POSITIVE_INFINITY,
      1365 / 4096,
      1023 * 2 ** -24,
    ]);
    expect([...read.b!.data]).toEqual([1, -2, Math.fround(2 ** -133), Number.POSITIVE_INFINITY]);
    const nan = readSafetensors(
      file({ h: { dtype: 'F16', shape: [1], data_offsets: [0, 2] } }, Uint8Array.of(1, 0x7e)),
    );
    expect(nan.h!.data[0]).toBeNaN();
  });

  const four = { dtype: 'F32', shape: [1], data_offsets: [0, 4] };
  it.each([
    ['an empty file', new Uint8Array(3), /too short/],
    ['a header longer than the file', file({}).slice(0, 9), /cut off/],
    ['a header that is not JSON', file('{"a"'), /not JSON/],
    ['a header that is a list', file([]), /not a JSON object/],
    [
      'a type that is not read',
      file({ w: { ...four, dtype: 'I64' } }, new Uint8Array(8)),
      /w has type I64.*F32, F16, BF16/,
    ],
    ['no shape', file({ w: { dtype: 'F32', data_offsets: [0, 4] } }, new Uint8Array(4)), /w has no valid shape/],
    ['a negative size', file({ w: { ...four, shape: [-1] } }, new Uint8Array(4)), /w has no valid shape/],
    ['no offsets', file({ w: { dtype: 'F32', shape: [1] } }, new Uint8Array(4)), /w has no valid data_offsets/],
    [
      'a size that does not fit the shape',
      file({ w: { ...four, shape: [2] } }, new Uint8Array(4)),
      /w of shape \[2\] needs 8 bytes/,
    ],
    ['data that is cut off', file({ w: four }, new Uint8Array(3)), /w ends at byte 4 of 3/],
    ['null for a tensor', file({ w: null }), /w has type undefined/],
    [
      'overlapping tensors',
      file({ v: four, w: { ...four, data_offsets: [2, 6] } }, new Uint8Array(6)),
      /v and w overlap/,
    ],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => readSafetensors(bytes)).toThrow(SafetensorsError);
    expect(() => readSafetensors(bytes)).toThrow(message);
  });
});

describe('folders', () => {
  const reader = (files: Record<string, Uint8Array>) => async (name: string) => {
    if (files[name] === undefined) throw new Error(`no ${name}`);
    return files[name];
  };
  const one = (value: number) => ({ shape: [1], data: Float32Array.of(value) });
  const index = (map: unknown) => new TextEncoder().encode(JSON.stringify({ metadata: {}, weight_map: map }));

  it('reads a single file', async () => {
    const files = { 'model.safetensors': writeSafetensors({ x: one(1) }) };
    expect(await readWeights(reader(files))).toEqual({ x: one(1) });
  });

  it('reads shards, each tensor from where the index puts it', async () => {
    const files = {
      'model.safetensors.index.json': index({ x: 'model-1.safetensors', y: 'model-2.safetensors' }),
      'model-1.safetensors': writeSafetensors({ x: one(1) }),
      'model-2.safetensors': writeSafetensors({ x: one(9), y: one(2) }),
    };
    expect(await readWeights(reader(files))).toEqual({ x: one(1), y: one(2) });
  });

  it('names what is missing or wrong', async () => {
    const shard = { 's.safetensors': writeSafetensors({ x: one(1) }) };
    const read = (map: unknown) => readWeights(reader({ ...shard, 'model.safetensors.index.json': index(map) }));
    await expect(read({ x: 's.safetensors', y: 's.safetensors' })).rejects.toThrow('s.safetensors lacks tensor y');
    await expect(read({ x: 'gone.safetensors' })).rejects.toThrow('gone.safetensors');
    await expect(read({ x: '../s.safetensors' })).rejects.toThrow('no file name');
    await expect(read(undefined)).rejects.toThrow('no weight_map');
    await expect(readWeights(reader({}))).rejects.toThrow('model.safetensors');
  });
});
