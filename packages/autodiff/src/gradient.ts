import { add } from './ops/elementwise.js';
import { leafOps, opNamed } from './ops/table.js';
import { elementCount, ShapeError, sameShape } from './shape.js';
import { type Node, nodeDependencies, scalar, type Tensor, topologicalNodes } from './tensor.js';

/** The operation on the path from a loss to a parameter has no gradient rule. */
export class NoGradientError extends Error {
  override name = 'NoGradientError';
  constructor(
    readonly op: string,
    message = `${op} has no gradient rule; compute around it with stopGradient, or add the rule to its op table entry`,
  ) {
    super(message);
  }
}

/**
 * Reverse-mode differentiation: the graph of d(loss)/d(x) for each x.
 *
 * @param loss float32 with a single element
 * @param wrt tensors, usually inputs
 * @returns one tensor for each of `wrt`, with its shape
 * @throws NoGradientError naming an operation without a rule that lies between the loss and one of `wrt`
 * @throws ShapeError when the loss is no scalar, or does not depend on one of `wrt`
 * @throws NoGradientError when one of `wrt` is frozen
 */
export function gradients(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (elementCount(loss.shape) !== 1) throw new ShapeError(`gradients: the loss must be a scalar, not ${loss}`);
  return backward([{ output: loss, gradient: scalar(1) }], wrt).map((g, i) => {
    if (g === null) throw new ShapeError(`gradients: no gradient flows from the loss to ${describe(wrt[i]!)}`);
    return g;
  });
}

/** A tensor with the gradient that reaches it from elsewhere, of its shape. */
export interface GradientSeed {
  readonly output: Tensor;
  readonly gradient: Tensor;
}

/**
 * Vector-Jacobian products: given dL/d(output) of some tensors, the graph of dL/d(x) for each x. It lets a graph be
 * differentiated in parts, each from where the one behind it left off.
 *
 * @returns one tensor for each of `wrt`, with its shape; null where nothing flows
 * @throws NoGradientError as `gradients` does
 */
export function backward(seeds: readonly GradientSeed[], wrt: readonly Tensor[]): (Tensor | null)[] {
  const stored = wrt.find((x) => x.node.op === 'Frozen');
  if (stored !== undefined) {
    throw new NoGradientError(
      'Frozen',
      `"${stored.node.attributes.name}" is frozen, so it has no gradient; to train it, make it an input`,
    );
  }
  const order = topologicalNodes(seeds.map((s) => s.output));
  const needed = nodesLeadingTo(order, wrt);
  const flowing = new Map<Tensor, Tensor>();
  const flow = (to: Tensor, g: Tensor): void => {
    const before = flowing.get(to);
    flowing.set(to, before === undefined ? g : add(before, g));
  };
  for (const { output, gradient } of seeds) flow(output, gradient);
  const again = recomputation();

  for (let i = order.length - 1; i >= 0; i--) {
    const node = order[i]!;
    if (!needed.has(node) || leafOps.has(node.op)) continue;
    const outputGradients = node.outputs.map((t) => flowing.get(t) ?? null);
    if (outputGradients.every((g) => g === null)) continue;
    const rule = opNamed(node.op).gradient;
    if (rule === undefined) throw new NoGradientError(node.op);
    // The rule reads what is cheap as if it had been computed anew.
    const read: Node = { ...node, inputs: node.inputs.map(again), outputs: node.outputs.map(again) };
    for (const [k, g] of rule(read, outputGradients).entries()) {
      const x = node.inputs[k]!;
      if (g === null || !needed.has(x.node)) continue;
      if (!sameShape(g.shape, x.shape)) {
        throw new ShapeError(`${node.op}: gradient of input ${k} is ${g}, but the input is ${x}`);
      }
      flow(x, g);
    }
  }
  return wrt.map((x) => flowing.get(x) ?? null);
}

/** From a tensor to one that is equal and need not be kept from the forward pass, or to itself. */
function recomputation(): (t: Tensor) => Tensor {
  const made = new Map<Node, readonly Tensor[]>();
  const outputsOf = (node: Node): readonly Tensor[] => {
    const known = made.get(node);
    if (known !== undefined) return known;
    const op = leafOps.has(node.op) ? undefined : opNamed(node.op);
    const outputs = op?.recompute?.(node, node.inputs.map(again)) ?? node.outputs;
    made.set(node, outputs);
    return outputs;
  };
  const again = (t: Tensor): Tensor => outputsOf(t.node)[t.outputIndex]!;
  return again;
}

/** Nodes from which one of the targets is reached: gradients elsewhere are not worth building. */
function nodesLeadingTo(order: readonly Node[], targets: readonly Tensor[]): Set<Node> {
  const needed = new Set<Node>(targets.map((t) => t.node));
  for (const node of order) {
    if (nodeDependencies(node).some((t) => needed.has(t.node))) needed.add(node);
  }
  return needed;
}

function describe(x: Tensor): string {
  const name = x.node.attributes.name;
  return typeof name === 'string' ? `input "${name}"` : String(x);
}
