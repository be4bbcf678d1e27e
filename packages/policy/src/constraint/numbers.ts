/** Rules for JSON numbers, by digits: exact within any bounds. */
import { type GrammarBuilder, type Piece, sequence } from './grammar.js';

export interface NumberLimits {
  readonly integer: boolean;
  /** may be infinite */
  readonly min: number;
  readonly max: number;
  readonly aboveMin: boolean;
  readonly belowMax: boolean;
  /** a positive integer: 1 for any integer; null for no such condition */
  readonly multipleOf: number | null;
}

/** Digits that every double tells apart; what is bounded has no more. */
const DIGITS = 15;
const LARGEST = 10n ** BigInt(DIGITS) - 1n;
/** Most digits after the point of a number without bounds: what the smallest double that JSON writes without exponent needs. */
const FRACTION = 24;

/**
 * A rule for numbers within limits. Without limits: up to 21 digits before the point, or scientific notation of magnitudes below
 * 1.7e308, which is how JSON.stringify writes. Integers without bounds are the safe ones; other numbers with bounds have no
 * exponent and 15 digits in all.
 *
 * @returns null when there is no such number
 */
export function numberRule(builder: GrammarBuilder, limits: NumberLimits): number | null {
  const { integer, min, max, multipleOf } = limits;
  const whole = integer || multipleOf !== null;
  if (!whole && min === Number.NEGATIVE_INFINITY && max === Number.POSITIVE_INFINITY) {
    return builder.rule(anyNumber(builder));
  }
  const extent = whole ? BigInt(Number.MAX_SAFE_INTEGER) : LARGEST;
  const fraction = whole ? 0 : fractionDigits(min, max);
  const scale = 10n ** BigInt(fraction);
  const low = scaled(min, fraction, 'up', limits.aboveMin) ?? -extent * scale;
  const high = scaled(max, fraction, 'down', limits.belowMax) ?? extent * scale;
  const clamp = (n: bigint): bigint =>
    n > extent * scale ? extent * scale : n < -extent * scale ? -extent * scale : n;
  if (low > high || low > extent * scale || high < -extent * scale) return null;
  const digits = new Digits(builder, fraction, multipleOf ?? 1);
  const pieces = digits.pieces(clamp(low), clamp(high));
  return pieces.length === 0 ? null : builder.rule(builder.oneOf(pieces));
}

/** So many after the point that both bounds' digits before it and these are 15 at most. */
function fractionDigits(min: number, max: number): number {
  const before = [min, max].filter(Number.isFinite).map((x) => Math.trunc(Math.abs(x)).toFixed(0).length);
  const open = !Number.isFinite(min) || !Number.isFinite(max);
  return Math.max(0, DIGITS - Math.max(...before, open ? 9 : 1));
}

/** A bound times 10^fraction, rounded into what it bounds; null where there is none. */
function scaled(bound: number, fraction: number, way: 'up' | 'down', open: boolean): bigint | null {
  if (!Number.isFinite(bound)) return null;
  const [digits, exponent] = decimal(bound);
  const shift = exponent + fraction;
  const exact = shift >= 0;
  const divisor = exact ? 1n : 10n ** BigInt(-shift);
  const n = exact ? digits * 10n ** BigInt(shift) : digits;
  let floor = n / divisor;
  if (n % divisor < 0n) floor -= 1n;
  const onIt = floor * divisor === n;
  if (way === 'down') return onIt && open ? floor - 1n : floor;
  return onIt && !open ? floor : floor + 1n;
}

/** A double as the shortest decimal that reads as it: digits · 10^exponent. */
function decimal(x: number): [bigint, number] {
  const [mantissa, exponent = '0'] = x.toExponential().split('e') as [string, string?];
  const [before, after = ''] = mantissa.split('.') as [string, string?];
  return [BigInt(before + after), Number(exponent) - after.length];
}

function anyNumber(builder: GrammarBuilder): Piece {
  const digit = builder.byte(0x30, 0x39);
  const digits = (n: number): Piece => sequence([digit, upTo(builder, digit, n - 1)]);
  const fraction = builder.optional(sequence([builder.text('.'), digits(FRACTION)]));
  const positive = sequence([
    builder.optional(builder.text('+')),
    builder.oneOf([
      sequence([digit, builder.optional(digit)]),
      sequence([builder.byte(0x31, 0x32), digit, digit]),
      sequence([builder.text('30'), builder.byte(0x30, 0x37)]),
    ]),
  ]);
  const negative = sequence([builder.text('-'), digits(3)]);
  const exponent = sequence([
    builder.oneOf([builder.text('e'), builder.text('E')]),
    builder.oneOf([positive, negative]),
  ]);
  // What is below 1.7e308 is a double.
  const largest = sequence([
    builder.text('1'),
    builder.optional(sequence([builder.text('.'), builder.byte(0x30, 0x36), upTo(builder, digit, FRACTION - 1)])),
    builder.oneOf([builder.text('e'), builder.text('E')]),
    builder.optional(builder.text('+')),
    builder.text('308'),
  ]);
  const wholePart = builder.oneOf([builder.text('0'), sequence([builder.byte(0x31, 0x39), upTo(builder, digit, 20)])]);
  return sequence([
    builder.optional(builder.text('-')),
    builder.oneOf([sequence([wholePart, fraction]), sequence([digit, fraction, exponent]), largest]),
  ]);
}

/** Up to n of a piece, where each but the first follows another: no two ways to read the same. */
function upTo(builder: GrammarBuilder, piece: Piece, n: number): Piece {
  return n === 0 ? (next) => next : builder.oneOf([(next) => next, sequence([piece, upTo(builder, piece, n - 1)])]);
}

/** Digits of numbers between bounds, written without exponent. */
class Digits {
  private readonly known = new Map<string, number | null>();
  private next = 0;

  /** @param fraction digits after the point at most */
  constructor(
    private readonly builder: GrammarBuilder,
    private readonly fraction: number,
    private readonly multipleOf: number,
  ) {}

  /** @param low and high: times 10^fraction */
  pieces(low: bigint, high: bigint): Piece[] {
    const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);
    const pieces: Piece[] = [];
    const positive = this.magnitudes(max(low, 0n), high);
    const negative = this.magnitudes(max(-high, 1n), -low);
    if (positive !== null) pieces.push(positive);
    if (negative !== null) pieces.push(sequence([this.builder.text('-'), negative]));
    return pieces;
  }

  private magnitudes(low: bigint, high: bigint): Piece | null {
    if (low > high) return null;
    return (next) => {
      this.known.clear();
      this.next = next;
      const start = this.builder.node();
      for (let n = 1; n <= high.toString().length; n++) {
        const size = 10n ** BigInt(this.fraction);
        const least = n === 1 ? 0n : 10n ** BigInt(n - 1) * size;
        const most = 10n ** BigInt(n) * size - 1n;
        const [a, b] = [low > least ? low : least, high < most ? high : most];
        if (a > b) continue;
        const pad = (x: bigint): string => x.toString().padStart(n + this.fraction, '0');
        const node = this.digits(n + this.fraction, pad(a), pad(b), 0, n > 1);
        if (node !== null) this.builder.nodes[start]!.empty.push(node);
      }
      return start;
    };
  }

  /**
   * The rest of a number: `left` digits, those after the point with them.
   *
   * @param low what these digits are at least, while those before are the lower bound's; null when they are above
   * @param high the same for the upper bound
   * @param remainder of the digits before, by multipleOf
   */
  private digits(
    left: number,
    low: string | null,
    high: string | null,
    remainder: number,
    leading = false,
  ): number | null {
    const key = `${left} ${low} ${high} ${remainder} ${leading}`;
    const known = this.known.get(key);
    if (known !== undefined) return known;
    const { builder } = this;
    const node = builder.node();
    this.known.set(key, node);
    for (let d = leading ? 1 : 0; d <= 9; d++) {
      if (low !== null && d < Number(low[0])) continue;
      if (high !== null && d > Number(high[0])) continue;
      const restLow = low !== null && d === Number(low[0]) ? low.slice(1) : null;
      const restHigh = high !== null && d === Number(high[0]) ? high.slice(1) : null;
      const target = this.after(left - 1, restLow, restHigh, (remainder * 10 + d) % this.multipleOf);
      if (target !== null) builder.nodes[node]!.bytes.push(0x30 + d, 0x30 + d, target);
    }
    return node;
  }

  /** The number may end here if zeros in place of the digits left would do; a point stands before the first of a fraction. */
  private after(left: number, low: string | null, high: string | null, remainder: number): number | null {
    const key = `after ${left} ${low} ${high} ${remainder}`;
    const known = this.known.get(key);
    if (known !== undefined) return known;
    const { builder } = this;
    const ends = left <= this.fraction && remainder === 0 && (low === null || /^0*$/.test(low));
    if (left === 0) return ends ? this.next : null;
    const node = builder.node();
    this.known.set(key, node);
    if (ends) builder.nodes[node]!.empty.push(this.next);
    const more = this.digits(left, low, high, remainder)!;
    if (left === this.fraction) builder.nodes[node]!.bytes.push(0x2e, 0x2e, more);
    else builder.nodes[node]!.empty.push(more);
    return node;
  }
}
