import { add, div, mul, type Operand, sqrt, sub } from './ops/elementwise.js';
import { sum } from './ops/reduce.js';
import type { Tensor } from './tensor.js';

export interface AdamWOptions {
  /** Decay of the first moment. @defaultValue 0.9 */
  readonly beta1?: number;
  /** Decay of the second moment. @defaultValue 0.999 */
  readonly beta2?: number;
  /** Added to the root of the second moment. @defaultValue 1e-8 */
  readonly epsilon?: number;
  /** Decoupled weight decay, per unit of learning rate. @defaultValue 0 */
  readonly weightDecay?: number;
  /** Gradients are scaled down so that their norm over all parameters together is at most this. @defaultValue 1 */
  readonly maxGradientNorm?: number;
}

/** One parameter's tensors, all of one shape. */
export interface AdamWTensors {
  readonly value: Tensor;
  readonly gradient: Tensor;
  readonly moment1: Tensor;
  readonly moment2: Tensor;
}

/** What one step has the same for all elements of a parameter; float32 scalars. */
export interface AdamWCoefficients {
  /** s, by which gradients are scaled down to the largest allowed norm */
  readonly scale: Operand;
  /** d = 1 − ηλ, or 1 for parameters that do not decay */
  readonly decay: Operand;
  /** k = η √(1−β₂ᵗ) / (1−β₁ᵗ) */
  readonly rate: Operand;
  /** e = ε √(1−β₂ᵗ) */
  readonly epsilon: Operand;
}

/**
 * One AdamW step (arXiv:1711.05101v3, Algorithm 2) after clipping by global norm (arXiv:1211.5063v2) for one parameter:
 *
 *     m ← β₁m + (1−β₁)sg;  v ← β₂v + (1−β₂)(sg)²;  θ ← dθ − k · m / (√v + e)
 *
 * which with d, k and e as above is θ ← θ(1 − ηλ) − η · (m / (1−β₁ᵗ)) / (√(v / (1−β₂ᵗ)) + ε).
 */
export function adamWStep(
  { value, gradient, moment1, moment2 }: AdamWTensors,
  { scale, decay, rate, epsilon }: AdamWCoefficients,
  beta1: number,
  beta2: number,
): { value: Tensor; moment1: Tensor; moment2: Tensor } {
  const g = mul(gradient, scale);
  const m = add(mul(moment1, beta1), mul(g, 1 - beta1));
  const v = add(mul(moment2, beta2), mul(mul(g, g), 1 - beta2));
  const direction = div(m, add(sqrt(v), epsilon));
  return { value: sub(mul(value, decay), mul(direction, rate)), moment1: m, moment2: v };
}

/** The sum of the squares of all elements of several tensors: a scalar. */
export function sumOfSquares(tensors: readonly Tensor[]): Tensor {
  return tensors.map((x) => sum(mul(x, x))).reduce((a, b) => add(a, b));
}
