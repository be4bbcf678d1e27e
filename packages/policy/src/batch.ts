import { int32, type Value } from '@polymode/autodiff';

/** One completion with what it answers, in tokens. */
export interface Sequence {
  readonly prompt: readonly number[];
  readonly completion: readonly number[];
}

/** Sequences laid out for `tokenStatistics`: rows padded on the right, and the M completion tokens picked out. */
export interface PackedBatch {
  readonly tokens: Value;
  readonly positions: Value;
  readonly at: Value;
  readonly targets: Value;
  /** T, rounded up so that few different graphs are needed */
  readonly length: number;
  /** M: completion tokens in all, sequence after sequence */
  readonly count: number;
}

/** Lengths are rounded up to a multiple of this, so that nearby lengths share one compiled graph. */
const LENGTH_STEP = 8;

export function roundedLength(length: number): number {
  return Math.ceil(Math.max(length, 1) / LENGTH_STEP) * LENGTH_STEP;
}

/** @throws RangeError when a prompt is empty: its completion's first token would have nothing to follow */
export function packSequences(sequences: readonly Sequence[], padding: number): PackedBatch {
  // The last completion token is predicted, never read.
  const longest = Math.max(...sequences.map((s) => s.prompt.length + s.completion.length - 1));
  const length = roundedLength(longest);
  const count = sequences.reduce((n, s) => n + s.completion.length, 0);
  const tokens = new Int32Array(sequences.length * length).fill(padding);
  const [at, targets] = [new Int32Array(count), new Int32Array(count)];
  let m = 0;
  for (const [b, { prompt, completion }] of sequences.entries()) {
    if (prompt.length === 0) throw new RangeError(`sequence ${b} has an empty prompt`);
    tokens.set(prompt, b * length);
    tokens.set(completion.slice(0, -1), b * length + prompt.length);
    for (const [c, target] of completion.entries()) {
      at[m] = b * length + prompt.length - 1 + c;
      targets[m++] = target;
    }
  }
  return {
    tokens: int32(tokens, [sequences.length, length]),
    positions: positionRows(sequences.length, length),
    at: int32(at, [count]),
    targets: int32(targets, [count]),
    length,
    count,
  };
}

/** 0, 1, … in every row. */
export function positionRows(rows: number, length: number): Value {
  return int32(
    Int32Array.from({ length: rows * length }, (_, i) => i % length),
    [rows, length],
  );
}
