import { halfBits } from '../half.js';
import { GgufError } from './error.js';

/** Values of one Q8_0 block, and its bytes: a half-precision scale and a signed byte a value. */
export const Q8_0_BLOCK = 32;
const Q8_0_BYTES = 34;
const HALF_INFINITY = 0x7c00;

/** Float32 numbers as half-precision ones, nearest, ties to even. @throws GgufError for one that does not fit */
export function toF16(values: Float32Array, tensor: string): Uint8Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) {
    const bits = halfBits(words[i]!);
    if ((bits & HALF_INFINITY) === HALF_INFINITY) throw tooLarge(tensor, values[i]!, 'F16');
    out[i] = bits;
  }
  return new Uint8Array(out.buffer);
}

/**
 * Blocks of 32: d = max |x| / 127, q = round(x / d), halves away from zero, in ggml's float32 arithmetic.
 *
 * @param values a whole number of blocks
 * @throws GgufError for a value that does not fit
 */
export function toQ8_0(values: Float32Array, tensor: string): Uint8Array {
  const blocks = values.length / Q8_0_BLOCK;
  const out = new Uint8Array(blocks * Q8_0_BYTES);
  const scratch = new Float32Array(1);
  const word = new Uint32Array(scratch.buffer);
  for (let b = 0, i = 0, p = 0; b < blocks; b++, i += Q8_0_BLOCK, p += Q8_0_BYTES) {
    let most = 0;
    for (let j = 0; j < Q8_0_BLOCK; j++) {
      const size = Math.abs(values[i + j]!);
      if (!(size < Number.POSITIVE_INFINITY)) throw tooLarge(tensor, values[i + j]!, 'Q8_0');
      if (size > most) most = size;
    }
    const d = Math.fround(most / 127);
    const inverse = d === 0 ? 0 : Math.fround(1 / d);
    scratch[0] = d;
    const bits = halfBits(word[0]!);
    if (bits === HALF_INFINITY) throw tooLarge(tensor, most, 'Q8_0');
    out[p] = bits & 255;
    out[p + 1] = bits >>> 8;
    for (let j = 0; j < Q8_0_BLOCK; j++) {
      const x = Math.fround(values[i + j]! * inverse);
      out[p + 2 + j] = x < 0 ? -Math.floor(0.5 - x) : Math.floor(x + 0.5);
    }
  }
  return out;
}

function tooLarge(tensor: string, value: number, type: string): GgufError {
  return new GgufError(`tensor ${tensor} has the value ${value}, which ${type} cannot hold`);
}
