import type { OnnxAttribute, OnnxGraph } from './onnx/model.js';
import type { DType, Node, Tensor } from './tensor.js';

/**
 * How a graph is written down for a runtime.
 * - `fused`: onnxruntime's CPU provider, with its fused kernels.
 * - `portable`: only operators that the WebGPU provider runs, and runs right.
 */
export type Profile = 'fused' | 'portable';

/** What an operation's lowering may do: name its inputs and write ONNX nodes. */
export interface Lowering {
  readonly profile: Profile;
  /** The ONNX name of a tensor, lowering it first if needed. */
  use(tensor: Tensor): string;
  /** The ONNX names of this node's outputs, to be given as `outputs` of the node that computes them. */
  outputs(node: Node): string[];
  /** Writes an ONNX node and returns its (first) output's name. */
  emit(opType: string, inputs: readonly string[], options?: EmitOptions): string;
  /** An int64 vector initializer, as ONNX wants for axes and shapes. */
  ints(values: readonly number[]): string;
  /** A rank-0 initializer. */
  scalar(value: number, dtype: DType): string;
  /** Lowers a body with given formal parameters in a scope of its own. */
  subgraph(parameters: readonly Tensor[], results: readonly Tensor[], name: string): OnnxGraph;
}

export interface EmitOptions {
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  readonly outputs?: readonly string[];
}

/**
 * One entry of the op table.
 *
 * `gradient` is the vector-Jacobian product: given dL/d(output) for each output (null where nothing flows back), it
 * returns dL/d(input) for each input (null where there is none to give). `constantGradient` is for operations whose
 * result does not move with their inputs. An operation without a rule makes differentiation throw its name.
 */
export interface Op {
  lower(node: Node, to: Lowering): void;
  gradient?(node: Node, outputGradients: readonly (Tensor | null)[]): (Tensor | null)[];
  /**
   * The outputs once more from these inputs, which are the node's own or equal to them, or null where that is not worth
   * it. A backward pass asks for cheap results again so that nothing has to keep them until then. They must be written in
   * other operations or on other tensors than the first time: the runtime merges what is equal.
   */
  recompute?(node: Node, inputs: readonly Tensor[]): readonly Tensor[] | null;
}
export type OpTable = Readonly<Record<string, Op>>;

/** The rule of operations that are flat almost everywhere: nothing flows back through them. */
export function constantGradient(node: Node): null[] {
  return node.inputs.map(() => null);
}

/** The rule of results that are worth computing again when what they are computed from is. */
export const ifAnew =
  (again: (inputs: readonly Tensor[], node: Node) => Tensor[]): NonNullable<Op['recompute']> =>
  (node, inputs) =>
    inputs.every((x, i) => x === node.inputs[i]) ? null : again(inputs, node);
