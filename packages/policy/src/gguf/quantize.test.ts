import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { GgufFile } from './file.js';
import { toF16, toQ8_0 } from './quantize.js';

const fixture = (name: string): URL => new URL(`../../test/fixtures/gguf/${name}`, import.meta.url);
const json = (name: string) => JSON.parse(readFileSync(fixture(name), 'utf8'));
const floats = (bits: readonly string[]): Float32Array =>
  new Float32Array(Uint32Array.from(bits, (hex) => Number.parseInt(hex, 16)).buffer);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('reading blocks', () => {
  it('gives the bits that ggml gives, for every type', async () => {
    const expected = json('blocks.json') as Record<string, { shape: number[]; bits: string[] }>;
    const file = await GgufFile.open(fixture('blocks.gguf').pathname);
    try {
      expect([...file.header.tensors.keys()].sort()).toEqual(Object.keys(expected).sort());
      for (const [type, { shape, bits }] of Object.entries(expected)) {
        expect(file.tensor(type).type.name).toBe(type);
        expect(file.tensor(type).shape).toEqual(shape);
        const words = new Uint32Array((await file.read(type)).buffer);
        expect([...words].map((word) => word.toString(16).padStart(8, '0'))).toEqual(bits);
      }
    } finally {
      await file.close();
    }
  });
});

describe('writing blocks', () => {
  const { bits, F16, Q8_0 } = json('quantize.json') as { bits: string[]; F16: string; Q8_0: string };

  it('gives the bytes that ggml gives', () => {
    expect(hex(toF16(floats(bits), 'w'))).toBe(F16);
    expect(hex(toQ8_0(floats(bits), 'w'))).toBe(Q8_0);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, 1e9])('refuses %d by the name of its tensor', (value) => {
    const values = new Float32Array(32).fill(0.5);
    values[7] = value;
    expect(() => toF16(values, 'some.weight')).toThrow(`tensor some.weight has the value ${value}`);
    expect(() => toQ8_0(values, 'some.weight')).toThrow(`tensor some.weight has the value ${value}`);
  });
});
