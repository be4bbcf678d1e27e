import {
  AdamW,
  type AdamWParameter,
  adamWStep,
  add,
  compileGraph,
  compileKernel,
  div,
  Engine,
  type ExecutionProvider,
  exp,
  float32,
  input,
  mul,
  neg,
  sqrt,
  sub,
  type Tensor,
  type Value,
} from '@polymode/autodiff';
import { findWebGpu } from '@polymode/autodiff/testing';
import { afterAll, describe, expect, it } from 'vitest';

const webGpu = findWebGpu();
Object.assign(process.env, webGpu.env);

const engines = new Map<ExecutionProvider, Engine>();
function engineOf(provider: ExecutionProvider): Engine {
  if (!engines.has(provider)) engines.set(provider, new Engine({ provider }));
  return engines.get(provider)!;
}
afterAll(async () => {
  await Promise.all([...engines.values()].map((e) => e.close()));
});

/** Reproducible values between -1 and 1 of many magnitudes. */
const series = (n: number, seed: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(i * 12.9898 + seed) * 10 ** -(i % 5));
const bits = (x: Value['data']): Buffer => Buffer.from(x.buffer, x.byteOffset, x.byteLength);

describe('a kernel', () => {
  it('has the bits that onnxruntime has for the same graph, at every length', async () => {
    const engine = engineOf('cpu');
    const vector = (name: string): Tensor => input(name, 'float32', ['N']);
    const scalar = (name: string): Tensor => input(name, 'float32', []);
    const outputs = adamWStep(
      { value: vector('value'), gradient: vector('gradient'), moment1: vector('moment1'), moment2: vector('moment2') },
      { scale: scalar('scale'), decay: scalar('decay'), rate: scalar('rate'), epsilon: scalar('epsilon') },
      0.9,
      0.999,
    );
    const kernel = compileKernel(outputs);
    const session = await engine.compile(compileGraph(outputs, 'fused'));
    const scalars = { scale: 0.37, decay: 0.999, rate: 0.003, epsilon: 1e-8 };
    // One, a part of a vector, a whole window, and windows with a rest.
    for (const n of [1, 6, 8192, 20_003]) {
      const squared = series(n, 4).map((x) => x * x);
      const vectors: Record<string, Value> = {
        value: float32(series(n, 1), [n]),
        gradient: float32(series(n, 2), [n]),
        moment1: float32(series(n, 3), [n]),
        moment2: float32(squared, [n]),
      };
      await engine.set(vectors);
      const fed = Object.fromEntries(Object.entries(scalars).map(([k, v]) => [k, float32([v], [])]));
      const expected = await session.run(
        { ...vectors, ...fed },
        { value: 'return', moment1: 'return', moment2: 'return' },
      );
      const names = { value: 'value', gradient: 'gradient', moment1: 'moment1', moment2: 'moment2' };
      await engine.apply(kernel, [{ vectors: names, scalars }]);
      const out = await engine.get(Object.keys(names));
      for (const name of Object.keys(outputs)) {
        expect(bits(out[name]!.data).equals(bits(expected[name]!.data)), `${name} of ${n}`).toBe(true);
      }
      expect(bits(out.gradient!.data).equals(bits(vectors.gradient!.data))).toBe(true);
    }
  });

  it('computes each of its operations', async () => {
    const engine = engineOf('cpu');
    const [a, b] = [input('a', 'float32', ['N']), input('b', 'float32', ['N'])];
    const s = input('s', 'float32', []);
    const kernel = compileKernel({ a: neg(sqrt(div(mul(a, b), sub(add(a, 3), mul(s, b))))), b: add(b, b) });
    await engine.set({ ka: float32([1, 2, 4, 8, 16], [5]), kb: float32([2, 3, 4, 5, 6], [5]) });
    await engine.apply(kernel, [{ vectors: { a: 'ka', b: 'kb' }, scalars: { s: -1 } }]);
    const { ka, kb } = await engine.get(['ka', 'kb']);
    const byHand = [2 / 6, 6 / 8, 16 / 11, 40 / 16, 96 / 25].map((x) => -Math.sqrt(x));
    for (const [i, y] of byHand.entries()) expect(ka!.data[i]).toBeCloseTo(y, 6);
    expect([...(kb!.data as Float32Array)]).toEqual([4, 6, 8, 10, 12]);
  });

  it('refuses what it cannot run over', async () => {
    const engine = engineOf('cpu');
    const [a, b] = [input('a', 'float32', ['N']), input('b', 'float32', ['N'])];
    expect(() => compileKernel({ a: exp(a) })).toThrow('cannot compute Exp');
    expect(() => compileKernel({ c: add(a, b) })).toThrow('"c" is none');
    await engine.set({ short: float32([1], [1]), long: float32([1, 2], [2]) });
    const kernel = compileKernel({ a: add(a, b) });
    const uneven = engine.apply(kernel, [{ vectors: { a: 'short', b: 'long' }, scalars: {} }]);
    await expect(uneven).rejects.toThrow('one length');
  });
});

describe('the sum of squares', () => {
  it('is exact where float32 sums are not', async () => {
    const engine = engineOf('cpu');
    // 1 + 40,000 · (2⁻¹³)²: a float32 sum would stay at 1, because 2⁻²⁶ is below its last place.
    const values = new Float32Array(40_001).fill(2 ** -13);
    values[0] = 1;
    await engine.set({ s1: float32(values, [40_001]), s2: float32([3, 4, 12], [3]) });
    expect(await engine.sumOfSquares(['s1', 's2'])).toBe(1 + 40_000 * 2 ** -26 + 169);
  });
});

const SHAPES: Record<string, number[]> = { matrix: [33, 129], norm: [129], bias: [3] };
const GRADIENT_SCALE = [1, 30, 1e-3, 1];

function parameters(prefix: string): AdamWParameter[] {
  return Object.entries(SHAPES).map(([name, shape]) => ({
    value: `${prefix}${name}.value`,
    gradient: `${prefix}${name}.gradient`,
    moment1: `${prefix}${name}.moment1`,
    moment2: `${prefix}${name}.moment2`,
    shape,
    decayed: name === 'matrix',
  }));
}
const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const gradientOf = (p: AdamWParameter, index: number, step: number): Float32Array =>
  series(size(p.shape), 7 * index + step).map((x) => x * GRADIENT_SCALE[step - 1]!);

async function begin(engine: Engine, own: readonly AdamWParameter[]): Promise<void> {
  await engine.allocate(
    own.flatMap((p) => [p.value, p.gradient, p.moment1, p.moment2].map((name) => ({ name, shape: p.shape }))),
  );
  await engine.set(Object.fromEntries(own.map((p, i) => [p.value, float32(series(size(p.shape), 50 + i), p.shape)])));
}
async function give(engine: Engine, own: readonly AdamWParameter[], step: number): Promise<void> {
  await engine.set(Object.fromEntries(own.map((p, i) => [p.gradient, float32(gradientOf(p, i, step), p.shape)])));
}

const OPTIONS = { beta1: 0.9, beta2: 0.99, epsilon: 1e-6, weightDecay: 0.1, maxGradientNorm: 2 };
const RATE = 0.01;

/** The paper's formula in float64, decay and corrections written as there. */
function byHand(own: readonly AdamWParameter[], steps: number): { values: Float64Array[]; norms: number[] } {
  const { beta1, beta2, epsilon, weightDecay, maxGradientNorm } = OPTIONS;
  const values = own.map((p, i) => Float64Array.from(series(size(p.shape), 50 + i)));
  const [m, v] = [values.map((x) => x.map(() => 0)), values.map((x) => x.map(() => 0))];
  const norms: number[] = [];
  for (let t = 1; t <= steps; t++) {
    const gradients = own.map((p, i) => gradientOf(p, i, t));
    const norm = Math.sqrt(gradients.reduce((s, g) => g.reduce((sum, x) => sum + x * x, s), 0));
    norms.push(norm);
    const scale = Math.min(1, maxGradientNorm / norm);
    for (const [k, w] of values.entries()) {
      for (const i of w.keys()) {
        const g = gradients[k]![i]! * scale;
        m[k]![i] = beta1 * m[k]![i]! + (1 - beta1) * g;
        v[k]![i] = beta2 * v[k]![i]! + (1 - beta2) * g * g;
        const direction = m[k]![i]! / (1 - beta1 ** t) / (Math.sqrt(v[k]![i]! / (1 - beta2 ** t)) + epsilon);
        w[i] = w[i]! - RATE * (own[k]!.decayed ? weightDecay : 0) * w[i]! - RATE * direction;
      }
    }
  }
  return { values, norms };
}

describe.each<[ExecutionProvider, boolean]>([
  ['cpu', true],
  ['webgpu', webGpu.available],
])('AdamW on %s', (provider, available) => {
  // A thread that ends beside a WebGPU engine may take the process with it: that engine goes first.
  afterAll(async () => {
    const engine = engines.get(provider);
    engines.delete(provider);
    await engine?.close();
  });

  it.skipIf(!available)(
    'takes the steps of the paper, clipped over all parameters, and spares what does not decay',
    async () => {
      const engine = engineOf(provider);
      const own = parameters('paper ');
      await begin(engine, own);
      const optimizer = new AdamW(engine, own, OPTIONS);
      const expected = byHand(own, GRADIENT_SCALE.length);
      for (let t = 1; t <= GRADIENT_SCALE.length; t++) {
        await give(engine, own, t);
        const { gradientNorm, applied } = await optimizer.step(t, RATE);
        expect(applied).toBe(true);
        expect(gradientNorm / expected.norms[t - 1]!).toBeCloseTo(1, 5);
      }
      const out = await engine.get(own.map((p) => p.value));
      for (const [k, p] of own.entries()) {
        // Values are about 1 and steps 0.01, so rounding is a few times 6e-8; a wrong decay would be 1e-3 off.
        for (const [i, x] of expected.values[k]!.entries()) {
          expect(Math.abs(Number(out[p.value]!.data[i]) - x)).toBeLessThan(2e-6);
        }
      }
      await optimizer.close();
    },
  );

  it.skipIf(!available).each([Number.NaN, Number.POSITIVE_INFINITY])(
    'touches nothing when a gradient is %d, and goes on after',
    async (bad) => {
      const engine = engineOf(provider);
      const own = parameters('guard ');
      await begin(engine, own);
      const optimizer = new AdamW(engine, own, OPTIONS);
      await give(engine, own, 1);
      await optimizer.step(1, RATE);
      const names = own.flatMap((p) => [p.value, p.moment1, p.moment2]);
      const before = await engine.get(names);
      const spoilt = gradientOf(own[0]!, 0, 2);
      spoilt[1234] = bad;
      await give(engine, own, 2);
      await engine.set({ [own[0]!.gradient]: float32(spoilt, own[0]!.shape) });
      const { gradientNorm, applied } = await optimizer.step(2, RATE);
      expect([Number.isFinite(gradientNorm), applied]).toEqual([false, false]);
      const after = await engine.get(names);
      for (const name of names) expect(bits(after[name]!.data).equals(bits(before[name]!.data)), name).toBe(true);
      await give(engine, own, 2);
      expect((await optimizer.step(2, RATE)).applied).toBe(true);
      const gone = await engine.get(names);
      for (const name of names) expect((gone[name]!.data as Float32Array).every(Number.isFinite), name).toBe(true);
      await optimizer.close();
    },
  );
});

describe('AdamW on the CPU', () => {
  it('gives the same bits every time, in an engine with more threads too', async () => {
    const results: Buffer[] = [];
    for (const engine of [engineOf('cpu'), engineOf('cpu'), new Engine({ threads: 2 })]) {
      const own = parameters('bits ');
      await begin(engine, own);
      const optimizer = new AdamW(engine, own, OPTIONS);
      for (let t = 1; t <= 3; t++) {
        await give(engine, own, t);
        await optimizer.step(t, RATE);
      }
      const names = own.flatMap((p) => [p.value, p.moment1, p.moment2]);
      const out = await engine.get(names);
      results.push(Buffer.concat(names.map((n) => bits(out[n]!.data))));
      if (!engines.has('cpu') || engines.get('cpu') !== engine) await engine.close();
    }
    expect(results[1]!.equals(results[0]!)).toBe(true);
    expect(results[2]!.equals(results[0]!)).toBe(true);
  });

  it('clips gradients whose squares a float32 cannot hold', async () => {
    const engine = engineOf('cpu');
    const [own] = [parameters('huge ').slice(2)];
    await begin(engine, own);
    await engine.set({ [own[0]!.gradient]: float32([3e25, 0, -4e25], [3]) });
    const { gradientNorm, applied } = await new AdamW(engine, own, OPTIONS).step(1, RATE);
    expect(gradientNorm / 5e25).toBeCloseTo(1, 6);
    expect(applied).toBe(true);
    const { [own[0]!.moment1]: m } = await engine.get([own[0]!.moment1]);
    for (const [i, x] of [0.12, 0, -0.16].entries()) expect(m!.data[i]).toBeCloseTo(x, 6);
  });
});
