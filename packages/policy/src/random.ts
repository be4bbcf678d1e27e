/**
 * Random numbers as pure functions of (seed, counters): Philox4x32-10, a counter-based generator from J. Salmon et al.,
 * "Parallel random numbers: as easy as 1, 2, 3", SC11. There is no state to save, and what one completion draws does
 * not depend on what else is in its batch.
 */

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

/** One block: four 32-bit words from a counter of four and a key of two. */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): number[] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = highWord(MULTIPLIER_0, c0);
    const high1 = highWord(MULTIPLIER_1, c2);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + WEYL_0) | 0;
    k1 = (k1 + WEYL_1) | 0;
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
}

/** The upper word of a 32 × 32 bit product, from 16-bit pieces: every sum stays below 2³², which doubles hold exactly. */
function highWord(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  return aHigh * bHigh + (middle >>> 16) + ((aLow * bHigh + (middle & 0xffff)) >>> 16);
}

/** Which random numbers: each field takes part in the counter or the key, so no two draws share any. */
export interface Draw {
  /** of the job, 0 … 2³²−1 */
  readonly seed: number;
  /** purpose of the draw */
  readonly stream: number;
  readonly step: number;
  readonly row: number;
  /** how many */
  readonly count: number;
}

/** The i-th word of a draw is word i mod 4 of block ⌊i / 4⌋. */
function words(draw: Draw): Uint32Array {
  const out = new Uint32Array(draw.count);
  for (let i = 0; i < draw.count; i += 4) {
    const block = philox4x32([i / 4, draw.row, draw.step, 0], [draw.seed >>> 0, draw.stream]);
    for (let k = 0; k < 4 && i + k < draw.count; k++) out[i + k] = block[k]!;
  }
  return out;
}

/** Uniform numbers strictly between 0 and 1: the centres of 2²³ equal intervals, each exact in float32. */
export function uniforms(draw: Draw): Float32Array {
  return Float32Array.from(words(draw), (w) => ((w >>> 9) + 0.5) / 2 ** 23);
}

/** Standard normal numbers by Box and Muller's transform, in float64 before rounding. */
export function normals(draw: Draw): Float32Array {
  const w = words({ ...draw, count: 2 * draw.count });
  return Float32Array.from({ length: draw.count }, (_, i) => {
    const [u, v] = [(w[2 * i]! + 0.5) / 2 ** 32, (w[2 * i + 1]! + 0.5) / 2 ** 32];
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v);
  });
}

/** Streams of a seed from this one on belong to permutations. */
const PERMUTATION_STREAM = 0x70657200;

/** 0 … length−1 in an order that depends on (seed, epoch) only: Fisher and Yates' shuffle. */
export function seededPermutation(seed: number, epoch: number, length: number): number[] {
  const order = Array.from({ length }, (_, i) => i);
  const w = words({ seed, stream: PERMUTATION_STREAM, step: epoch, row: 0, count: length });
  for (let i = length - 1; i > 0; i--) {
    // The bias of a remainder of 32 bits is below length / 2³².
    const j = w[i]! % (i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
