/** Sets of characters, and the bytes that stand for one of them inside a JSON string. */
import type { GrammarBuilder, Piece } from './grammar.js';
import { remember } from './remember.js';

/** Unicode scalar values: ranges in order, apart from each other, both ends included. Surrogates are in none. */
export type CodePoints = readonly (readonly [number, number])[];

const LAST = 0x10ffff;
const [FIRST_SURROGATE, LAST_SURROGATE] = [0xd800, 0xdfff];
export const ANY_CHARACTER: CodePoints = [
  [0, FIRST_SURROGATE - 1],
  [LAST_SURROGATE + 1, LAST],
];

export function union(ranges: Iterable<readonly [number, number]>): CodePoints {
  const sorted = [...ranges].sort((a, b) => a[0] - b[0]);
  const out: [number, number][] = [];
  for (const [low, high] of sorted) {
    const last = out.at(-1);
    if (last !== undefined && low <= last[1] + 1) last[1] = Math.max(last[1], high);
    else out.push([low, high]);
  }
  return intersection(out, ANY_CHARACTER);
}

export function intersection(a: CodePoints, b: CodePoints): CodePoints {
  const out: [number, number][] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const low = Math.max(a[i]![0], b[j]![0]);
    const high = Math.min(a[i]![1], b[j]![1]);
    if (low <= high) out.push([low, high]);
    if (a[i]![1] < b[j]![1]) i++;
    else j++;
  }
  return out;
}

export function complement(set: CodePoints): CodePoints {
  const out: [number, number][] = [];
  let next = 0;
  for (const [low, high] of set) {
    if (low > next) out.push([next, low - 1]);
    next = high + 1;
  }
  if (next <= LAST) out.push([next, LAST]);
  return intersection(out, ANY_CHARACTER);
}

/**
 * One character of a set inside a JSON string, in every spelling: as UTF-8 where JSON lets it stand, as a short escape, and
 * as \u with four digits, or twice that for characters beyond U+FFFF.
 *
 * @param escaped those that may be written as \u
 */
export function character(builder: GrammarBuilder, set: CodePoints, escaped: CodePoints = ANY_CHARACTER): Piece {
  const states = spellingStates(set, escaped);
  return (next) => {
    const nodes = states.map((_, i) => (i === 0 ? next : builder.node()));
    for (const [i, edges] of states.entries()) {
      for (const { low, high, to } of edges) builder.nodes[nodes[i]!]!.bytes.push(low, high, nodes[to]!);
    }
    return nodes.at(-1)!;
  };
}

interface ByteEdge {
  readonly low: number;
  readonly high: number;
  readonly to: number;
}

const known = new Map<string, readonly (readonly ByteEdge[])[]>();
/** Sets whose spellings are kept; a pattern has few. */
const KEPT = 500;

/** A deterministic automaton for the spellings: state 0 is the end, and the last one the beginning. */
function spellingStates(set: CodePoints, escaped: CodePoints): readonly (readonly ByteEdge[])[] {
  if (known.size >= KEPT) known.clear();
  return remember(known, `${set.join()} ${escaped.join()}`, () => {
    const states: ByteEdge[][] = [[]];
    const numbers = new Map<string, number>([['', 0]]);
    const build = (spellings: readonly Spelling[]): number => {
      // Spellings of one character are none of another's beginning: all of these have ended, or none has.
      const ended = spellings[0]!.length === 0;
      const key = ended
        ? ''
        : [...new Set(spellings.map((s) => s.map((ranges) => ranges.join('|')).join('/')))].sort().join();
      const found = numbers.get(key);
      if (found !== undefined) return found;
      const edges = cut(spellings).map(({ low, high, rests }) => ({ low, high, to: build(rests) }));
      const number = states.push(joined(edges)) - 1;
      numbers.set(key, number);
      return number;
    };
    const all = [...rawSpellings(set), ...shortSpellings(set), ...escapedSpellings(intersection(set, escaped))];
    if (all.length === 0) states.push([]);
    else build(all);
    return states;
  });
}

/** The first bytes of spellings, in ranges that each leave the same rests. */
function cut(spellings: readonly Spelling[]): { low: number; high: number; rests: Spelling[] }[] {
  const starts = new Set<number>();
  for (const [ranges] of spellings) for (const [low, high] of ranges!) starts.add(low).add(high + 1);
  const order = [...starts].sort((x, y) => x - y);
  return order.flatMap((low, i) => {
    const rests = spellings
      .filter(([ranges]) => ranges!.some(([x, y]) => x <= low && low <= y))
      .map(([, ...rest]) => rest);
    return rests.length === 0 ? [] : [{ low, high: order[i + 1]! - 1, rests }];
  });
}

/** Neighbours with one target as one. */
function joined(edges: readonly ByteEdge[]): ByteEdge[] {
  const out: ByteEdge[] = [];
  for (const edge of edges) {
    const last = out.at(-1);
    if (last !== undefined && last.to === edge.to && last.high + 1 === edge.low)
      out[out.length - 1] = { ...last, high: edge.high };
    else out.push(edge);
  }
  return out;
}

type Range = readonly [number, number];
/** A string of bytes, each from some ranges. */
type Spelling = readonly (readonly Range[])[];

/** All but printable ASCII. */
export const UNUSUAL: CodePoints = complement([[0x20, 0x7e]]);

/** What JSON lets stand for itself: all but control characters, the quote and the backslash. */
const RAW: CodePoints = intersection(complement([[0, 0x1f]]), complement([[0x22, 0x22]]));
const RAW_UNESCAPED: CodePoints = intersection(RAW, complement([[0x5c, 0x5c]]));

function rawSpellings(set: CodePoints): Spelling[] {
  return intersection(set, RAW_UNESCAPED).flatMap(([low, high]) =>
    UTF8_LENGTHS.flatMap(([first, last]) => {
      const [a, b] = [Math.max(low, first), Math.min(high, last)];
      return a > b ? [] : digitRanges(utf8(a), utf8(b), 0x80, 0xbf).map((ranges) => ranges.map((range) => [range]));
    }),
  );
}

const UTF8_LENGTHS = [
  [0, 0x7f],
  [0x80, 0x7ff],
  [0x800, 0xffff],
  [0x10000, LAST],
] as const;

const utf8 = (codePoint: number): number[] => [...new TextEncoder().encode(String.fromCodePoint(codePoint))];

const SHORT = new Map([
  [0x22, '"'],
  [0x5c, '\\'],
  [0x2f, '/'],
  [0x08, 'b'],
  [0x0c, 'f'],
  [0x0a, 'n'],
  [0x0d, 'r'],
  [0x09, 't'],
]);

const exactly = (text: string): Range[][] => [...new TextEncoder().encode(text)].map((b) => [[b, b]]);

function shortSpellings(set: CodePoints): Spelling[] {
  return [...SHORT]
    .filter(([c]) => set.some(([low, high]) => low <= c && c <= high))
    .map(([, letter]) => exactly(`\\${letter}`));
}

function escapedSpellings(set: CodePoints): Spelling[] {
  const plane = intersection(set, [[0, 0xffff]]).flatMap(([low, high]) => hexSpellings(low, high));
  const beyond = intersection(set, [[0x10000, LAST]]).flatMap(([low, high]) => {
    // A pair of surrogates: 10 bits of what is above U+FFFF each.
    const bits = (c: number): number[] => [(c - 0x10000) >> 10, (c - 0x10000) & 0x3ff];
    return digitRanges(bits(low), bits(high), 0, 0x3ff).flatMap(([first, second]) =>
      hexSpellings(0xd800 + first![0], 0xd800 + first![1]).flatMap((a) =>
        hexSpellings(0xdc00 + second![0], 0xdc00 + second![1]).map((b) => [...a, ...b]),
      ),
    );
  });
  return [...plane, ...beyond];
}

/** \u and four digits, in small letters or large. */
function hexSpellings(low: number, high: number): Spelling[] {
  const digits = (c: number): number[] => [c >> 12, (c >> 8) & 15, (c >> 4) & 15, c & 15];
  return digitRanges(digits(low), digits(high), 0, 15).map((ranges) => [...exactly('\\u'), ...ranges.map(hexDigits)]);
}

function hexDigits([low, high]: Range): Range[] {
  const out: Range[] = [];
  if (low < 10) out.push([0x30 + low, 0x30 + Math.min(high, 9)]);
  if (high >= 10) {
    const [a, b] = [Math.max(low, 10) - 10, high - 10];
    out.push([0x41 + a, 0x41 + b], [0x61 + a, 0x61 + b]);
  }
  return out;
}

/**
 * Numbers between two of the same length, as strings of ranges of digits: 7 to 23 are 0[7-9], 1[0-9] and 2[0-3].
 *
 * @param least and most: what every digit but the first may be
 */
function digitRanges(low: readonly number[], high: readonly number[], least: number, most: number): Range[][] {
  const [a, ...lowRest] = low as [number, ...number[]];
  const [b, ...highRest] = high as [number, ...number[]];
  if (lowRest.length === 0) return [[[a, b]]];
  const behind = (digit: number, from: readonly number[], to: readonly number[]): Range[][] =>
    digitRanges(from, to, least, most).map((rest) => [[digit, digit], ...rest]);
  if (a === b) return behind(a, lowRest, highRest);
  const wholeLow = lowRest.every((d) => d === least);
  const wholeHigh = highRest.every((d) => d === most);
  const [first, last] = [wholeLow ? a : a + 1, wholeHigh ? b : b - 1];
  const full = lowRest.map((): Range => [least, most]);
  return [
    ...(wholeLow
      ? []
      : behind(
          a,
          lowRest,
          lowRest.map(() => most),
        )),
    ...(first <= last ? [[[first, last] as Range, ...full]] : []),
    ...(wholeHigh
      ? []
      : behind(
          b,
          highRest.map(() => least),
          highRest,
        )),
  ];
}
