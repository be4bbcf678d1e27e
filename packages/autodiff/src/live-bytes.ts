import { runningOrder } from './order.js';
import { elementCount } from './shape.js';
import type { DType, Node, Tensor } from './tensor.js';

const BYTES: Readonly<Record<DType, number>> = { float32: 4, int32: 4, int64: 8, bool: 1 };

/** Operations whose result is their input's memory under another shape. */
const VIEWS = new Set(['Reshape', 'ReshapeTo', 'Squeeze', 'Unsqueeze', 'Identity', 'StopGradient']);

/** Operations that the runtime lets write over an input of the same size that nobody reads any more. */
const IN_PLACE = new Set([
  'Add',
  'Sub',
  'Mul',
  'Div',
  'Neg',
  'Exp',
  'Sqrt',
  'Sigmoid',
  'Silu',
  'Tanh',
  'Softmax',
  'Where',
]);

/**
 * The most bytes of intermediate results that are alive at a time when a graph runs: what it needs beside its inputs and
 * constants. Results are computed in the runtime's order and freed after their last use.
 *
 * @param outputs of a graph whose inputs all have fixed shapes
 * @throws Error naming a tensor whose size is not known
 */
export function liveBytes(outputs: readonly Tensor[]): number {
  const order = runningOrder(outputs);
  const owner = new Map<Tensor, Tensor>();
  const ownerOf = (t: Tensor): Tensor => owner.get(t) ?? t;
  const readers = new Map<Tensor, number>();
  for (const node of order) {
    if (VIEWS.has(node.op)) owner.set(node.outputs[0]!, ownerOf(node.inputs[0]!));
    else for (const t of node.inputs) readers.set(ownerOf(t), (readers.get(ownerOf(t)) ?? 0) + 1);
  }
  for (const t of outputs) readers.set(ownerOf(t), Number.POSITIVE_INFINITY);

  let [live, peak] = [0, 0];
  const free = (t: Tensor): void => {
    if (!isLeaf(t.node)) live -= byteLength(t);
  };
  for (const node of order) {
    if (isLeaf(node) || VIEWS.has(node.op)) continue;
    const read = new Set(node.inputs.map(ownerOf));
    const dying: Tensor[] = [];
    for (const t of node.inputs.map(ownerOf)) readers.set(t, readers.get(t)! - 1);
    for (const t of read) if (readers.get(t) === 0) dying.push(t);
    const made = node.outputs.reduce((sum, t) => sum + (readers.has(t) ? byteLength(t) : 0), 0);
    const reused =
      IN_PLACE.has(node.op) && dying.some((t) => !isLeaf(t.node) && byteLength(t) === byteLength(node.outputs[0]!));
    peak = Math.max(peak, live + (reused ? 0 : made));
    live += made;
    for (const t of dying) free(t);
  }
  return peak;
}

function isLeaf(node: Node): boolean {
  return node.op === 'Input' || node.op === 'Frozen' || node.op === 'Constant';
}

function byteLength(t: Tensor): number {
  const count = elementCount(t.shape);
  if (count === null) throw new Error(`the size of ${t} is not known before it runs`);
  return count * BYTES[t.dtype];
}
