import { halfValues } from '../half.js';

/**
 * Writes the values of `blocks` blocks of `bytes` to `out` from index `at` on.
 *
 * Layouts and arithmetic are ggml's. All products of a scale and a quant fit float64 exactly, so one rounding at the end
 * gives the very float32 that ggml's own float32 arithmetic gives.
 */
export type Dequantizer = (bytes: Uint8Array, blocks: number, out: Float32Array, at: number) => void;

/** Little-endian half at `i`. */
const half = (bytes: Uint8Array, i: number, values: Float32Array): number => values[bytes[i]! | (bytes[i + 1]! << 8)]!;

function f32(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  new Uint8Array(out.buffer, out.byteOffset + 4 * at, 4 * blocks).set(bytes.subarray(0, 4 * blocks));
}

function f16(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  const values = halfValues();
  for (let i = 0; i < blocks; i++) out[at + i] = half(bytes, 2 * i, values);
}

/** The upper half of a float32. */
function bf16(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  const words = new Uint32Array(out.buffer, out.byteOffset + 4 * at, blocks);
  for (let i = 0; i < blocks; i++) words[i] = (bytes[2 * i]! << 16) | (bytes[2 * i + 1]! << 24);
}

/** d, then 32 signed bytes: x = d q. */
function q8_0(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  const values = halfValues();
  for (let b = 0, p = 0, o = at; b < blocks; b++, p += 34, o += 32) {
    const d = half(bytes, p, values);
    for (let j = 0; j < 32; j++) out[o + j] = d * ((bytes[p + 2 + j]! << 24) >> 24);
  }
}

/** d, then 32 quants of 4 bits, low halves first: x = d (q − 8). */
function q4_0(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  const values = halfValues();
  for (let b = 0, p = 0, o = at; b < blocks; b++, p += 18, o += 32) {
    const d = half(bytes, p, values);
    for (let j = 0; j < 16; j++) {
      const q = bytes[p + 2 + j]!;
      out[o + j] = d * ((q & 15) - 8);
      out[o + 16 + j] = d * ((q >>> 4) - 8);
    }
  }
}

/** d, m, then 32 quants of 4 bits: x = d q + m. */
function q4_1(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  const values = halfValues();
  for (let b = 0, p = 0, o = at; b < blocks; b++, p += 20, o += 32) {
    const d = half(bytes, p, values);
    const m = half(bytes, p + 2, values);
    for (let j = 0; j < 16; j++) {
      const q = bytes[p + 4 + j]!;
      out[o + j] = d * (q & 15) + m;
      out[o + 16 + j] = d * (q >>> 4) + m;
    }
  }
}

/** d, the fifth bits of 32 quants, their other four: x = d (q − 16). */
function q5_0(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  const values = halfValues();
  for (let b = 0, p = 0, o = at; b < blocks; b++, p += 22, o += 32) {
    const d = half(bytes, p, values);
    const high = word(bytes, p + 2);
    for (let j = 0; j < 16; j++) {
      const q = bytes[p + 6 + j]!;
      out[o + j] = d * (((q & 15) | (((high >>> j) & 1) << 4)) - 16);
      out[o + 16 + j] = d * (((q >>> 4) | (((high >>> (j + 16)) & 1) << 4)) - 16);
    }
  }
}

/** d, m, the fifth bits of 32 quants, their other four: x = d q + m. */
function q5_1(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  const values = halfValues();
  for (let b = 0, p = 0, o = at; b < blocks; b++, p += 24, o += 32) {
    const d = half(bytes, p, values);
    const m = half(bytes, p + 2, values);
    const high = word(bytes, p + 4);
    for (let j = 0; j < 16; j++) {
      const q = bytes[p + 8 + j]!;
      out[o + j] = d * ((q & 15) | (((high >>> j) & 1) << 4)) + m;
      out[o + 16 + j] = d * ((q >>> 4) | (((high >>> (j + 16)) & 1) << 4)) + m;
    }
  }
}

const word = (bytes: Uint8Array, i: number): number =>
  bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);

/** Eight 6-bit scales and eight 6-bit minima in 12 bytes, as Q4_K and Q5_K have them. */
function unpackScales(bytes: Uint8Array, p: number, scales: Uint8Array, minima: Uint8Array): void {
  for (let j = 0; j < 4; j++) {
    const [s, m, both] = [bytes[p + j]!, bytes[p + 4 + j]!, bytes[p + 8 + j]!];
    scales[j] = s & 63;
    minima[j] = m & 63;
    scales[j + 4] = (both & 15) | ((s >>> 6) << 4);
    minima[j + 4] = (both >>> 4) | ((m >>> 6) << 4);
  }
}

/** d, dmin, scales and minima of 8 groups, 256 quants of 4 bits: x = d s q − dmin m. */
function q4_k(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  const values = halfValues();
  const [scales, minima] = [new Uint8Array(8), new Uint8Array(8)];
  for (let b = 0, p = 0, o = at; b < blocks; b++, p += 144, o += 256) {
    const d = half(bytes, p, values);
    const dmin = half(bytes, p + 2, values);
    unpackScales(bytes, p + 4, scales, minima);
    for (let g = 0; g < 4; g++) {
      const [d1, m1] = [d * scales[2 * g]!, dmin * minima[2 * g]!];
      const [d2, m2] = [d * scales[2 * g + 1]!, dmin * minima[2 * g + 1]!];
      const [from, to] = [p + 16 + 32 * g, o + 64 * g];
      for (let j = 0; j < 32; j++) {
        const q = bytes[from + j]!;
        out[to + j] = d1 * (q & 15) - m1;
        out[to + 32 + j] = d2 * (q >>> 4) - m2;
      }
    }
  }
}

/** Q4_K with the fifth bits of its quants in 32 bytes before them. */
function q5_k(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  const values = halfValues();
  const [scales, minima] = [new Uint8Array(8), new Uint8Array(8)];
  for (let b = 0, p = 0, o = at; b < blocks; b++, p += 176, o += 256) {
    const d = half(bytes, p, values);
    const dmin = half(bytes, p + 2, values);
    unpackScales(bytes, p + 4, scales, minima);
    for (let g = 0; g < 4; g++) {
      const [d1, m1] = [d * scales[2 * g]!, dmin * minima[2 * g]!];
      const [d2, m2] = [d * scales[2 * g + 1]!, dmin * minima[2 * g + 1]!];
      const [from, to] = [p + 48 + 32 * g, o + 64 * g];
      for (let j = 0; j < 32; j++) {
        const q = bytes[from + j]!;
        const high = bytes[p + 16 + j]! >>> (2 * g);
        out[to + j] = d1 * ((q & 15) | ((high & 1) << 4)) - m1;
        out[to + 32 + j] = d2 * ((q >>> 4) | ((high & 2) << 3)) - m2;
      }
    }
  }
}

/** Low four bits and high two bits of 256 quants, 16 signed scales, d: x = d s (q − 32). */
function q6_k(bytes: Uint8Array, blocks: number, out: Float32Array, at: number): void {
  const values = halfValues();
  for (let b = 0, p = 0, o = at; b < blocks; b++, p += 210, o += 256) {
    const d = half(bytes, p + 208, values);
    for (let side = 0; side < 2; side++) {
      const [low, high, scales, to] = [p + 64 * side, p + 128 + 32 * side, p + 192 + 8 * side, o + 128 * side];
      for (let j = 0; j < 32; j++) {
        const group = scales + (j >>> 4);
        const [l1, l2, h] = [bytes[low + j]!, bytes[low + 32 + j]!, bytes[high + j]!];
        out[to + j] = d * signed(bytes[group]!) * (((l1 & 15) | ((h & 3) << 4)) - 32);
        out[to + 32 + j] = d * signed(bytes[group + 2]!) * (((l2 & 15) | ((h & 12) << 2)) - 32);
        out[to + 64 + j] = d * signed(bytes[group + 4]!) * (((l1 >>> 4) | (h & 48)) - 32);
        out[to + 96 + j] = d * signed(bytes[group + 6]!) * (((l2 >>> 4) | ((h & 192) >>> 2)) - 32);
      }
    }
  }
}

const signed = (byte: number): number => (byte << 24) >> 24;

/** By type name; `F32`, `F16` and `BF16` count as blocks of one. */
export const dequantizers: Readonly<Record<string, Dequantizer>> = {
  F32: f32,
  F16: f16,
  BF16: bf16,
  Q8_0: q8_0,
  Q4_0: q4_0,
  Q4_1: q4_1,
  Q5_0: q5_0,
  Q5_1: q5_1,
  Q4_K: q4_k,
  Q5_K: q5_k,
  Q6_K: q6_k,
};
