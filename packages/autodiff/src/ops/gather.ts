import type { OpTable } from '../op.js';
import { normalizeAxis, ShapeError } from '../shape.js';
import { makeNode, type Tensor } from '../tensor.js';
import { expandLike, reshape, unsqueeze } from './layout.js';
import { flatName } from './matmul.js';

/**
 * Rows of a table, as an embedding looks them up.
 *
 * @param table [rows, ...]
 * @param indices int32 of any shape, 0 ≤ index < rows
 * @returns [...indices, ...]
 */
export function gatherRows(table: Tensor, indices: Tensor): Tensor {
  requireIndices('Gather', indices);
  return makeNode('Gather', [table, indices], {}, [
    { dtype: table.dtype, shape: [...indices.shape, ...table.shape.slice(1)] },
  ])[0]!;
}

/**
 * One element a position along an axis: y[i][j] = x[i][indices[i][j]] for the last axis.
 *
 * @param x any shape
 * @param indices int32 with x's shape, except along the axis
 */
export function gatherElements(x: Tensor, indices: Tensor, axis: number): Tensor {
  requireIndices('GatherElements', indices);
  const a = normalizeAxis('GatherElements', axis, x.rank);
  if (indices.rank !== x.rank) throw new ShapeError(`GatherElements: ${indices} must have the rank of ${x}`);
  return makeNode('GatherElements', [x, indices], { axis: a }, [{ dtype: x.dtype, shape: indices.shape }])[0]!;
}

/**
 * The k largest along the last axis, largest first: [values, indices (int64)].
 *
 * @param k a number, or an int64 vector of one, known at run time: the last axis is then named `top`
 */
export function topK(x: Tensor, k: number | Tensor): [Tensor, Tensor] {
  const shape = [...x.shape.slice(0, -1), typeof k === 'number' ? k : 'top'];
  const [inputs, attributes] = typeof k === 'number' ? [[x], { k }] : [[x, k], {}];
  return makeNode('TopK', inputs, attributes, [
    { dtype: x.dtype, shape },
    { dtype: 'int64', shape },
  ]) as [Tensor, Tensor];
}

/** Zeros like `like`, plus each update added at its index along an axis; an index may come more than once. */
export function scatterAdd(like: Tensor, indices: Tensor, updates: Tensor, axis: number): Tensor {
  return makeNode('ScatterAdd', [like, indices, updates], { axis }, [{ dtype: updates.dtype, shape: like.shape }])[0]!;
}

/** A copy of x with each update added at its index along an axis; an index may come more than once. */
export function addAt(x: Tensor, indices: Tensor, updates: Tensor, axis: number): Tensor {
  return makeNode('AddAt', [x, indices, updates], { axis }, [{ dtype: x.dtype, shape: x.shape }])[0]!;
}

function requireIndices(op: string, indices: Tensor): void {
  if (indices.dtype !== 'int32' && indices.dtype !== 'int64') {
    throw new ShapeError(`${op}: indices must be int32 or int64, not ${indices}`);
  }
}

export const gatherOps: OpTable = {
  Gather: {
    lower: (node, to) => {
      const [table, indices] = node.inputs as [Tensor, Tensor];
      // A table that is also a streamed weight is read where it lies.
      const source = table.node.op === 'Streamed' ? table.node.inputs[0]! : table;
      to.emit('Gather', [to.use(source), to.use(indices)], {
        attributes: { axis: { int: 0 } },
        outputs: to.outputs(node),
      });
    },
    gradient: (node, [g]) => {
      const [table, indices] = node.inputs as [Tensor, Tensor];
      const n = flatName(indices.shape);
      const width = flatName(table.shape.slice(1));
      const rows = reshape(g!, [n, width]);
      const flat = table.rank === 2 ? table : reshape(table, [table.shape[0]!, width]);
      const spread = expandLike(unsqueeze(reshape(indices, [n]), [1]), rows);
      return [reshape(scatterAdd(flat, spread, rows, 0), table.shape), null];
    },
  },
  GatherElements: {
    lower: (node, to) => {
      to.emit('GatherElements', node.inputs.map(to.use), {
        attributes: { axis: { int: node.attributes.axis as number } },
        outputs: to.outputs(node),
      });
    },
    gradient: (node, [g]) => {
      const [x, indices] = node.inputs as [Tensor, Tensor];
      return [scatterAdd(x, indices, g!, node.attributes.axis as number), null];
    },
  },
  // ScatterElements, not ScatterND: onnxruntime's CPU ScatterND with reduction=add loses updates when indices repeat
  // and more than one thread runs (test/runtime-bugs.test.ts watches it).
  ScatterAdd: {
    lower: (node, to) => {
      const [like, indices, updates] = node.inputs as [Tensor, Tensor, Tensor];
      // Not like·0: that keeps a NaN or an infinity. ConstantOfShape's default value is float zero.
      const zeros = to.emit('ConstantOfShape', [to.emit('Shape', [to.use(like)])]);
      to.emit('ScatterElements', [zeros, to.use(indices), to.use(updates)], {
        attributes: { axis: { int: node.attributes.axis as number }, reduction: { string: 'add' } },
        outputs: to.outputs(node),
      });
    },
    gradient: (node, [g]) => {
      const indices = node.inputs[1]!;
      return [null, null, gatherElements(g!, indices, node.attributes.axis as number)];
    },
  },
  AddAt: {
    lower: (node, to) => {
      to.emit('ScatterElements', node.inputs.map(to.use), {
        attributes: { axis: { int: node.attributes.axis as number }, reduction: { string: 'add' } },
        outputs: to.outputs(node),
      });
    },
    gradient: (node, [g]) => [g!, null, gatherElements(g!, node.inputs[1]!, node.attributes.axis as number)],
  },
  TopK: {
    lower: (node, to) => {
      const [x, k] = node.inputs as [Tensor, Tensor?];
      to.emit('TopK', [to.use(x), k === undefined ? to.ints([node.attributes.k as number]) : to.use(k)], {
        attributes: { axis: { int: -1 }, largest: { int: 1 }, sorted: { int: 1 } },
        outputs: to.outputs(node),
      });
    },
  },
};
