import { int32, type Value } from '@polymode/autodiff';
import type { GroupShape } from './transformer/attention.js';

/** One completion with what it answers, in tokens. */
export interface Sequence {
  readonly prompt: readonly number[];
  readonly completion: readonly number[];
}

/** A prompt and completions of it, in tokens. */
export interface SequenceGroup {
  readonly prompt: readonly number[];
  readonly completions: readonly (readonly number[])[];
}

/** Sequences laid out in rows padded on the right, each with its prompt, and the M completion tokens picked out. */
export interface PackedBatch {
  /** int32 [B, T] */
  readonly tokens: Value;
  /** int32 [B, T] */
  readonly positions: Value;
  /** int32 [M]: rows b·T + t that predict the completion tokens */
  readonly at: Value;
  /** int32 [M]: the completion tokens */
  readonly targets: Value;
  /** T */
  readonly length: number;
  /** M: completion tokens in all, sequence after sequence */
  readonly count: number;
}

/** Groups laid out for `groupHidden`: each prompt once, then its completions. */
export interface PackedGroups {
  /** int32 [N, P + G·C] */
  readonly tokens: Value;
  /** int32 [N, P + G·C] */
  readonly positions: Value;
  /** int32 [N]: tokens of each prompt but its last, which begins every completion's row */
  readonly lengths: Value;
  /** int32 [M]: rows n·(P + G·C) + … that predict the completion tokens */
  readonly at: Value;
  /** int32 [M]: the completion tokens, group after group, completion after completion */
  readonly targets: Value;
  readonly shape: GroupShape;
  /** M */
  readonly count: number;
}

/**
 * Lengths are rounded up, to one of four in each doubling (8, 16, 24, 32, 40, 48, 56, 64, 80, …), so that nearby lengths
 * share one compiled graph.
 */
export function roundedLength(length: number): number {
  const step = Math.max(8, 2 ** (Math.ceil(Math.log2(Math.max(length, 1))) - 3));
  return Math.ceil(Math.max(length, 1) / step) * step;
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

/** The smallest shape, with lengths rounded up, that holds these groups. */
export function groupShape(groups: readonly SequenceGroup[]): GroupShape {
  const completions = groups.flatMap((g) => g.completions.map((c) => c.length));
  return {
    promptLength: roundedLength(Math.max(...groups.map((g) => g.prompt.length - 1))),
    completionLength: roundedLength(Math.max(...completions)),
    groupSize: Math.max(...groups.map((g) => g.completions.length)),
  };
}

/**
 * @param shape at least `groupShape(groups)`; a group with fewer completions leaves its last places empty
 * @throws RangeError when a prompt is empty
 */
export function packGroups(groups: readonly SequenceGroup[], padding: number, shape: GroupShape): PackedGroups {
  const { promptLength, completionLength, groupSize } = shape;
  const time = promptLength + groupSize * completionLength;
  const count = groups.reduce((n, g) => n + g.completions.reduce((m, c) => m + c.length, 0), 0);
  const tokens = new Int32Array(groups.length * time).fill(padding);
  const positions = new Int32Array(groups.length * time);
  const lengths = new Int32Array(groups.length);
  const [at, targets] = [new Int32Array(count), new Int32Array(count)];
  let m = 0;
  for (const [n, { prompt, completions }] of groups.entries()) {
    if (prompt.length === 0) throw new RangeError(`group ${n} has an empty prompt`);
    const length = prompt.length - 1;
    lengths[n] = length;
    tokens.set(prompt.slice(0, length), n * time);
    for (let p = 0; p < promptLength; p++) positions[n * time + p] = p;
    for (let g = 0; g < groupSize; g++) {
      const start = n * time + promptLength + g * completionLength;
      for (let c = 0; c < completionLength; c++) positions[start + c] = length + c;
      const completion = completions[g];
      if (completion === undefined) continue;
      tokens[start] = prompt[length]!;
      tokens.set(completion.slice(0, -1), start + 1);
      for (const [c, target] of completion.entries()) {
        at[m] = start + c;
        targets[m++] = target;
      }
    }
  }
  return {
    tokens: int32(tokens, [groups.length, time]),
    positions: int32(positions, [groups.length, time]),
    lengths: int32(lengths, [groups.length]),
    at: int32(at, [count]),
    targets: int32(targets, [count]),
    shape,
    count,
  };
}
