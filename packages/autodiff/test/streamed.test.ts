import {
  add,
  compileGraph,
  Engine,
  float32,
  gatherRows,
  gradients,
  input,
  int32,
  linear,
  matmul,
  mul,
  NoGradientError,
  reshape,
  reshapeTo,
  ShapeError,
  STREAMED_ROWS,
  streamed,
  sum,
  type Tensor,
  topK,
  transpose,
  type Value,
} from '@polymode/autodiff';
import { afterAll, describe, expect, it } from 'vitest';

const engine = new Engine();
const two = new Engine({ threads: 2 });
afterAll(() => Promise.all([engine.close(), two.close()]));

const [inputs, outputs] = [70, 45];
const series = (shape: number[], frequency: number): Value =>
  float32(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(1 + i * frequency)),
    shape,
  );

async function run(
  graph: Record<string, Tensor>,
  feeds: Record<string, Value>,
  on = engine,
): Promise<Record<string, Value>> {
  const session = await on.compile(compileGraph(graph, on.profile));
  const out = await session.run(feeds, Object.fromEntries(Object.keys(graph).map((name) => [name, 'return' as const])));
  await session.release();
  return out;
}

describe('a streamed weight', () => {
  const x = input('x', 'float32', ['N', inputs]);
  const forms: Record<string, [number[], (w: Tensor) => Tensor]> = {
    x·Wᵀ: [[outputs, inputs], (w) => linear(x, w)],
    x·W: [[inputs, outputs], (w) => matmul(x, w)],
  };

  it.each(Object.entries(forms))('gives %s as a weight that is fed', async (_, [shape, product]) => {
    const w = input('w', 'float32', shape);
    for (const rows of [STREAMED_ROWS, 3 * STREAMED_ROWS]) {
      const feeds = { x: series([rows, inputs], 0.37), w: series(shape, 0.73) };
      const { fed, read } = await run({ fed: product(w), read: product(streamed(w)) }, feeds);
      expect(read!.shape).toEqual([rows, outputs]);
      for (const [i, v] of read!.data.entries()) expect(v).toBeCloseTo(Number(fed!.data[i]), 4);
    }
  });

  it.each(Object.entries(forms))('gives a row of %s the same bits beside any others', async (_, [shape, product]) => {
    const graph = { y: product(streamed(input('w', 'float32', shape))) };
    const w = series(shape, 0.73);
    const many = series([5 * STREAMED_ROWS, inputs], 0.37);
    const all = await run(graph, { x: many, w });
    for (const row of [0, 17, 79]) {
      const alone = new Float32Array(STREAMED_ROWS * inputs);
      alone.set((many.data as Float32Array).slice(row * inputs, (row + 1) * inputs), 5 * inputs);
      const one = await run(graph, { x: float32(alone, [STREAMED_ROWS, inputs]), w }, two);
      expect(one.y!.data.slice(5 * outputs, 6 * outputs)).toEqual(
        all.y!.data.slice(row * outputs, (row + 1) * outputs),
      );
    }
  });

  it('is a table too, a matrix only, and has no gradient', async () => {
    const w = input('w', 'float32', [3, 2]);
    const { rows } = await run(
      { rows: gatherRows(streamed(w), input('at', 'int32', [2])) },
      { w: float32([0, 1, 2, 3, 4, 5], [3, 2]), at: int32([2, 0], [2]) },
    );
    expect([...rows!.data]).toEqual([4, 5, 0, 1]);
    expect(() => streamed(input('v', 'float32', [3]))).toThrow(ShapeError);
    expect(() => gradients(sum(matmul(input('a', 'float32', [16, 3]), streamed(w))), [w])).toThrow(
      new NoGradientError('Streamed'),
    );
  });
});

describe('shapes that are known at run time', () => {
  it('keep named dimensions in their place, and take one more', async () => {
    const x = input('x', 'float32', ['N', 3, 'G', 2]);
    const y = reshape(x, ['N', 3, '2G']);
    expect(y.shape).toEqual(['N', 3, '2G']);
    const loss = sum(mul(y, y));
    const feed = series([2, 3, 5, 2], 0.9);
    const out = await run({ y, dx: gradients(loss, [x])[0]! }, { x: feed });
    expect(out.y!.shape).toEqual([2, 3, 10]);
    expect(out.dx!.shape).toEqual([2, 3, 5, 2]);
    expect([...out.dx!.data]).toEqual([...(feed.data as Float32Array)].map((v) => 2 * v));
    expect(() => reshape(transpose(x, [2, 1, 0, 3]), ['N', 3, '2G'])).toThrow('more than one named dimension');
  });

  it('may be fed', async () => {
    const x = input('x', 'float32', ['N', 4]);
    const y = reshapeTo(x, input('shape', 'int64', [3]), ['A', 'B', 2]);
    const feeds = {
      x: series([6, 4], 0.3),
      shape: { dtype: 'int64', shape: [3], data: BigInt64Array.of(3n, 4n, 2n) } as const,
    };
    const out = await run({ y: add(y, 1), dx: gradients(sum(mul(y, y)), [x])[0]! }, feeds);
    expect(out.y!.shape).toEqual([3, 4, 2]);
    expect(out.dx!.shape).toEqual([6, 4]);
    expect([...out.dx!.data]).toEqual([...(feeds.x.data as Float32Array)].map((v) => 2 * v));
    expect(() => reshapeTo(x, input('i', 'int64', [2]), ['A'])).toThrow('an int64 vector of 1 sizes');
  });

  it('may be the number of the largest', async () => {
    const [values, indices] = topK(input('x', 'float32', [2, 4]), input('k', 'int64', [1]));
    expect(values.shape).toEqual([2, 'top']);
    const feeds = { x: float32([3, 1, 4, 2, 0, 9, 7, 8], [2, 4]) };
    const k = { dtype: 'int64', shape: [1], data: BigInt64Array.of(2n) } as const;
    const out = await run({ values, indices }, { ...feeds, k });
    expect([...out.values!.data]).toEqual([4, 3, 9, 8]);
    expect([...out.indices!.data].map(Number)).toEqual([2, 0, 1, 3]);
  });
});
