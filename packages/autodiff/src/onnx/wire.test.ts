import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeModel } from './model.js';
import { ProtoWriter } from './wire.js';

type Field = { number: number; value: bigint | Uint8Array };

/** A reader written from the Protocol Buffers encoding page, independent of the writer. */
function read(bytes: Uint8Array): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const [number, type] = [tag >> 3, tag & 7];
    if (type === 0) fields.push({ number, value: varint() });
    else {
      const length = type === 2 ? Number(varint()) : type === 5 ? 4 : 8;
      fields.push({ number, value: bytes.slice(at, at + length) });
      at += length;
    }
  }
  return fields;
}

const text = (value: bigint | Uint8Array): string => new TextDecoder().decode(value as Uint8Array);
const inside = (fields: Field[], number: number): Field[][] =>
  fields.filter((f) => f.number === number).map((f) => read(f.value as Uint8Array));

describe('the wire format', () => {
  it('gives integers back, negative ones as 64-bit two’s complement', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.integer({ min: 1, max: 5000 }),
        (n, field) => {
          const [only] = read(new ProtoWriter().int(field, n).finish());
          expect(only).toEqual({ number: field, value: BigInt.asUintN(64, n) });
        },
      ),
    );
  });

  it('gives bytes back at any length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), (bytes) => {
        const [first, second] = read(new ProtoWriter().bytes(3, bytes).float(4, 1.5).finish());
        expect(first).toEqual({ number: 3, value: bytes });
        expect(new DataView((second!.value as Uint8Array).buffer).getFloat32(0, true)).toBe(1.5);
      }),
    );
  });
});

describe('a model', () => {
  it('holds its nodes, attributes, initializers and types where onnx.proto3 has them', () => {
    const model = read(
      encodeModel({
        name: 'test',
        nodes: [
          {
            opType: 'Thing',
            domain: 'com.example',
            inputs: ['a', '', 'b'],
            outputs: ['y'],
            attributes: {
              axis: { int: -1 },
              perm: { ints: [1, 0] },
              mode: { string: 'add' },
              epsilon: { float: 0.25 },
            },
          },
        ],
        initializers: [{ name: 'b', data: { kind: 'data', dtype: 'int64', shape: [2], values: [-5, 7] } }],
        inputs: [{ name: 'a', dtype: 'float32', shape: ['N', 3] }],
        outputs: [{ name: 'y', dtype: 'bool', shape: null }],
      }),
    );
    const opsets = inside(model, 8).map((f) => [text(f[0]!.value), f[1]!.value]);
    expect(opsets).toEqual([
      ['', 21n],
      ['com.microsoft', 1n],
    ]);
    const [graph] = inside(model, 7);
    const [made] = inside(graph!, 1);
    expect(made!.filter((f) => f.number === 1).map((f) => text(f.value))).toEqual(['a', '', 'b']);
    expect(made!.filter((f) => f.number === 4).map((f) => text(f.value))).toEqual(['Thing']);
    expect(made!.filter((f) => f.number === 7).map((f) => text(f.value))).toEqual(['com.example']);
    const attributes = inside(made!, 5);
    expect(attributes.map((a) => [text(a[0]!.value), a.find((f) => f.number === 20)!.value])).toEqual([
      ['axis', 2n],
      ['perm', 7n],
      ['mode', 3n],
      ['epsilon', 1n],
    ]);
    expect(BigInt.asIntN(64, attributes[0]!.find((f) => f.number === 3)!.value as bigint)).toBe(-1n);
    const [tensor] = inside(graph!, 5);
    const raw = tensor!.find((f) => f.number === 9)!.value as Uint8Array;
    expect([...new BigInt64Array(raw.buffer)]).toEqual([-5n, 7n]);
    const [inputType] = inside(inside(inside(graph!, 11)[0]!, 2)[0]!, 1);
    const dims = inside(inside(inputType!, 2)[0]!, 1);
    expect([text(dims[0]![0]!.value), dims[1]![0]!.value]).toEqual(['N', 3n]);
  });
});
