import { encodeModel, type OnnxAttribute, type OnnxGraph, type OnnxNode } from './onnx/model.js';
import type { EmitOptions, Lowering, Profile } from './op.js';
import { leafOps, opNamed } from './ops/table.js';
import { writingOrder } from './order.js';
import { type Shape, sameShape } from './shape.js';
import {
  type DType,
  type FrozenDType,
  type Node,
  nodeDependencies,
  type Tensor,
  type TensorData,
  topologicalNodes,
} from './tensor.js';

/** A graph ready to run: the encoded model, and the types of what goes in and comes out by name. */
export interface CompiledGraph {
  readonly model: Uint8Array;
  readonly profile: Profile;
  readonly inputs: readonly { name: string; dtype: DType; shape: Shape }[];
  readonly outputs: readonly { name: string; dtype: DType; shape: Shape }[];
  /** Inputs whose memory each output may be written to while the graph runs, by the output's name. */
  readonly overwritable: Readonly<Record<string, readonly string[]>>;
  /** Values that a session is compiled with; the model looks for their bytes under `location`. */
  readonly frozen: readonly { name: string; dtype: FrozenDType; shape: readonly number[]; location: string }[];
}

/**
 * Lowers everything the outputs are computed from and encodes it as an ONNX model.
 * Equal graphs, built in the same order, give equal bytes.
 *
 * @param outputs the results by the name under which a run returns them
 * @throws Error when two inputs or frozen tensors share a name, or one begins like a name that this makes
 */
export function compileGraph(outputs: Readonly<Record<string, Tensor>>, profile: Profile): CompiledGraph {
  const { order, frozen, ...graph } = lowerGraph(outputs, profile, OUTPUT_PREFIX);
  // A name may hold what a path may not.
  const external = frozen.map((t, i) => ({ ...t, location: `frozen${i}` }));
  return {
    model: encodeModel({ ...graph, external }),
    profile,
    inputs: graph.inputs,
    outputs: Object.entries(outputs).map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    overwritable: Object.fromEntries(
      Object.entries(outputs).map(([name, t]) => [name, overwritableInputs(t, order).map(leafName)]),
    ),
    frozen: external,
  };
}

/** A model file for other programs, and what belongs into the file of data beside it. */
export interface ExportedGraph {
  readonly model: Uint8Array;
  /** frozen tensors in the order of their bytes, each from its offset on; zeros fill what is between */
  readonly data: readonly { readonly name: string; readonly shape: readonly number[]; readonly offset: number }[];
}

/** Frozen tensors begin at multiples of this many bytes, as readers that map the file like it. */
const DATA_ALIGNMENT = 64;

/**
 * The same for a file: inputs and outputs have just their names, and frozen tensors lie in one file of data.
 *
 * @param dataFile name of that file, which is to lie beside the model's
 * @throws Error as `compileGraph` does, and for an output that is named like an input
 */
export function exportGraph(
  outputs: Readonly<Record<string, Tensor>>,
  profile: Profile,
  dataFile: string,
): ExportedGraph {
  const { order: _, frozen, ...graph } = lowerGraph(outputs, profile, '');
  const taken = [...graph.inputs, ...frozen].find(({ name }) => name in outputs);
  if (taken !== undefined) throw new Error(`an input and an output are both named "${taken.name}"`);
  let end = 0;
  const external = frozen.map((t) => {
    const offset = Math.ceil(end / DATA_ALIGNMENT) * DATA_ALIGNMENT;
    end = offset + 4 * t.shape.reduce((a, b) => a * b, 1);
    return { ...t, location: dataFile, offset };
  });
  return { model: encodeModel({ ...graph, external }), data: external };
}

function lowerGraph(outputs: Readonly<Record<string, Tensor>>, profile: Profile, outputPrefix: string) {
  const roots = Object.values(outputs);
  const order = topologicalNodes(roots);
  const inputs = order.filter((n) => n.op === 'Input').map((n) => n.outputs[0]!);
  const stored = order.filter((n) => n.op === 'Frozen').map((n) => n.outputs[0]!);
  const names = [...inputs, ...stored].map(leafName);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new Error(`two inputs are named "${twice}"`);
  const reserved = names.find((name) => name.startsWith('#') || name.startsWith(OUTPUT_PREFIX));
  if (reserved !== undefined)
    throw new Error(`an input cannot be named "${reserved}": # and ${OUTPUT_PREFIX} are taken`);

  const scope = new Scope(profile, null, [], '#g');
  for (const t of [...inputs, ...stored]) scope.names.set(t, leafName(t));
  scope.lowerAll(writingOrder(roots));
  const results = Object.entries(outputs).map(([name, t]) => {
    const outputName = outputPrefix + name;
    scope.emit('Identity', [scope.use(t)], { outputs: [outputName] });
    // Shapes of outputs are left to the runtime: a name such as "a+b" means nothing to it.
    return { name: outputName, dtype: t.dtype, shape: null };
  });
  return {
    name: 'polymode',
    nodes: scope.nodes,
    initializers: scope.initializers,
    inputs: inputs.map((t) => ({ name: leafName(t), dtype: t.dtype, shape: t.shape })),
    outputs: results,
    order,
    frozen: stored.map((t) => ({
      name: leafName(t),
      dtype: t.dtype as FrozenDType,
      shape: t.shape as readonly number[],
    })),
  };
}

/** Operations that compute an element from the elements at its own place alone, and read them before they write it. */
const ELEMENTWISE = new Set(['Add', 'Sub', 'Mul', 'Div', 'Min', 'Max', 'Neg', 'Exp', 'Log', 'Sqrt', 'Sigmoid', 'Tanh']);

/**
 * The inputs that an output may replace in memory: nothing but the output's own operation reads them, and that is
 * elementwise on the same shape, so every element has been read for the last time when it is written.
 */
function overwritableInputs(output: Tensor, order: readonly Node[]): Tensor[] {
  if (!ELEMENTWISE.has(output.node.op)) return [];
  const candidates = output.node.inputs.filter((t) => t.node.op === 'Input' && sameShape(t.shape, output.shape));
  return candidates.filter((t) =>
    order.every((node) => node === output.node || !nodeDependencies(node).some((d) => d === t)),
  );
}

function leafName(t: Tensor): string {
  return t.node.attributes.name as string;
}

/** The prefix that keeps output names apart from input names inside a model. */
export const OUTPUT_PREFIX = 'out:';

/** The nodes, initializers and names of one ONNX graph; a loop's body has one of its own, nested in its parent's. */
class Scope implements Lowering {
  readonly nodes: OnnxNode[] = [];
  readonly initializers: { name: string; data: TensorData }[] = [];
  readonly names = new Map<Tensor, string>();
  private readonly constants = new Map<string, string>();
  private readonly root: Scope;
  private counter = 0;

  constructor(
    readonly profile: Profile,
    private readonly parent: Scope | null,
    private readonly inside: readonly Tensor[],
    private readonly prefix: string,
  ) {
    this.root = parent?.root ?? this;
  }

  /** Nodes whose value depends on this body's parameters; everything else is lowered in the parent, once. */
  private dependents: Set<Node> | null = null;
  setDependents(results: readonly Tensor[]): void {
    const dependents = new Set<Node>(this.inside.map((t) => t.node));
    for (const node of topologicalNodes(results)) {
      if (nodeDependencies(node).some((t) => dependents.has(t.node))) dependents.add(node);
    }
    this.dependents = dependents;
  }

  use = (tensor: Tensor): string => {
    const known = this.names.get(tensor);
    if (known !== undefined) return known;
    if (this.parent !== null && this.dependents !== null && !this.dependents.has(tensor.node)) {
      return this.parent.use(tensor);
    }
    // Lower inputs first and without recursion along the chain: models are thousands of nodes deep.
    for (const node of topologicalNodes([tensor], 'no bodies')) {
      if (this.names.has(node.outputs[0]!)) continue;
      if (this.parent !== null && this.dependents !== null && !this.dependents.has(node)) continue;
      this.lower(node);
    }
    return this.names.get(tensor)!;
  };

  /** @param order inputs before users */
  lowerAll(order: readonly Node[]): void {
    for (const node of order) if (!this.names.has(node.outputs[0]!)) this.lower(node);
  }

  private lower(node: Node): void {
    if (node.op === 'Constant') {
      const data = node.attributes.data as TensorData;
      this.names.set(node.outputs[0]!, this.initializer(data));
      return;
    }
    if (leafOps.has(node.op)) {
      throw new Error(`${node.op === 'Parameter' ? 'a loop body’s value' : 'an input'} is used outside its graph`);
    }
    if (this.names.has(node.outputs[0]!)) return;
    opNamed(node.op).lower(node, this);
  }

  outputs = (node: Node): string[] =>
    node.outputs.map((t) => {
      const name = this.fresh(node.op);
      this.names.set(t, name);
      return name;
    });

  emit = (opType: string, inputs: readonly string[], options: EmitOptions = {}): string => {
    const { domain = '', attributes = {}, outputs = [this.fresh(opType)] } = options;
    this.nodes.push({ opType, domain, inputs, outputs, attributes: attributes as Record<string, OnnxAttribute> });
    return outputs[0]!;
  };

  ints = (values: readonly number[]): string =>
    this.initializer({ kind: 'data', dtype: 'int64', shape: [values.length], values });

  scalar = (value: number, dtype: DType): string =>
    this.initializer({ kind: 'data', dtype, shape: [], values: [value] });

  subgraph = (parameters: readonly Tensor[], results: readonly Tensor[], name: string): OnnxGraph => {
    const body = new Scope(this.profile, this, parameters, name);
    body.setDependents(results);
    const inputs = parameters.map((t, i) => {
      const parameterName = `${name}_in${i}`;
      body.names.set(t, parameterName);
      // The runtime must know that the round and the condition are scalars; of the others it needs no shape.
      return { name: parameterName, dtype: t.dtype, shape: t.rank === 0 ? [] : null };
    });
    const outputs = results.map((t, i) => {
      const outputName = `${name}_out${i}`;
      // Identity also covers results that are parameters or come from outside, which a body may not return as they are.
      body.emit('Identity', [body.use(t)], { outputs: [outputName] });
      return { name: outputName, dtype: t.dtype, shape: null };
    });
    return { name, nodes: body.nodes, initializers: body.initializers, inputs, outputs };
  };

  private fresh(op: string): string {
    return `${this.prefix}.${op}.${this.counter++}`;
  }

  /** Small equal initializers are shared; all live in the outermost graph. */
  private initializer(data: TensorData): string {
    if (this.parent !== null) return this.root.initializer(data);
    const key = data.values.length <= 64 ? `${data.dtype}:${data.shape.join('x')}:${Array.from(data.values)}` : null;
    const known = key === null ? undefined : this.constants.get(key);
    if (known !== undefined) return known;
    const name = `#c${this.initializers.length}`;
    this.initializers.push({ name, data });
    if (key !== null) this.constants.set(key, name);
    return name;
  }
}
