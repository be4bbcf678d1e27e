import { add, div, minimum, mul, sqrt, sub } from './ops/elementwise.js';
import { sum } from './ops/reduce.js';
import { scalar, type Tensor } from './tensor.js';

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

export interface AdamWUpdate {
  /** new value, first moment and second moment of each parameter, in order */
  readonly parameters: readonly { value: Tensor; moment1: Tensor; moment2: Tensor }[];
  /** norm of all gradients together, before clipping */
  readonly gradientNorm: Tensor;
}

/**
 * One AdamW step (arXiv:1711.05101v3, Algorithm 2) after clipping by global norm (arXiv:1211.5063v2), as a graph:
 *
 *     s = min(1, c / (‖g‖ + 1e-6));  m ← β₁m + (1−β₁)sg;  v ← β₂v + (1−β₂)(sg)²
 *     θ ← θ(1 − ηλ) − η · (m / (1−β₁ᵗ)) / (√(v / (1−β₂ᵗ)) + ε)
 *
 * The 1e-6 is PyTorch's, so that both agree to rounding.
 *
 * @param parameters values, gradients and moments; the four tensors of one have one shape
 * @param learningRate η, float32 scalar
 * @param correction1 1 − β₁ᵗ for this step's number t ≥ 1, float32 scalar, computed by the caller in float64
 * @param correction2 1 − β₂ᵗ likewise
 */
export function adamW(
  parameters: readonly { value: Tensor; gradient: Tensor; moment1: Tensor; moment2: Tensor }[],
  learningRate: Tensor,
  correction1: Tensor,
  correction2: Tensor,
  options: AdamWOptions = {},
): AdamWUpdate {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0, maxGradientNorm = 1 } = options;
  const squares = parameters.map(({ gradient }) => sum(mul(gradient, gradient)));
  const gradientNorm = sqrt(squares.reduce((a, b) => add(a, b)));
  const scale = minimum(div(maxGradientNorm, add(gradientNorm, 1e-6)), scalar(1));
  const decay = sub(1, mul(learningRate, weightDecay));
  const updated = parameters.map(({ value, gradient, moment1, moment2 }) => {
    const g = mul(gradient, scale);
    const m = add(mul(moment1, beta1), mul(g, 1 - beta1));
    const v = add(mul(moment2, beta2), mul(mul(g, g), 1 - beta2));
    const direction = div(div(m, correction1), add(sqrt(div(v, correction2)), epsilon));
    const kept = weightDecay === 0 ? value : mul(value, decay);
    return { value: sub(kept, mul(learningRate, direction)), moment1: m, moment2: v };
  });
  return { parameters: updated, gradientNorm };
}
