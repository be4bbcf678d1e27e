import { onnxDataType } from '../onnx/model.js';
import { constantGradient, type EmitOptions, ifAnew, type Op, type OpTable } from '../op.js';
import { broadcastShapes, ShapeError } from '../shape.js';
import { type DType, makeNode, type Node, scalar, Tensor } from '../tensor.js';
import { sumTo } from './reduce.js';

/** A tensor, or a number standing for a rank-0 constant of the other operand's type. */
export type Operand = Tensor | number;

function asTensor(value: Operand, dtype: DType): Tensor {
  return value instanceof Tensor ? value : scalar(value, dtype);
}

function binary(op: string, a: Operand, b: Operand, resultType?: DType): Tensor {
  const dtype = a instanceof Tensor ? a.dtype : b instanceof Tensor ? b.dtype : 'float32';
  const [x, y] = [asTensor(a, dtype), asTensor(b, dtype)];
  if (x.dtype !== y.dtype) throw new ShapeError(`${op}: ${x} and ${y} have different types; cast one of them`);
  const shape = broadcastShapes(op, x.shape, y.shape);
  return makeNode(op, [x, y], {}, [{ dtype: resultType ?? dtype, shape }])[0]!;
}

function unary(op: string, x: Tensor): Tensor {
  return makeNode(op, [x], {}, [{ dtype: x.dtype, shape: x.shape }])[0]!;
}

export const add = (a: Operand, b: Operand): Tensor => binary('Add', a, b);
export const sub = (a: Operand, b: Operand): Tensor => binary('Sub', a, b);
export const mul = (a: Operand, b: Operand): Tensor => binary('Mul', a, b);
export const div = (a: Operand, b: Operand): Tensor => binary('Div', a, b);
export const minimum = (a: Operand, b: Operand): Tensor => binary('Min', a, b);
export const maximum = (a: Operand, b: Operand): Tensor => binary('Max', a, b);
export const less = (a: Operand, b: Operand): Tensor => binary('Less', a, b, 'bool');
export const greater = (a: Operand, b: Operand): Tensor => binary('Greater', a, b, 'bool');
export const greaterOrEqual = (a: Operand, b: Operand): Tensor => binary('GreaterOrEqual', a, b, 'bool');
export const equal = (a: Operand, b: Operand): Tensor => binary('Equal', a, b, 'bool');
export const and = (a: Tensor, b: Tensor): Tensor => binary('And', a, b, 'bool');
export const or = (a: Tensor, b: Tensor): Tensor => binary('Or', a, b, 'bool');
export const not = (x: Tensor): Tensor => unary('Not', x);
export const neg = (x: Tensor): Tensor => unary('Neg', x);
export const exp = (x: Tensor): Tensor => unary('Exp', x);
export const log = (x: Tensor): Tensor => unary('Log', x);
export const sqrt = (x: Tensor): Tensor => unary('Sqrt', x);
export const reciprocal = (x: Tensor): Tensor => unary('Reciprocal', x);
export const sigmoid = (x: Tensor): Tensor => unary('Sigmoid', x);
export const tanh = (x: Tensor): Tensor => unary('Tanh', x);

/** x·σ(x), the activation of SwiGLU (arXiv:1702.03118). */
export const silu = (x: Tensor): Tensor => unary('Silu', x);

/** The tanh form of GELU (arXiv:1606.08415), GPT-2's: x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))). */
export const geluTanh = (x: Tensor): Tensor => unary('GeluTanh', x);

/** The hyperbolic tangent in GELU's formula. */
function geluInner(x: Tensor): Tensor {
  return tanh(mul(mul(x, add(mul(mul(x, x), GELU_CUBIC), 1)), Math.sqrt(2 / Math.PI)));
}
const GELU_CUBIC = 0.044715;

/** x limited to [low, high]; its gradient is that of Min and Max, zero outside. */
export const clip = (x: Tensor, low: Operand, high: Operand): Tensor => minimum(maximum(x, low), high);

/** The same values, through which no gradient flows. */
export const stopGradient = (x: Tensor): Tensor => unary('StopGradient', x);

/** `a` where the condition holds, else `b`; all three broadcast. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  const dtype = a instanceof Tensor ? a.dtype : b instanceof Tensor ? b.dtype : 'float32';
  const [x, y] = [asTensor(a, dtype), asTensor(b, dtype)];
  if (x.dtype !== y.dtype) throw new ShapeError(`Where: ${x} and ${y} have different types; cast one of them`);
  const shape = broadcastShapes('Where', condition.shape, x.shape, y.shape);
  return makeNode('Where', [condition, x, y], {}, [{ dtype, shape }])[0]!;
}

/** Values converted to another type; int to float and back carries no gradient, float32 to float32 is x itself. */
export function cast(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : makeNode('Cast', [x], { dtype }, [{ dtype, shape: x.shape }])[0]!;
}

const lowerAs =
  (opType: string, options: EmitOptions = {}): Op['lower'] =>
  (node, to) => {
    to.emit(opType, node.inputs.map(to.use), { ...options, outputs: to.outputs(node) });
  };

type PairRule = (g: Tensor, a: Tensor, b: Tensor, y: Tensor) => readonly [Tensor, Tensor];
/** The gradient of a broadcasting operation: each operand's part, summed over the axes along which it was repeated. */
const pairGradient =
  (rule: PairRule) =>
  (node: Node, [g]: readonly (Tensor | null)[]): (Tensor | null)[] => {
    const [a, b] = node.inputs as [Tensor, Tensor];
    const [da, db] = rule(g!, a, b, node.outputs[0]!);
    return [sumTo(da, a.shape), sumTo(db, b.shape)];
  };
const unaryGradient =
  (rule: (g: Tensor, x: Tensor, y: Tensor) => Tensor) =>
  (node: Node, [g]: readonly (Tensor | null)[]): (Tensor | null)[] => [rule(g!, node.inputs[0]!, node.outputs[0]!)];

export const elementwiseOps: OpTable = {
  Add: { lower: lowerAs('Add'), gradient: pairGradient((g) => [g, g]) },
  Sub: { lower: lowerAs('Sub'), gradient: pairGradient((g) => [g, neg(g)]) },
  Mul: {
    lower: lowerAs('Mul'),
    gradient: pairGradient((g, a, b) => [mul(g, b), mul(g, a)]),
    recompute: ifAnew(([a, b]) => [mul(a!, b!)]),
  },
  Div: {
    lower: lowerAs('Div'),
    gradient: pairGradient((g, _a, b, y) => {
      const da = div(g, b);
      return [da, neg(mul(da, y))];
    }),
  },
  // Ties go to the first operand alone, so that min(x, x) has gradient 1 in total.
  Min: {
    lower: lowerAs('Min'),
    gradient: pairGradient((g, a, b) => {
      const second = less(b, a);
      return [where(second, 0, g), where(second, g, 0)];
    }),
  },
  Max: {
    lower: lowerAs('Max'),
    gradient: pairGradient((g, a, b) => {
      const second = greater(b, a);
      return [where(second, 0, g), where(second, g, 0)];
    }),
  },
  Where: {
    lower: lowerAs('Where'),
    gradient: (node, [g]) => {
      const [condition, a, b] = node.inputs as [Tensor, Tensor, Tensor];
      return [null, sumTo(where(condition, g!, 0), a.shape), sumTo(where(condition, 0, g!), b.shape)];
    },
  },
  // Of a gated layer's five wide results its backward pass needs two: the others follow from them.
  Silu: {
    lower: lowerAs('QuickGelu', { domain: 'com.microsoft', attributes: { alpha: { float: 1 } } }),
    // With s = σ(x): dx = g·s·(1 + x·(1 − s))
    gradient: unaryGradient((g, x) => {
      const s = sigmoid(x);
      return mul(g, mul(s, add(mul(x, sub(1, s)), 1)));
    }),
    recompute: (_node, [x]) => [mul(x!, sigmoid(x!))],
  },
  GeluTanh: {
    lower: lowerAs('FastGelu', { domain: 'com.microsoft' }),
    // With t = tanh(u(x)): dx = g/2 · (1 + t + x·(1 − t²)·u′), u′ = √(2/π)·(1 + 3·0.044715 x²)
    gradient: unaryGradient((g, x) => {
      const t = geluInner(x);
      const slope = mul(add(mul(mul(x, x), 3 * GELU_CUBIC), 1), Math.sqrt(2 / Math.PI));
      return mul(mul(g, 0.5), add(add(t, 1), mul(mul(x, sub(1, mul(t, t))), slope)));
    }),
    recompute: (_node, [x]) => [mul(mul(x!, 0.5), add(geluInner(x!), 1))],
  },
  Neg: { lower: lowerAs('Neg'), gradient: unaryGradient((g) => neg(g)) },
  Exp: { lower: lowerAs('Exp'), gradient: unaryGradient((g, _x, y) => mul(g, y)) },
  Log: { lower: lowerAs('Log'), gradient: unaryGradient((g, x) => div(g, x)) },
  Sqrt: { lower: lowerAs('Sqrt'), gradient: unaryGradient((g, _x, y) => div(mul(g, 0.5), y)) },
  Reciprocal: { lower: lowerAs('Reciprocal'), gradient: unaryGradient((g, _x, y) => neg(mul(g, mul(y, y)))) },
  Sigmoid: { lower: lowerAs('Sigmoid'), gradient: unaryGradient((g, _x, y) => mul(g, mul(y, sub(1, y)))) },
  Tanh: { lower: lowerAs('Tanh'), gradient: unaryGradient((g, _x, y) => mul(g, sub(1, mul(y, y)))) },
  StopGradient: { lower: lowerAs('Identity'), gradient: constantGradient },
  Cast: {
    lower: (node, to) => {
      const dtype = node.attributes.dtype as DType;
      to.emit('Cast', [to.use(node.inputs[0]!)], {
        attributes: { to: { int: onnxDataType(dtype) } },
        outputs: to.outputs(node),
      });
    },
    gradient: constantGradient,
  },
  Less: { lower: lowerAs('Less'), gradient: constantGradient },
  Greater: { lower: lowerAs('Greater'), gradient: constantGradient },
  GreaterOrEqual: { lower: lowerAs('GreaterOrEqual'), gradient: constantGradient },
  Equal: { lower: lowerAs('Equal'), gradient: constantGradient },
  And: { lower: lowerAs('And'), gradient: constantGradient },
  Or: { lower: lowerAs('Or'), gradient: constantGradient },
  Not: { lower: lowerAs('Not'), gradient: constantGradient },
};
