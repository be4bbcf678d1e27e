import { groupShape, type Sequence, type SequenceGroup } from './batch.js';
import type { GroupShape } from './transformer/attention.js';

/** Groups that go through the model together, and the sequences in them, in the order of their tokens. */
export interface MicroBatch<S extends Sequence> {
  readonly groups: readonly SequenceGroup[];
  readonly sequences: readonly S[];
  readonly shape: GroupShape;
}

/**
 * Splits a step into passes that fit a budget. Sequences that follow each other and share a prompt form a group; a group
 * that does not fit is cut, and its prompt is then there once for each piece. The order of sequences stays, so the order in
 * which gradients are summed depends on nothing else.
 *
 * @param fits whether so many groups of a shape fit; a single sequence is taken whether it fits or not
 */
export function microBatches<S extends Sequence>(
  sequences: readonly S[],
  fits: (shape: GroupShape, groups: number) => boolean,
): MicroBatch<S>[] {
  const batches: S[][][] = [];
  for (const piece of groupsOf(sequences).flatMap((group) => pieces(group, fits))) {
    const current = batches[batches.length - 1];
    if (current !== undefined && fits(shapeOf([...current, piece]), current.length + 1)) current.push(piece);
    else batches.push([piece]);
  }
  return batches.map((groups) => ({
    groups: groups.map(toGroup),
    sequences: groups.flat(),
    shape: shapeOf(groups),
  }));
}

function groupsOf<S extends Sequence>(sequences: readonly S[]): S[][] {
  const groups: S[][] = [];
  for (const sequence of sequences) {
    const current = groups[groups.length - 1];
    if (current !== undefined && samePrompt(current[0]!, sequence)) current.push(sequence);
    else groups.push([sequence]);
  }
  return groups;
}

function samePrompt(a: Sequence, b: Sequence): boolean {
  return a.prompt === b.prompt || (a.prompt.length === b.prompt.length && a.prompt.every((t, i) => t === b.prompt[i]));
}

/** A group in as few pieces of nearly equal size as fit. */
function pieces<S extends Sequence>(group: readonly S[], fits: (shape: GroupShape, groups: number) => boolean): S[][] {
  for (let count = 1; ; count++) {
    const size = Math.ceil(group.length / count);
    const cut: S[][] = [];
    for (let from = 0; from < group.length; from += size) cut.push(group.slice(from, from + size));
    if (size === 1 || cut.every((piece) => fits(shapeOf([piece]), 1))) return cut;
  }
}

function toGroup(piece: readonly Sequence[]): SequenceGroup {
  return { prompt: piece[0]!.prompt, completions: piece.map((s) => s.completion) };
}

function shapeOf(groups: readonly (readonly Sequence[])[]): GroupShape {
  return groupShape(groups.map(toGroup));
}
