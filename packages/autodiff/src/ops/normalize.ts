import type { OpTable } from '../op.js';
import { normalizeAxis, ShapeError } from '../shape.js';
import { makeNode, type Tensor } from '../tensor.js';
import { add, exp, mul, neg, sub } from './elementwise.js';
import { addAt } from './gather.js';
import { mean, sum, sumTo } from './reduce.js';

/** Softmax along the last axis. */
export function softmax(x: Tensor): Tensor {
  return makeNode('Softmax', [x], {}, [{ dtype: x.dtype, shape: x.shape }])[0]!;
}

/** Logarithm of the softmax along the last axis. */
export function logSoftmax(x: Tensor): Tensor {
  return makeNode('LogSoftmax', [x], {}, [{ dtype: x.dtype, shape: x.shape }])[0]!;
}

/**
 * Root-mean-square normalisation along the last axis (arXiv:1910.07467): y = x · (mean(x²) + ε)^−½ · weight.
 *
 * @param x [..., d]
 * @param weight [d]
 */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  if (weight.rank !== 1 || weight.shape[0] !== x.shape[normalizeAxis('RmsNorm', -1, x.rank)]) {
    throw new ShapeError(`RmsNorm: weight ${weight} must be a vector as long as the last axis of ${x}`);
  }
  const inverse = [...x.shape.slice(0, -1), 1];
  return makeNode('RmsNorm', [x, weight], { epsilon }, [
    { dtype: x.dtype, shape: x.shape },
    { dtype: x.dtype, shape: inverse },
  ])[0]!;
}

/**
 * Layer normalisation along the last axis (arXiv:1607.06450): y = (x − mean(x)) · (var(x) + ε)^−½ · weight + bias, with
 * the variance over d elements.
 *
 * @param x [..., d]
 * @param weight [d]
 * @param bias [d]
 */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: number): Tensor {
  for (const [name, vector] of Object.entries({ weight, bias })) {
    if (vector.rank !== 1 || vector.shape[0] !== x.shape[normalizeAxis('LayerNorm', -1, x.rank)]) {
      throw new ShapeError(`LayerNorm: ${name} ${vector} must be a vector as long as the last axis of ${x}`);
    }
  }
  const statistic = { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] };
  return makeNode('LayerNorm', [x, weight, bias], { epsilon }, [
    { dtype: x.dtype, shape: x.shape },
    statistic,
    statistic,
  ])[0]!;
}

export const normalizeOps: OpTable = {
  Softmax: {
    lower: (node, to) => {
      to.emit('Softmax', [to.use(node.inputs[0]!)], { attributes: { axis: { int: -1 } }, outputs: to.outputs(node) });
    },
    // dx = y ∘ (g − Σ g∘y)
    gradient: (node, [g]) => {
      const y = node.outputs[0]!;
      return [mul(y, sub(g!, sum(mul(g!, y), [-1], true)))];
    },
  },
  LogSoftmax: {
    lower: (node, to) => {
      const x = to.use(node.inputs[0]!);
      const outputs = to.outputs(node);
      if (to.profile === 'fused') {
        to.emit('LogSoftmax', [x], { attributes: { axis: { int: -1 } }, outputs });
        return;
      }
      const axes = to.ints([-1]);
      const keepdims = { keepdims: { int: 1 } };
      const shifted = to.emit('Sub', [x, to.emit('ReduceMax', [x, axes], { attributes: keepdims })]);
      const total = to.emit('ReduceSum', [to.emit('Exp', [shifted]), axes], { attributes: keepdims });
      to.emit('Sub', [shifted, to.emit('Log', [total])], { outputs });
    },
    // dx = g − softmax(x) · Σ g
    gradient: (node, [g]) => {
      const y = node.outputs[0]!;
      const { op, inputs, attributes } = g!.node;
      if (op === 'ScatterAdd' && attributes.axis === y.rank - 1) {
        // g is zero but at the elements that were chosen, and its zeros need not be there.
        const [, indices, updates] = inputs as [Tensor, Tensor, Tensor];
        return [addAt(mul(exp(y), neg(sum(updates, [-1], true))), indices, updates, y.rank - 1)];
      }
      return [sub(g!, mul(exp(y), sum(g!, [-1], true)))];
    },
  },
  RmsNorm: {
    lower: (node, to) => {
      const [x, weight] = node.inputs.map(to.use) as [string, string];
      const epsilon = node.attributes.epsilon as number;
      const [y, inverse] = to.outputs(node) as [string, string];
      if (to.profile === 'fused') {
        const attributes = { axis: { int: -1 }, epsilon: { float: epsilon } };
        to.emit('SimplifiedLayerNormalization', [x, weight], { attributes, outputs: [y, inverse] });
        return;
      }
      // WebGPU's SimplifiedLayerNormalization returns a wrong inverse deviation, so gradients built on it are wrong
      // while the loss looks right (test/runtime-bugs.test.ts watches it): compute both outputs from primitives.
      const square = to.emit('Mul', [x, x]);
      const attributes = { keepdims: { int: 1 } };
      const variance = to.emit('ReduceMean', [square, to.ints([-1])], { attributes });
      const deviation = to.emit('Sqrt', [to.emit('Add', [variance, to.scalar(epsilon, 'float32')])]);
      to.emit('Reciprocal', [deviation], { outputs: [inverse] });
      to.emit('Mul', [to.emit('Mul', [x, inverse]), weight], { outputs: [y] });
    },
    // With s = (mean(x²) + ε)^−½ and h = g ∘ weight: dx = s·h − x·s³·mean(h ∘ x); dweight = Σ g ∘ x·s
    gradient: (node, [g]) => {
      const [x, weight] = node.inputs as [Tensor, Tensor];
      const s = node.outputs[1]!;
      const h = mul(g!, weight);
      const xs = mul(x, s);
      const dx = mul(s, sub(h, mul(xs, mean(mul(h, xs), [-1], true))));
      return [dx, sumTo(mul(g!, xs), weight.shape)];
    },
    recompute: (node, [x, weight]) => {
      const inverse = node.outputs[1]!;
      return [mul(mul(x!, inverse), weight!), inverse];
    },
  },
  LayerNorm: {
    lower: (node, to) => {
      const [x, weight, bias] = node.inputs.map(to.use) as [string, string, string];
      const epsilon = node.attributes.epsilon as number;
      const [y, center, inverse] = to.outputs(node) as [string, string, string];
      if (to.profile === 'fused') {
        const attributes = { axis: { int: -1 }, epsilon: { float: epsilon } };
        to.emit('LayerNormalization', [x, weight, bias], { attributes, outputs: [y, center, inverse] });
        return;
      }
      // The statistics come from primitives for the reason that RmsNorm's do.
      const [axes, attributes] = [to.ints([-1]), { keepdims: { int: 1 } }];
      to.emit('ReduceMean', [x, axes], { attributes, outputs: [center] });
      const centered = to.emit('Sub', [x, center]);
      const variance = to.emit('ReduceMean', [to.emit('Mul', [centered, centered]), axes], { attributes });
      const deviation = to.emit('Sqrt', [to.emit('Add', [variance, to.scalar(epsilon, 'float32')])]);
      to.emit('Reciprocal', [deviation], { outputs: [inverse] });
      const scaled = to.emit('Mul', [to.emit('Mul', [centered, inverse]), weight]);
      to.emit('Add', [scaled, bias], { outputs: [y] });
    },
    // With x̂ = (x − μ)·s and h = g ∘ weight: dx = s·(h − mean(h) − x̂·mean(h ∘ x̂)); dweight = Σ g ∘ x̂; dbias = Σ g
    gradient: (node, [g]) => {
      const [x, weight, bias] = node.inputs as [Tensor, Tensor, Tensor];
      const [, center, inverse] = node.outputs as [Tensor, Tensor, Tensor];
      const normalized = mul(sub(x, center), inverse);
      const h = mul(g!, weight);
      const spread = sub(h, mul(normalized, mean(mul(h, normalized), [-1], true)));
      const dx = mul(inverse, sub(spread, mean(h, [-1], true)));
      return [dx, sumTo(mul(g!, normalized), weight.shape), sumTo(g!, bias.shape)];
    },
    recompute: (node, [x, weight, bias]) => {
      const [, center, inverse] = node.outputs as [Tensor, Tensor, Tensor];
      return [add(mul(mul(sub(x!, center), inverse), weight!), bias!), center, inverse];
    },
  },
};
