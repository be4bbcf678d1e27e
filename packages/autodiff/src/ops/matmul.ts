import type { Lowering, OpTable } from '../op.js';
import { broadcastShapes, type Dim, formatShape, ShapeError } from '../shape.js';
import { makeNode, type Node, type Tensor } from '../tensor.js';
import { reshape, transpose } from './layout.js';
import { sumTo } from './reduce.js';

export interface MatMulOptions {
  /** Read `a` with its last two axes swapped. */
  readonly transposeA?: boolean;
  /** Read `b` with its last two axes swapped. */
  readonly transposeB?: boolean;
}

/**
 * Matrix product over the last two axes; leading axes broadcast.
 *
 * @param a [..., M, K], or [..., K, M] with transposeA
 * @param b [..., K, N], or [..., N, K] with transposeB
 * @returns [..., M, N]
 */
export function matmul(a: Tensor, b: Tensor, options: MatMulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false } = options;
  if (a.rank < 2 || b.rank < 2) throw new ShapeError(`MatMul: ${a} and ${b} must have at least two axes`);
  const [m, ka] = lastTwo(a, transposeA);
  const [kb, n] = lastTwo(b, transposeB);
  if (ka !== kb) {
    const note = `${transposeA ? ' (first transposed)' : ''}${transposeB ? ' (second transposed)' : ''}`;
    throw new ShapeError(`MatMul: inner sizes of ${formatShape(a.shape)} and ${formatShape(b.shape)}${note} differ`);
  }
  const batch = broadcastShapes('MatMul', a.shape.slice(0, -2), b.shape.slice(0, -2));
  return makeNode('MatMul', [a, b], { transposeA, transposeB }, [{ dtype: a.dtype, shape: [...batch, m, n] }])[0]!;
}

/**
 * A dense layer without bias: y = x·Wᵀ, with the weight as Hugging Face stores it.
 *
 * @param x [..., in]; leading axes are flattened so that one matrix product serves them all
 * @param weight [out, in]
 * @returns [..., out]
 */
export function linear(x: Tensor, weight: Tensor): Tensor {
  if (x.rank === 2) return matmul(x, weight, { transposeB: true });
  const rows = x.shape.slice(0, -1);
  const flat = reshape(x, [flatName(rows), x.staticDim(-1)]);
  const y = matmul(flat, weight, { transposeB: true });
  return reshape(y, [...rows, weight.staticDim(0)]);
}

/** Rows that a product with a streamed weight takes at a time; those of its other operand must be a multiple. */
export const STREAMED_ROWS = 16;

/**
 * A weight that is to be multiplied with few rows, a multiple of STREAMED_ROWS, for the second operand of `matmul` and for
 * `linear`. On the CPU the product then reads the weight as it lies, 16 rows of the other operand at a time, where it
 * otherwise copies the weight first: twice as fast at 16 rows, as fast as a frozen weight, and without its copy. And a row's
 * result has the same bits whatever other rows there are. It has no gradient rule.
 *
 * @param weight a matrix
 */
export function streamed(weight: Tensor): Tensor {
  if (weight.rank !== 2) throw new ShapeError(`Streamed: ${weight} must be a matrix`);
  return makeNode('Streamed', [weight], {}, [{ dtype: weight.dtype, shape: weight.shape }])[0]!;
}

/** The size of several axes taken together: a number, or a name made of theirs. */
export function flatName(dims: readonly Dim[]): Dim {
  if (dims.every((d) => typeof d === 'number')) return (dims as number[]).reduce((p, d) => p * d, 1);
  return dims.join('*');
}

function lastTwo(x: Tensor, swapped: boolean): [Dim, Dim] {
  const [rows, columns] = [x.shape[x.rank - 2]!, x.shape[x.rank - 1]!];
  return swapped ? [columns, rows] : [rows, columns];
}

/** x with its last two axes swapped. */
export function matrixTranspose(x: Tensor): Tensor {
  const axes = x.shape.map((_, i) => i);
  return transpose(x, [...axes.slice(0, -2), x.rank - 1, x.rank - 2]);
}

/** x·W or x·Wᵀ as the transpose of Wᵀ·xᵀ, in blocks of rows: a first operand is not copied, however large. */
function lowerStreamed(node: Node, to: Lowering): void {
  const [x, weight] = node.inputs as [Tensor, Tensor];
  const swapped = node.attributes.transposeB === true;
  const [inputs, outputs] = [x.staticDim(1), weight.staticDim(swapped ? 0 : 1)];
  const blocks = to.emit('Reshape', [to.use(x), to.ints([-1, STREAMED_ROWS, inputs])]);
  const product = to.emit('FusedMatMul', [to.use(weight.node.inputs[0]!), blocks], {
    domain: 'com.microsoft',
    attributes: { transA: { int: swapped ? 0 : 1 }, transB: { int: 1 } },
  });
  const rows = to.emit('Transpose', [product], { attributes: { perm: { ints: [0, 2, 1] } } });
  to.emit('Reshape', [rows, to.ints([-1, outputs])], { outputs: to.outputs(node) });
}

export const matmulOps: OpTable = {
  Streamed: {
    lower: (node, to) => {
      to.emit('Identity', node.inputs.map(to.use), { outputs: to.outputs(node) });
    },
  },
  MatMul: {
    lower: (node, to) => {
      const [a, b] = node.inputs as [Tensor, Tensor];
      const { transposeA, transposeB } = node.attributes as { transposeA: boolean; transposeB: boolean };
      if (b.node.op === 'Streamed' && a.rank === 2 && !transposeA && to.profile === 'fused') {
        lowerStreamed(node, to);
        return;
      }
      const outputs = to.outputs(node);
      if (!transposeA && !transposeB) {
        to.emit('MatMul', [to.use(a), to.use(b)], { outputs });
      } else if (a.rank === 2 && b.rank === 2) {
        const attributes = { transA: { int: transposeA ? 1 : 0 }, transB: { int: transposeB ? 1 : 0 } };
        to.emit('Gemm', [to.use(a), to.use(b)], { attributes, outputs });
      } else if (to.profile === 'fused') {
        const attributes = { transA: { int: transposeA ? 1 : 0 }, transB: { int: transposeB ? 1 : 0 } };
        to.emit('FusedMatMul', [to.use(a), to.use(b)], { domain: 'com.microsoft', attributes, outputs });
      } else {
        const swap = (x: Tensor): string => {
          const axes = x.shape.map((_, i) => i);
          const ints = [...axes.slice(0, -2), x.rank - 1, x.rank - 2];
          return to.emit('Transpose', [to.use(x)], { attributes: { perm: { ints } } });
        };
        to.emit('MatMul', [transposeA ? swap(a) : to.use(a), transposeB ? swap(b) : to.use(b)], { outputs });
      }
    },
    // y = a·b: da = g·bᵀ, db = aᵀ·g, each read in the orientation its operand is stored in.
    gradient: (node, [g]) => {
      const [a, b] = node.inputs as [Tensor, Tensor];
      const { transposeA, transposeB } = node.attributes as { transposeA: boolean; transposeB: boolean };
      const da = transposeA
        ? matmul(b, g!, { transposeA: transposeB, transposeB: true })
        : matmul(g!, b, { transposeB: !transposeB });
      const db = transposeB
        ? matmul(g!, a, { transposeA: true, transposeB: transposeA })
        : matmul(a, g!, { transposeA: !transposeA });
      return [sumTo(da, a.shape), sumTo(db, b.shape)];
    },
  },
};
