import { type Node, type Tensor, type TensorData, topologicalNodes } from '../tensor.js';
import {
  type Code,
  each16Bytes,
  encodeModule,
  F32,
  F64,
  f32Const,
  f32x4,
  f64Add,
  f64x2,
  get,
  I32,
  instantiate,
  load,
  type NumericFunction,
  set,
  store,
  upperHalf,
  V128,
} from './wasm.js';

/** Floats of each vector that a kernel sees at once: all of them together stay in a core's own cache. */
export const WINDOW = 8192;

/**
 * An elementwise graph as one pass over memory, in WebAssembly with 128-bit vectors. Where onnxruntime goes over
 * memory once for each operation, this reads and writes every number once. Each operation rounds as IEEE 754 says, so
 * bits are the same on every processor, and the same as onnxruntime's for the same graph.
 */
export interface Kernel {
  /** a WebAssembly module: run(bytes of each vector, a multiple of 16; scalars …); vector i begins at i · WINDOW · 4 */
  readonly module: Uint8Array;
  /** inputs that are read element by element, all of one length */
  readonly vectors: readonly string[];
  /** the vectors that are overwritten */
  readonly written: readonly string[];
  /** inputs of rank 0, in the order of the function's parameters */
  readonly scalars: readonly string[];
}

const arithmetic: Readonly<Record<string, (...inputs: Code[]) => number[]>> = {
  Add: f32x4.add,
  Sub: f32x4.sub,
  Mul: f32x4.mul,
  Div: f32x4.div,
  Neg: f32x4.neg,
  Sqrt: f32x4.sqrt,
};

/**
 * Compiles float32 tensors computed from inputs of one shape, and inputs and constants of rank 0.
 *
 * @param outputs results by the name of the input that each replaces
 * @throws Error naming an operation that is not elementwise arithmetic
 */
export function compileKernel(outputs: Readonly<Record<string, Tensor>>): Kernel {
  const order = topologicalNodes(Object.values(outputs), 'no bodies');
  const nameOf = (n: Node): string => n.attributes.name as string;
  const isScalar = (n: Node): boolean => n.outputs[0]!.rank === 0;
  const inputs = order.filter((n) => n.op === 'Input');
  const scalars = inputs.filter(isScalar);
  const vectors = inputs.filter((n) => !isScalar(n));
  const written = Object.keys(outputs);
  const unknown = written.find((name) => !vectors.some((n) => nameOf(n) === name));
  if (unknown !== undefined) throw new Error(`a kernel replaces its inputs, and "${unknown}" is none`);

  const [limit, firstScalar] = [0, 1];
  const counter = firstScalar + scalars.length;
  const local = new Map(order.map((n, i) => [n, counter + 1 + i]));
  const offset = (name: string): number => vectors.findIndex((n) => nameOf(n) === name) * WINDOW * 4;
  const value = (t: Tensor): number[] => get(local.get(t.node)!);

  const before: number[] = [];
  const inside: number[] = [];
  for (const node of order) {
    const at = local.get(node)!;
    if (node.op === 'Input' && isScalar(node)) {
      before.push(...set(at, f32x4.splat(get(firstScalar + scalars.indexOf(node)))));
    } else if (node.op === 'Constant' && isScalar(node)) {
      const { values } = node.attributes.data as TensorData;
      before.push(...set(at, f32x4.splat(f32Const(values[0]!))));
    } else if (node.op === 'Input') {
      inside.push(...set(at, load(get(counter), offset(nameOf(node)))));
    } else {
      const instruction = arithmetic[node.op];
      if (instruction === undefined) throw new Error(`a kernel cannot compute ${node.op}`);
      inside.push(...set(at, instruction(...node.inputs.map(value))));
    }
  }
  for (const name of written) inside.push(...store(get(counter), offset(name), value(outputs[name]!)));

  const module = encodeModule(
    [
      {
        name: 'run',
        parameters: [I32, ...scalars.map(() => F32)],
        results: [],
        locals: [I32, ...order.map(() => V128)],
        body: [...before, ...each16Bytes(counter, limit, inside)],
      },
    ],
    vectors.length * WINDOW * 4,
  );
  return {
    module,
    vectors: vectors.map(nameOf),
    written,
    scalars: scalars.map(nameOf),
  };
}

/** The sum of the squares of float32 values, in float64 and in an order that depends on their number alone. */
export class SumOfSquares {
  private readonly window: Float32Array;
  private readonly sum: NumericFunction;

  constructor() {
    const [limit, counter, x, low, high] = [0, 1, 2, 3, 4];
    const square = (half: Code): number[] => f64x2.mul(half, half);
    const body = [
      ...each16Bytes(counter, limit, [
        ...set(x, load(get(counter), 0)),
        ...set(low, f64x2.add(get(low), square(f64x2.promoteLow(get(x))))),
        ...set(high, f64x2.add(get(high), square(f64x2.promoteLow(upperHalf(get(x)))))),
      ]),
      ...set(low, f64x2.add(get(low), get(high))),
      ...f64Add(f64x2.lane(get(low), 0), f64x2.lane(get(low), 1)),
    ];
    const locals = [I32, V128, V128, V128];
    const module = encodeModule([{ name: 'sum', parameters: [I32], results: [F64], locals, body }], WINDOW * 4);
    const { memory, call } = instantiate(module);
    this.window = new Float32Array(memory, 0, WINDOW);
    this.sum = call('sum');
  }

  of(values: Float32Array): number {
    let total = 0;
    for (let at = 0; at < values.length; at += WINDOW) {
      const n = Math.min(WINDOW, values.length - at);
      this.window.set(values.subarray(at, at + n));
      fillToVector(this.window, n);
      total += this.sum(vectorBytes(n));
    }
    return total;
  }
}

/** A kernel made ready to run. */
export class KernelRunner {
  private readonly run: NumericFunction;
  private readonly windows: readonly Float32Array[];

  constructor(private readonly kernel: Kernel) {
    const { memory, call } = instantiate(kernel.module);
    this.run = call('run');
    this.windows = kernel.vectors.map((_, i) => new Float32Array(memory, i * WINDOW * 4, WINDOW));
  }

  /**
   * Runs over vectors in place, window by window.
   *
   * @param vectors in the order of the kernel's, of one length
   * @param scalars in the order of the kernel's
   */
  over(vectors: readonly Float32Array[], scalars: readonly number[]): void {
    const length = vectors[0]!.length;
    const written = this.kernel.written.map((name) => this.kernel.vectors.indexOf(name));
    for (let at = 0; at < length; at += WINDOW) {
      const n = Math.min(WINDOW, length - at);
      for (const [i, v] of vectors.entries()) this.windows[i]!.set(v.subarray(at, at + n));
      for (const window of this.windows) fillToVector(window, n);
      this.run(vectorBytes(n), ...scalars);
      for (const i of written) vectors[i]!.set(n === WINDOW ? this.windows[i]! : this.windows[i]!.subarray(0, n), at);
    }
  }
}

/** The bytes of n floats in whole vectors of four. */
function vectorBytes(n: number): number {
  return Math.ceil(n / 4) * 16;
}

/** Zeros after the last value up to a whole vector. */
function fillToVector(window: Float32Array, n: number): void {
  window.fill(0, n, vectorBytes(n) / 4);
}
