/**
 * Shapes: a dimension is a number, or a string that names a size known only when the graph runs.
 * Two dimensions with the same name are the same size; nothing is assumed of two different names.
 */
export type Dim = number | string;
export type Shape = readonly Dim[];

/** A shape or axis does not fit; the message has the operation, the shapes and what would fit. */
export class ShapeError extends Error {
  override name = 'ShapeError';
}

export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}

/** The NumPy broadcast of shapes; a named dimension meets only itself or 1. */
export function broadcastShapes(op: string, ...shapes: Shape[]): Dim[] {
  const rank = Math.max(...shapes.map((s) => s.length));
  const out: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    let dim: Dim = 1;
    for (const shape of shapes) {
      const d = shape[i - (rank - shape.length)] ?? 1;
      if (d === 1 || d === dim) continue;
      if (dim !== 1) throw new ShapeError(`${op}: ${shapes.map(formatShape).join(' and ')} do not broadcast`);
      dim = d;
    }
    out.push(dim);
  }
  return out;
}

/** An axis as an index from the front. @throws ShapeError outside [-rank, rank) */
export function normalizeAxis(op: string, axis: number, rank: number): number {
  const normalized = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || normalized < 0 || normalized >= rank) {
    throw new ShapeError(`${op}: axis ${axis} is outside a tensor of rank ${rank}`);
  }
  return normalized;
}

/** Number of elements, or null when a dimension is named. */
export function elementCount(shape: Shape): number | null {
  let n = 1;
  for (const d of shape) {
    if (typeof d === 'string') return null;
    n *= d;
  }
  return n;
}
