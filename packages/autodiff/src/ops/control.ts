import type { OpTable } from '../op.js';
import { ShapeError, sameShape } from '../shape.js';
import { makeNode, type Subgraph, type Tensor, type TensorType } from '../tensor.js';

export interface LoopBody {
  /** bool scalar: whether to go round again */
  readonly proceed: Tensor;
  /** the carried values for the next round, with the types of the initial ones */
  readonly carried: readonly Tensor[];
  /** values kept of every round, stacked along a new first axis */
  readonly scans: readonly Tensor[];
}

export interface LoopResult {
  readonly carried: readonly Tensor[];
  readonly scans: readonly Tensor[];
}

/**
 * Runs a body at most `rounds` times, as ONNX's Loop; it has no gradient rule. Tensors from outside that the body
 * uses are captured; what does not depend on the round is computed once, outside.
 *
 * @param rounds int64 scalar
 * @param initial the carried values of the first round; their shapes stay the same
 * @param body from the round's number (int64 scalar) and the carried values
 */
export function loop(
  rounds: Tensor,
  initial: readonly Tensor[],
  body: (round: Tensor, carried: readonly Tensor[]) => LoopBody,
): LoopResult {
  const round = parameter({ dtype: 'int64', shape: [] });
  const proceed = parameter({ dtype: 'bool', shape: [] });
  const parameters = initial.map((t) => parameter({ dtype: t.dtype, shape: t.shape }));
  const made = body(round, parameters);
  if (made.carried.length !== initial.length) {
    throw new ShapeError(`Loop: the body carries ${made.carried.length} values, but ${initial.length} go in`);
  }
  for (const [i, t] of made.carried.entries()) {
    const start = initial[i]!;
    if (t.dtype !== start.dtype || !sameShape(t.shape, start.shape)) {
      throw new ShapeError(`Loop: carried value ${i} goes in as ${start} and comes back as ${t}`);
    }
  }
  const subgraph: Subgraph = {
    kind: 'subgraph',
    parameters: [round, proceed, ...parameters],
    results: [made.proceed, ...made.carried, ...made.scans],
  };
  const outputs = makeNode('Loop', [rounds, ...initial], { body: subgraph }, [
    ...initial.map((t) => ({ dtype: t.dtype, shape: t.shape })),
    ...made.scans.map((t) => ({ dtype: t.dtype, shape: ['rounds', ...t.shape] })),
  ]);
  return { carried: outputs.slice(0, initial.length), scans: outputs.slice(initial.length) };
}

function parameter(type: TensorType): Tensor {
  return makeNode('Parameter', [], {}, [type])[0]!;
}

export const controlOps: OpTable = {
  Loop: {
    lower: (node, to) => {
      const body = node.attributes.body as Subgraph;
      const [rounds, ...initial] = node.inputs.map(to.use) as [string, ...string[]];
      const outputs = to.outputs(node);
      const graph = to.subgraph(body.parameters, body.results, `${outputs[0]}_body`);
      to.emit('Loop', [rounds, to.scalar(1, 'bool'), ...initial], { attributes: { body: { graph } }, outputs });
    },
  },
};
