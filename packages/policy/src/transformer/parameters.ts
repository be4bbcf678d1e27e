import { add, linear, matmul, mul, type Tensor } from '@polymode/autodiff';
import type { WeightLayout } from '../families/family.js';

/**
 * A model's parameters in a graph, by Hugging Face name. A module with an adapter also has `<module>.lora_A.weight`
 * [r, in] and `<module>.lora_B.weight` [out, r], and the record has LORA_SCALE.
 */
export type ParameterTensors = Readonly<Record<string, Tensor>>;

/** Name of the float32 scalar that adapters' outputs are multiplied with. */
export const LORA_SCALE = 'lora_scale';

/** @throws Error when there is no such parameter */
export function weightOf(parameters: ParameterTensors, name: string): Tensor {
  const tensor = parameters[name];
  if (tensor === undefined) throw new Error(`the policy has no parameter ${name}`);
  return tensor;
}

/**
 * A dense layer, with its adapter if it has one (arXiv:2106.09685): y = x·Wᵀ + b + s·(x·Aᵀ)·Bᵀ.
 *
 * @param x [rows, in] @returns [rows, out]
 */
export function project(
  parameters: ParameterTensors,
  module: string,
  x: Tensor,
  options: { readonly bias?: boolean; readonly layout?: WeightLayout } = {},
): Tensor {
  const weight = weightOf(parameters, `${module}.weight`);
  let y = options.layout === 'in×out' ? matmul(x, weight) : linear(x, weight);
  const down = parameters[`${module}.lora_A.weight`];
  if (down !== undefined) {
    const narrow = mul(linear(x, down), weightOf(parameters, LORA_SCALE));
    y = add(y, linear(narrow, weightOf(parameters, `${module}.lora_B.weight`)));
  }
  return options.bias === true ? add(y, weightOf(parameters, `${module}.bias`)) : y;
}
