import {
  add,
  compileGraph,
  constant,
  Engine,
  EngineError,
  exp,
  float32,
  input,
  less,
  linear,
  loop,
  matmul,
  mul,
  rmsNorm,
  scalar,
  silu,
  softmax,
  sum,
  type Tensor,
} from '@polymode/autodiff';
import { afterAll, describe, expect, it } from 'vitest';

const engine = new Engine();
afterAll(() => engine.close());

const x = input('x', 'float32', ['N']);
const doubled = compileGraph({ y: mul(x, 2), total: sum(x) }, 'fused');

describe('an engine', () => {
  it('keeps variables between runs and hands back copies', async () => {
    const session = await engine.compile(doubled, ['y']);
    await engine.set({ v: float32([1, 2, 3], [3]) });
    for (let i = 0; i < 3; i++) await session.run({ x: { variable: 'v' } }, { y: { variable: 'v' } });
    const { v } = await engine.get(['v']);
    expect(v).toEqual(float32([8, 16, 24], [3]));
    (v!.data as Float32Array).fill(0);
    await engine.copy('v', 'w');
    expect((await engine.get(['w'])).w).toEqual(float32([8, 16, 24], [3]));
    await engine.drop(['v', 'w']);
    await expect(engine.get(['v'])).rejects.toThrow('no variable "v"');
  });

  it('carries calls out in the order in which they were made', async () => {
    const session = await engine.compile(doubled);
    const calls: Promise<unknown>[] = [];
    for (let i = 0; i < 20; i++) {
      calls.push(engine.set({ at: float32([i], [1]) }));
      calls.push(session.run({ x: { variable: 'at' } }, { y: 'return' }));
    }
    const results = await Promise.all(calls);
    const doubledValues = results
      .filter((_, i) => i % 2 === 1)
      .map((r) => (r as { y: { data: Float32Array } }).y.data[0]);
    expect(doubledValues).toEqual(Array.from({ length: 20 }, (_, i) => 2 * i));
  });

  it('leaves what it is fed as it was', async () => {
    const session = await engine.compile(doubled);
    const data = Float32Array.of(1, 2);
    await session.run({ x: float32(data, [2]) }, { y: 'return' });
    expect([...data]).toEqual([1, 2]);
  });

  it('says what is wrong with a call', async () => {
    const session = await engine.compile(doubled);
    const fed = { x: float32([1], [1]) };
    await expect(session.run({}, { y: 'return' })).rejects.toThrow('input "x" was not fed');
    await expect(session.run(fed, { z: 'return' })).rejects.toThrow('the graph has no output "z"');
    await expect(session.run({ x: { variable: 'none' } }, { y: 'return' })).rejects.toThrow('no variable "none"');
    const fixed = await engine.compile(compileGraph({ y: mul(input('a', 'float32', [2]), 2) }, 'fused'));
    await expect(fixed.run({ a: float32([1, 2, 3], [3]) }, { y: 'return' })).rejects.toThrow(EngineError);
    await session.release();
    await expect(session.run(fed, { y: 'return' })).rejects.toThrow('was released');
  });

  it('rejects what is under way and what comes after it is closed', async () => {
    const own = new Engine();
    const session = await own.compile(doubled);
    const running = session.run({ x: float32(new Float32Array(1e6), [1e6]) }, { y: 'return' });
    const settled = running.then(
      () => 'done',
      (error: Error) => error.message,
    );
    await own.close();
    expect(['done', 'the engine is closed']).toContain(await settled);
    await expect(own.get(['x'])).rejects.toThrow('the engine is closed');
  });

  it('does not block its caller while it computes', async () => {
    const size = 700;
    let product: Tensor = input('m', 'float32', [size, size]);
    for (let i = 0; i < 12; i++) product = matmul(product, mul(product, 1 / size));
    const session = await engine.compile(compileGraph({ s: sum(product) }, 'fused'));
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const feed = float32(new Float32Array(size * size).fill(0.5), [size, size]);
    await session.run({ m: feed }, { s: 'return' });
    clearInterval(timer);
    // Twelve products of 700 × 700 take tens of milliseconds anywhere; a blocked thread would not tick once.
    expect(ticks).toBeGreaterThan(0);
  });

  it('gives the same bits every time, in another engine too', async () => {
    const d = 64;
    const block = (h: Tensor, i: number): Tensor => {
      const w = (name: string, shape: number[]): Tensor => input(`${name}${i}`, 'float32', shape);
      const normed = rmsNorm(h, w('n', [d]), 1e-5);
      return add(h, linear(silu(linear(normed, w('up', [4 * d, d]))), w('down', [d, 4 * d])));
    };
    const start = input('h', 'float32', ['N', d]);
    const graph = compileGraph({ y: softmax(block(block(start, 0), 1)) }, 'fused');
    const feeds = Object.fromEntries(
      graph.inputs.map((t, k) => {
        const shape = t.shape.map((s) => (typeof s === 'string' ? 50 : s));
        const n = shape.reduce((a, b) => a * b, 1);
        return [
          t.name,
          float32(
            Float32Array.from({ length: n }, (_, i) => Math.sin(i * 12.9898 + k)),
            shape,
          ),
        ];
      }),
    );
    const other = new Engine();
    const results: string[] = [];
    for (const own of [engine, engine, other]) {
      const session = await own.compile(graph);
      const { y } = await session.run(feeds, { y: 'return' });
      results.push(Buffer.from((y!.data as Float32Array).buffer).toString('base64'));
    }
    await other.close();
    expect(new Set(results).size).toBe(1);
  });

  it('does not grow over many runs', async () => {
    const own = new Engine();
    const v = input('v', 'float32', [50_000]);
    const session = await own.compile(compileGraph({ v: add(mul(v, 0.5), exp(mul(v, 0))) }, 'fused'), ['v']);
    await own.set({ v: float32(new Float32Array(50_000), [50_000]) });
    const run = async (n: number): Promise<void> => {
      for (let i = 0; i < n; i++) await session.run({ v: { variable: 'v' } }, { v: { variable: 'v' } });
    };
    await run(200);
    const before = process.memoryUsage.rss();
    await run(1500);
    // 1500 results of 200 kB are 300 MB: a leak of one in four would show.
    expect(process.memoryUsage.rss() - before).toBeLessThan(75e6);
    await own.close();
  });
});

describe('a loop', () => {
  it('ends when its body says so, stacks what it kept, and reads what lies outside', async () => {
    const step = input('step', 'float32', [2]);
    const { carried, scans } = loop(scalar(10, 'int64'), [constant([0, 0], [2])], (_, [at]) => {
      const next = add(at!, mul(step, 2));
      return { proceed: sumBelow(next, 7), carried: [next], scans: [next] };
    });
    const session = await engine.compile(compileGraph({ last: carried[0]!, all: scans[0]! }, 'fused'));
    const out = await session.run({ step: float32([0.5, 0.25], [2]) }, { last: 'return', all: 'return' });
    // Sums are 1.5, 3, 4.5, 6, 7.5: the fifth round is the last.
    expect(out.last).toEqual(float32([5, 2.5], [2]));
    expect(out.all!.shape).toEqual([5, 2]);
  });
});

function sumBelow(x: Tensor, limit: number): Tensor {
  return less(sum(x), limit);
}
