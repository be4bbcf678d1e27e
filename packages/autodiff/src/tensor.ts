import { type Dim, formatShape, type Shape, ShapeError } from './shape.js';

export type DType = 'float32' | 'int32' | 'int64' | 'bool';

/** What an operation's attributes may hold; a subgraph is built by control-flow operations only. */
export type AttributeValue = number | string | boolean | readonly number[] | TensorData | Subgraph;
export type Attributes = Readonly<Record<string, AttributeValue>>;

export interface TensorData {
  readonly kind: 'data';
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly values: readonly number[] | Float32Array | Int32Array;
}

/** The body of a loop: its formal parameters and results. Other tensors it uses are captured from outside. */
export interface Subgraph {
  readonly kind: 'subgraph';
  readonly parameters: readonly Tensor[];
  readonly results: readonly Tensor[];
}

/** One application of an operation. Nodes are immutable and know their inputs, never their users. */
export interface Node {
  readonly op: string;
  readonly inputs: readonly Tensor[];
  readonly attributes: Attributes;
  readonly outputs: readonly Tensor[];
}

let nextId = 0;

/**
 * A symbolic value in a graph: an output of a node, with a type and a shape, and no data.
 * Graphs are what is reachable from a tensor; there is no graph object to register with.
 */
export class Tensor {
  /** Grows in creation order, so sorting by it is a topological order. */
  readonly id = nextId++;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly node: Node;
  readonly outputIndex: number;

  constructor(node: Node, outputIndex: number, dtype: DType, shape: Shape) {
    this.node = node;
    this.outputIndex = outputIndex;
    this.dtype = dtype;
    this.shape = shape;
  }

  get rank(): number {
    return this.shape.length;
  }

  /** The size of an axis that must be known when the graph is built. @throws ShapeError when it is named */
  staticDim(axis: number): number {
    const dim = this.shape[axis < 0 ? axis + this.rank : axis];
    if (typeof dim !== 'number') {
      throw new ShapeError(`${this.node.op}: axis ${axis} of ${formatShape(this.shape)} must have a fixed size`);
    }
    return dim;
  }

  toString(): string {
    return `${this.node.op}#${this.id}:${this.dtype}${formatShape(this.shape)}`;
  }
}

export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** Makes a node and its output tensors. Operations call this after checking their inputs. */
export function makeNode(
  op: string,
  inputs: readonly Tensor[],
  attributes: Attributes,
  outputTypes: readonly TensorType[],
): Tensor[] {
  const outputs: Tensor[] = [];
  const node: Node = { op, inputs, attributes, outputs };
  for (const [i, type] of outputTypes.entries()) outputs.push(new Tensor(node, i, type.dtype, type.shape));
  return outputs;
}

/** A named value fed at run time. */
export function input(name: string, dtype: DType, shape: readonly Dim[]): Tensor {
  return makeNode('Input', [], { name }, [{ dtype, shape: [...shape] }])[0]!;
}

/** A value stored in the model. @throws ShapeError when the number of values is not the product of the shape */
export function constant(
  values: readonly number[] | Float32Array | Int32Array,
  shape: readonly number[],
  dtype: DType = 'float32',
): Tensor {
  const n = shape.reduce((a, b) => a * b, 1);
  if (values.length !== n) {
    throw new ShapeError(`Constant: ${values.length} values cannot fill ${formatShape(shape)}, which has ${n}`);
  }
  const data: TensorData = { kind: 'data', dtype, shape, values };
  return makeNode('Constant', [], { data }, [{ dtype, shape }])[0]!;
}

/**
 * A value stored in the session when it is compiled, and the same in every run after: a weight that is not trained.
 * The graph holds its name and shape alone; `Engine.compile` takes the data from a variable. Each session has a copy of
 * its own, laid out for the processor (prepacking), which makes products with few rows two to three times as fast; from
 * 256 rows on an input is as fast and costs no copy.
 * Nothing is differentiated with respect to it; to train a weight, make it an `input`.
 */
export function frozen(name: string, dtype: FrozenDType, shape: readonly number[]): Tensor {
  return makeNode('Frozen', [], { name }, [{ dtype, shape: [...shape] }])[0]!;
}

export type FrozenDType = Extract<DType, 'float32' | 'int32'>;

/** A constant of rank 0. */
export function scalar(value: number, dtype: DType = 'float32'): Tensor {
  return constant([value], [], dtype);
}

/**
 * Walks everything a set of tensors is computed from, each node once, inputs before users.
 * `bodies` also walks into loop bodies, and through them to the tensors they capture.
 *
 * @param sorted puts a node's dependencies in the order in which they are to be visited
 */
export function topologicalNodes(
  roots: readonly Tensor[],
  bodies: 'bodies' | 'no bodies' = 'bodies',
  sorted: (dependencies: readonly Tensor[]) => readonly Tensor[] = (dependencies) => dependencies,
): Node[] {
  const order: Node[] = [];
  const seen = new Set<Node>();
  // An explicit stack: a deep model's chain of nodes overflows the call stack.
  const stack: { dependencies: readonly Tensor[]; node: Node; next: number }[] = [];
  const enter = (node: Node): void => {
    seen.add(node);
    stack.push({ node, dependencies: sorted(bodies === 'bodies' ? nodeDependencies(node) : node.inputs), next: 0 });
  };
  for (const root of roots) {
    if (seen.has(root.node)) continue;
    enter(root.node);
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const dependency = top.dependencies[top.next++];
      if (dependency !== undefined) {
        if (!seen.has(dependency.node)) enter(dependency.node);
      } else {
        order.push(top.node);
        stack.pop();
      }
    }
  }
  return order;
}

/** Inputs of a node, and for control flow the results of its body (through which captured tensors are reached). */
export function nodeDependencies(node: Node): readonly Tensor[] {
  const body = node.attributes.body;
  if (typeof body === 'object' && body !== null && 'kind' in body && body.kind === 'subgraph') {
    return [...node.inputs, ...body.results];
  }
  return node.inputs;
}
