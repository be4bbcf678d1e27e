import {
  add,
  compileGraph,
  Engine,
  EngineError,
  type ExecutionProvider,
  float32,
  frozen,
  gatherRows,
  gradients,
  input,
  int32,
  linear,
  loop,
  mul,
  NoGradientError,
  scalar,
  silu,
  sum,
  type Tensor,
  type Value,
} from '@polymode/autodiff';
import { findWebGpu } from '@polymode/autodiff/testing';
import { afterAll, describe, expect, it } from 'vitest';

const webGpu = findWebGpu();
Object.assign(process.env, webGpu.env);

const engines: Engine[] = [];
afterAll(async () => {
  await Promise.all(engines.map((e) => e.close()));
});
function open(provider: ExecutionProvider = 'cpu', threads = 1): Engine {
  const engine = new Engine({ provider, threads });
  engines.push(engine);
  return engine;
}

const [rows, width, hidden] = [5, 32, 48];
const series = (shape: number[], frequency: number): Value =>
  float32(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i * frequency)),
    shape,
  );
const weights: Record<string, Value> = {
  // Names that no file path may have.
  '/table/../of rows': series([7, width], 1.3),
  'up.weight': series([hidden, width], 0.7),
  down: series([width, hidden], 2.1),
};
const at = int32([0, 3, 3, 6, 1], [rows]);

/** A table looked up, two layers, and a trained scale; base weights are made by `leaf`. */
function graphs(leaf: (name: string, dtype: 'float32', shape: number[]) => Tensor): Record<string, Tensor> {
  const scale = input('scale', 'float32', [width]);
  const base = (name: string): Tensor => leaf(name, 'float32', weights[name]!.shape as number[]);
  const [table, up, down] = [base('/table/../of rows'), base('up.weight'), base('down')];
  const h = mul(gatherRows(table, input('at', 'int32', [rows])), scale);
  const y = add(h, linear(silu(linear(h, up)), down));
  const loss = sum(mul(y, y));
  return { y, loss, dScale: gradients(loss, [scale])[0]! };
}

const feeds = { at, scale: series([width], 0.4) };
const all = { y: 'return', loss: 'return', dScale: 'return' } as const;

describe.each<[ExecutionProvider, number, boolean]>([
  ['cpu', 1, true],
  ['cpu', 2, true],
  ['webgpu', 1, webGpu.available],
])('frozen tensors on %s with %i threads', (provider, threads, available) => {
  it.skipIf(!available)('give the values and gradients that fed ones give', async () => {
    const engine = open(provider, threads);
    const fed = await engine.compile(compileGraph(graphs(input), engine.profile));
    const graph = compileGraph(graphs(frozen), engine.profile);
    expect(graph.inputs.map((t) => t.name).sort()).toEqual(['at', 'scale']);
    expect(graph.frozen.map((t) => t.name).sort()).toEqual(Object.keys(weights).sort());
    await engine.set(weights);
    const session = await engine.compile(graph, [], Object.fromEntries(Object.keys(weights).map((n) => [n, n])));
    const expected = await fed.run({ ...feeds, ...weights }, all);
    const out = await session.run(feeds, all);
    for (const name of Object.keys(all)) {
      const [a, b] = [out[name]!.data as Float32Array, expected[name]!.data as Float32Array];
      // Sums in another order: a few units of the last place of the largest term.
      const largest = b.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
      for (const [i, v] of b.entries()) expect(Math.abs(a[i]! - v)).toBeLessThan(2e-6 * largest);
    }
  });

  it.skipIf(!available)('keep the data they were compiled with', async () => {
    const engine = open(provider, threads);
    const w = frozen('w', 'float32', [2, 3]);
    await engine.set({ v: float32([1, 2, 3, 4, 5, 6], [2, 3]) });
    const graph = compileGraph({ y: linear(input('x', 'float32', [1, 3]), w) }, engine.profile);
    const session = await engine.compile(graph, [], { w: 'v' });
    await engine.set({ v: float32([0, 0, 0, 0, 0, 0], [2, 3]) });
    await engine.drop(['v']);
    const { y } = await session.run({ x: float32([1, 1, 1], [1, 3]) }, { y: 'return' });
    expect([...(y!.data as Float32Array)]).toEqual([6, 15]);
  });
});

describe('frozen tensors', () => {
  it('are seen from within a loop, and may hold whole numbers', async () => {
    const engine = open();
    const steps = frozen('steps', 'int32', [2]);
    const start = input('start', 'int32', [2]);
    const { carried } = loop(scalar(3, 'int64'), [start], (_, [c]) => ({
      proceed: input('on', 'bool', []),
      carried: [add(c!, steps)],
      scans: [],
    }));
    await engine.set({ steps: int32([1, -2], [2]) });
    const session = await engine.compile(compileGraph({ end: carried[0]! }, 'fused'), [], { steps: 'steps' });
    const on: Value = { dtype: 'bool', shape: [], data: Uint8Array.of(1) };
    const { end } = await session.run({ start: int32([10, 10], [2]), on }, { end: 'return' });
    expect([...(end!.data as Int32Array)]).toEqual([13, 4]);
  });

  it('have no gradient', () => {
    const w = frozen('base.weight', 'float32', [3]);
    const x = input('x', 'float32', [3]);
    const loss = sum(mul(w, x));
    expect(() => gradients(loss, [x, w])).toThrow(NoGradientError);
    expect(() => gradients(loss, [w])).toThrow('"base.weight" is frozen, so it has no gradient; to train it, make it');
  });

  it('need a variable of their type and shape', async () => {
    const engine = open();
    const graph = compileGraph({ y: mul(frozen('w', 'float32', [2, 3]), 2) }, 'fused');
    await expect(engine.compile(graph)).rejects.toThrow('no variable is given for the frozen tensor "w"');
    await expect(engine.compile(graph, [], { w: 'none' })).rejects.toThrow('no variable "none"');
    await engine.set({ turned: float32([1, 2, 3, 4, 5, 6], [3, 2]), whole: int32([1, 2, 3, 4, 5, 6], [2, 3]) });
    const wrongShape = engine.compile(graph, [], { w: 'turned' });
    await expect(wrongShape).rejects.toThrow('"w" is float32 [2,3], but the variable "turned" is float32 [3,2]');
    await expect(engine.compile(graph, [], { w: 'whole' })).rejects.toThrow(EngineError);
  });

  it.each([['an input'], ['another']])('share no name with %s', (kind) => {
    const other = kind === 'an input' ? input('w', 'float32', [2]) : frozen('w', 'float32', [2]);
    expect(() => compileGraph({ y: add(frozen('w', 'float32', [2]), other) }, 'fused')).toThrow('"w"');
  });
});

describe('values that move into an engine', () => {
  it('are not copied: the caller’s buffer is empty after', async () => {
    const engine = open();
    const data = Float32Array.of(1, 2, 3, 4);
    await engine.move({ a: float32(data.subarray(0, 2), [2]), b: float32(data.subarray(2), [2]) });
    expect(data.length).toBe(0);
    const { a, b } = await engine.get(['a', 'b']);
    expect([...(a!.data as Float32Array), ...(b!.data as Float32Array)]).toEqual([1, 2, 3, 4]);
  });
});
