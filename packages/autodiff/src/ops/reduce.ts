import type { Op, OpTable } from '../op.js';
import { type Dim, normalizeAxis, type Shape, ShapeError, sameShape } from '../shape.js';
import { makeNode, type Tensor } from '../tensor.js';
import { div, mul } from './elementwise.js';
import { expandLike, sizeOf, unsqueeze } from './layout.js';

function reduce(op: string, x: Tensor, axes: readonly number[] | undefined, keepDims: boolean): Tensor {
  const reduced = (axes ?? x.shape.map((_, i) => i)).map((a) => normalizeAxis(op, a, x.rank)).sort((a, b) => a - b);
  const shape: Dim[] = [];
  for (const [i, d] of x.shape.entries()) {
    if (!reduced.includes(i)) shape.push(d);
    else if (keepDims) shape.push(1);
  }
  return makeNode(op, [x], { axes: reduced, keepDims }, [{ dtype: x.dtype, shape }])[0]!;
}

/** Sum over axes (all of them by default). */
export const sum = (x: Tensor, axes?: readonly number[], keepDims = false): Tensor =>
  reduce('ReduceSum', x, axes, keepDims);
/** Mean over axes (all of them by default). */
export const mean = (x: Tensor, axes?: readonly number[], keepDims = false): Tensor =>
  reduce('ReduceMean', x, axes, keepDims);
/** Largest value over axes. It has no gradient rule: use it through `stopGradient`, as in a stable softmax. */
export const max = (x: Tensor, axes?: readonly number[], keepDims = false): Tensor =>
  reduce('ReduceMax', x, axes, keepDims);

/** Index of the first largest value along the last axis, int64, that axis removed. */
export function argMax(x: Tensor): Tensor {
  return makeNode('ArgMax', [x], {}, [{ dtype: 'int64', shape: x.shape.slice(0, -1) }])[0]!;
}

/** Running sum along the last axis. */
export function cumulativeSum(x: Tensor): Tensor {
  return makeNode('CumSum', [x], {}, [{ dtype: x.dtype, shape: x.shape }])[0]!;
}

/** Sums a gradient over the axes along which a tensor of the given shape was broadcast. */
export function sumTo(g: Tensor, shape: Shape): Tensor {
  if (sameShape(g.shape, shape)) return g;
  const extra = g.rank - shape.length;
  const leading = Array.from({ length: extra }, (_, i) => i);
  const repeated = shape.flatMap((d, i) => (d === 1 && g.shape[i + extra] !== 1 ? [i + extra] : []));
  let out = repeated.length > 0 ? sum(g, repeated, true) : g;
  if (extra > 0) out = sum(out, leading);
  if (!sameShape(out.shape, shape)) throw new ShapeError(`sumTo: ${g} does not reduce to [${shape.join(', ')}]`);
  return out;
}

/** Puts back the axes that a reduction removed, as size 1. */
function restoreAxes(g: Tensor, axes: readonly number[], keepDims: boolean): Tensor {
  return keepDims ? g : unsqueeze(g, axes);
}

const lowerReduce =
  (opType: string): Op['lower'] =>
  (node, to) => {
    to.emit(opType, [to.use(node.inputs[0]!), to.ints(node.attributes.axes as number[])], {
      attributes: { keepdims: { int: node.attributes.keepDims ? 1 : 0 } },
      outputs: to.outputs(node),
    });
  };

export const reduceOps: OpTable = {
  ReduceSum: {
    lower: lowerReduce('ReduceSum'),
    gradient: (node, [g]) => {
      const x = node.inputs[0]!;
      const { axes, keepDims } = node.attributes as { axes: number[]; keepDims: boolean };
      return [expandLike(restoreAxes(g!, axes, keepDims), x)];
    },
  },
  ReduceMean: {
    lower: lowerReduce('ReduceMean'),
    gradient: (node, [g]) => {
      const x = node.inputs[0]!;
      const { axes, keepDims } = node.attributes as { axes: number[]; keepDims: boolean };
      const spread = expandLike(restoreAxes(g!, axes, keepDims), x);
      const sizes = axes.map((a) => x.shape[a]!);
      if (sizes.every((d) => typeof d === 'number')) {
        return [mul(spread, 1 / (sizes as number[]).reduce((p, d) => p * d, 1))];
      }
      return [axes.reduce((out, a) => div(out, sizeOf(x, a)), spread)];
    },
  },
  ReduceMax: { lower: lowerReduce('ReduceMax') },
  ArgMax: {
    lower: (node, to) => {
      to.emit('ArgMax', [to.use(node.inputs[0]!)], {
        attributes: { axis: { int: -1 }, keepdims: { int: 0 } },
        outputs: to.outputs(node),
      });
    },
    gradient: (node) => node.inputs.map(() => null),
  },
  CumSum: {
    lower: (node, to) => {
      to.emit('CumSum', [to.use(node.inputs[0]!), to.scalar(node.inputs[0]!.rank - 1, 'int64')], {
        outputs: to.outputs(node),
      });
    },
  },
};
