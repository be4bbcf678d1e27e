import { gradients } from '../gradient.js';
import { compileGraph } from '../lower.js';
import { add, mul, neg, silu } from '../ops/elementwise.js';
import { gatherElements, gatherRows } from '../ops/gather.js';
import { linear, matmul } from '../ops/matmul.js';
import { logSoftmax, rmsNorm, softmax } from '../ops/normalize.js';
import { mean, sum } from '../ops/reduce.js';
import { constant, input, type Tensor } from '../tensor.js';
import { Engine, type EngineOptions, type Feed, type Fetch, float32, int32 } from './engine.js';

const TOKENS = [1, 4, 1, 7, 4, 2];
const TARGETS = [4, 1, 7, 4, 2, 9];
const WIDTH = 8;

/** Each weight's shape, and of its gradient Σ gᵢ·cos(0.9 i) and the norm; PyTorch's in float64 (test/fixtures/self_check.py). */
const WEIGHTS: Readonly<Record<string, { shape: number[]; sum: number; norm: number }>> = {
  table: { shape: [11, WIDTH], sum: -1.629771071, norm: 1.5910403 },
  norm: { shape: [WIDTH], sum: -0.692422264, norm: 0.547281836 },
  queries: { shape: [WIDTH, WIDTH], sum: -0.026381061, norm: 0.154999414 },
  keys: { shape: [WIDTH, WIDTH], sum: 0.107160438, norm: 0.17931666 },
  values: { shape: [WIDTH, WIDTH], sum: 0.077245075, norm: 0.946681096 },
  gate: { shape: [12, WIDTH], sum: -0.490771678, norm: 0.398704573 },
  up: { shape: [12, WIDTH], sum: -0.55391883, norm: 0.374215709 },
  down: { shape: [WIDTH, 12], sum: 0.179385978, norm: 0.1269695 },
};
const LOSS = 2.542163051;

/** What a device may be off: of the loss itself, of a gradient's norm. */
const TOLERANCE = 1e-3;

export interface SelfCheck {
  /** of a product of two matrices that are on the device, in 10⁹ operations a second */
  readonly gflops: number;
}

/**
 * Trains a small transformer layer for one step on a device and compares loss and gradients with known ones; then times
 * a matrix product.
 *
 * @throws EngineError from the runtime, or Error naming the value that is wrong
 */
export async function selfCheck(options: EngineOptions): Promise<SelfCheck> {
  const engine = new Engine(options);
  try {
    await checkGradients(engine);
    return { gflops: await timeProduct(engine) };
  } finally {
    await engine.close();
  }
}

async function checkGradients(engine: Engine): Promise<void> {
  const names = Object.keys(WEIGHTS);
  const w = Object.fromEntries(names.map((name) => [name, input(name, 'float32', WEIGHTS[name]!.shape)]));
  const loss = lossOf(w as Record<WeightName, Tensor>);
  const made = gradients(
    loss,
    names.map((name) => w[name]!),
  );
  const outputs = { loss, ...Object.fromEntries(names.map((name, i) => [name, made[i]!])) };
  const session = await engine.compile(compileGraph(outputs, engine.profile));
  const feeds: Record<string, Feed> = {
    tokens: int32(TOKENS, [TOKENS.length]),
    targets: int32(TARGETS, [TARGETS.length, 1]),
  };
  for (const [phase, name] of names.entries()) {
    const { shape } = WEIGHTS[name]!;
    const values = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => 0.5 * Math.sin(1.7 * i + phase));
    feeds[name] = float32(shape.length === 1 ? values.map((x) => 1 + x) : values, shape);
  }
  const out = await session.run(
    feeds,
    Object.fromEntries(Object.keys(outputs).map((name): [string, Fetch] => [name, 'return'])),
  );
  expectNear('the loss', Number(out.loss!.data[0]), LOSS, LOSS);
  for (const name of names) {
    const expected = WEIGHTS[name]!;
    const g = Array.from(out[name]!.data as Float32Array);
    const weighted = g.reduce((total, x, i) => total + x * Math.cos(0.9 * i), 0);
    expectNear(`the gradient of ${name}`, weighted, expected.sum, expected.norm);
    expectNear(`the norm of the gradient of ${name}`, Math.hypot(...g), expected.norm, expected.norm);
  }
}

type WeightName = 'table' | 'norm' | 'queries' | 'keys' | 'values' | 'gate' | 'up' | 'down';

/** Mean cross-entropy of one layer with attention and a gated half, its table looked up with tokens that repeat. */
function lossOf(w: Record<WeightName, Tensor>): Tensor {
  const time = TOKENS.length;
  const later = Array.from({ length: time * time }, (_, i) => (i % time > Math.floor(i / time) ? -1e9 : 0));
  let x = gatherRows(w.table, input('tokens', 'int32', [time]));
  let normed = rmsNorm(x, w.norm, 1e-5);
  const scores = matmul(linear(normed, w.queries), linear(normed, w.keys), { transposeB: true });
  const weights = softmax(add(mul(scores, WIDTH ** -0.5), constant(later, [time, time])));
  x = add(x, matmul(weights, linear(normed, w.values)));
  normed = rmsNorm(x, w.norm, 1e-5);
  x = add(x, linear(mul(silu(linear(normed, w.gate)), linear(normed, w.up)), w.down));
  const logs = logSoftmax(linear(rmsNorm(x, w.norm, 1e-5), w.table));
  return neg(mean(gatherElements(logs, input('targets', 'int32', [time, 1]), 1)));
}

function expectNear(what: string, actual: number, expected: number, scale: number): void {
  // Written so that a NaN is far, too.
  if (Math.abs(actual - expected) <= TOLERANCE * scale) return;
  throw new Error(`${what} is ${actual}, and should be ${expected}`);
}

/** Rows and columns: so many at least, and twice as many while that takes no time. */
const PRODUCT = { least: 256, most: 4096, enoughMs: 20 };

async function timeProduct(engine: Engine): Promise<number> {
  const a = input('a', 'float32', ['N', 'N']);
  // A sum that is handed back: without it a device would be timed for taking the order.
  const session = await engine.compile(compileGraph({ total: sum(matmul(a, a)) }, engine.profile));
  for (let n = PRODUCT.least; ; n *= 2) {
    await engine.set({ a: float32(new Float32Array(n * n).fill(1 / n), [n, n]) });
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 4; i++) {
      const begin = performance.now();
      await session.run({ a: { variable: 'a' } }, { total: 'return' });
      // The first one compiles shaders and touches memory.
      if (i > 0) least = Math.min(least, performance.now() - begin);
    }
    if (least >= PRODUCT.enoughMs || n === PRODUCT.most) return (2 * n ** 3) / (least * 1e6);
  }
}
