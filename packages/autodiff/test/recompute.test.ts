import {
  add,
  compileGraph,
  Engine,
  type Feed,
  type Fetch,
  float32,
  gradients,
  input,
  linear,
  liveBytes,
  mul,
  rmsNorm,
  silu,
  sum,
  type Tensor,
} from '@polymode/autodiff';
import { describe, expect, it } from 'vitest';

const [ROWS, WIDTH, WIDE, LAYERS] = [1024, 32, 1024, 16];
const MB = 2 ** 20;
const weight = (name: string, shape: number[]): Tensor => input(name, 'float32', shape);

/** Gated layers, and the gradients of all their weights. A wide result is 4 MB. */
function gatedModel(): { outputs: Record<string, Tensor>; weights: Tensor[] } {
  let x = input('x', 'float32', [ROWS, WIDTH]);
  const weights: Tensor[] = [];
  for (let i = 0; i < LAYERS; i++) {
    const [scale, gate, up, down] = [
      weight(`scale${i}`, [WIDTH]),
      weight(`gate${i}`, [WIDE, WIDTH]),
      weight(`up${i}`, [WIDE, WIDTH]),
      weight(`down${i}`, [WIDTH, WIDE]),
    ];
    weights.push(scale, gate, up, down);
    const normed = rmsNorm(x, scale, 1e-5);
    x = add(x, linear(mul(silu(linear(normed, gate)), linear(normed, up)), down));
  }
  const loss = sum(mul(x, x));
  const made = gradients(loss, weights);
  return { weights, outputs: { loss, ...Object.fromEntries(made.map((g, i) => [`g${i}`, g])) } };
}

describe('the memory of a backward pass', () => {
  it('holds two of a gated layer’s five wide results, and is what it is estimated to be', async () => {
    const { weights, outputs } = gatedModel();
    const estimate = liveBytes(Object.values(outputs));
    expect(estimate / MB).toBeGreaterThan(LAYERS * 2 * 4);
    expect(estimate / MB).toBeLessThan(LAYERS * 3 * 4);

    const engine = new Engine();
    const names = Object.keys(outputs);
    const session = await engine.compile(compileGraph(outputs, engine.profile), names);
    const feeds: Record<string, Feed> = { x: float32(new Float32Array(ROWS * WIDTH).fill(0.1), [ROWS, WIDTH]) };
    for (const w of weights) {
      const shape = w.shape as number[];
      const size = shape.reduce((a, b) => a * b, 1);
      feeds[w.node.attributes.name as string] = float32(new Float32Array(size).fill(0.01), shape);
    }
    const before = (await engine.memory(true)).resident;
    await session.run(feeds, Object.fromEntries(names.map((n): [string, Fetch] => [n, { variable: n }])));
    const measured = (await engine.memory()).peakResident - before;
    // Beside what is estimated there are the engine's copy of what is fed and the matrix product's own buffers.
    expect(measured / MB).toBeLessThan(1.3 * (estimate / MB) + 20);
    expect(measured).toBeGreaterThan(0.8 * estimate);
    await engine.close();
  });
});
