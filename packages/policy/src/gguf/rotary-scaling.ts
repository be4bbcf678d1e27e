import { GgufError } from './error.js';
import { shortestDecimal } from './metadata.js';

/** Llama 3's stretching of rotary positions, as `rope_scaling` of config.json gives it. */
export interface Llama3Scaling {
  readonly factor: number;
  readonly low_freq_factor: number;
  readonly high_freq_factor: number;
  readonly original_max_position_embeddings: number;
}

const LLAMA_3 = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };

/** Turns of each pair of a head in one context: its frequency θ^(−2i/D) times the context over 2π. */
function turnsOf(theta: number, pairs: number, context: number): Float64Array {
  return Float64Array.from({ length: pairs }, (_, i) => (context * theta ** (-i / pairs)) / (2 * Math.PI));
}

/**
 * What each frequency is divided by: the tensor `rope_freqs.weight` of llama.cpp's files.
 *
 * 1 where a pair turns more than the high factor in the original context, the factor where it turns less than the low
 * factor, and in between 1 / ((1 − s) / factor + s) with s = (turns − low) / (high − low).
 */
export function llama3Divisors(scaling: Llama3Scaling, theta: number, headDim: number): Float32Array {
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: context } = scaling;
  return Float32Array.from(turnsOf(theta, headDim / 2, context), (turns) => {
    if (turns > high) return 1;
    if (turns < low) return factor;
    const s = (turns - low) / (high - low);
    return 1 / ((1 - s) / factor + s);
  });
}

/**
 * The scaling that gives these divisors, the inverse of the above. Only the products of the low and high factors with
 * the context show in them: it comes from the metadata, or is Llama 3's.
 *
 * @returns null when nothing is scaled, the one number when all is scaled alike
 * @throws GgufError when they are of another kind
 */
export function scalingOfDivisors(
  divisors: Float32Array,
  theta: number,
  originalContext: number = LLAMA_3.original_max_position_embeddings,
): Llama3Scaling | number | null {
  const factor = shortestDecimal(divisors.reduce((a, b) => Math.max(a, b), 0));
  if (divisors.every((d) => d === divisors[0])) return factor === 1 ? null : factor;
  const known = { factor, ...LLAMA_3, original_max_position_embeddings: originalContext };
  if (agrees(known, theta, divisors)) return known;
  const fitted = { factor, ...fitRange(divisors, factor, theta, originalContext) };
  const rounded = {
    ...fitted,
    low_freq_factor: Number(fitted.low_freq_factor.toPrecision(5)),
    high_freq_factor: Number(fitted.high_freq_factor.toPrecision(5)),
  };
  const found = [rounded, fitted].find((scaling) => agrees(scaling, theta, divisors));
  if (found === undefined) {
    throw new GgufError('rope_freqs.weight stretches rotary positions in another way than Llama 3 does');
  }
  return found;
}

function agrees(scaling: Llama3Scaling, theta: number, divisors: Float32Array): boolean {
  return llama3Divisors(scaling, theta, 2 * divisors.length).every((d, i) => Math.abs(d / divisors[i]! - 1) < 1e-5);
}

function isClose(a: number, b: number): boolean {
  return Math.abs(a / b - 1) < 1e-6;
}

/** s is a line in the turns: through its first and last point strictly between 0 and 1, or between its ends. */
function fitRange(
  divisors: Float32Array,
  factor: number,
  theta: number,
  context: number,
): Omit<Llama3Scaling, 'factor'> {
  const points = [...turnsOf(theta, divisors.length, context)].map((turns, i) => {
    const divisor = divisors[i]!;
    // In divisors, not in shares: where the factor is close to 1, their last bits are a large share.
    if (isClose(divisor, factor)) return { turns, share: 0 };
    if (isClose(divisor, 1)) return { turns, share: 1 };
    return { turns, share: (1 / divisor - 1 / factor) / (1 - 1 / factor) };
  });
  const between = points.filter(({ share }) => share > 0 && share < 1); // turns fall
  const above = points.findLast(({ share }) => share === 1);
  const below = points.find(({ share }) => share === 0);
  const [first, last] = [between[0] ?? above, between.at(-1) ?? below];
  let slope = Number.NaN;
  if (first !== undefined && last !== undefined && first !== last) {
    slope = (first.share - last.share) / (first.turns - last.turns);
  } else if (first !== undefined) {
    // One point: as flat as its neighbours allow is unknown, as steep as they need is enough.
    const up = above === undefined ? 0 : (1 - first.share) / (above.turns - first.turns);
    const down = below === undefined ? 0 : first.share / (first.turns - below.turns);
    slope = Math.max(up, down);
  }
  const anchor = first ?? { turns: 0, share: 0 };
  const low = anchor.turns - anchor.share / slope;
  return {
    low_freq_factor: low,
    high_freq_factor: low + 1 / slope,
    original_max_position_embeddings: context,
  };
}
