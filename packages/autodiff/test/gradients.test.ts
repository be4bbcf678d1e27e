import {
  add,
  addAt,
  cast,
  clip,
  compileGraph,
  concat,
  constant,
  cumulativeSum,
  type Dim,
  type DType,
  div,
  Engine,
  type ExecutionProvider,
  exp,
  expandLike,
  float32,
  gatherElements,
  gatherRows,
  geluTanh,
  gradients,
  greater,
  input,
  int32,
  layerNorm,
  linear,
  log,
  logSoftmax,
  loop,
  matmul,
  max,
  maximum,
  mean,
  minimum,
  mul,
  NoGradientError,
  neg,
  opTable,
  type Profile,
  pad,
  reciprocal,
  reshape,
  reshapeLike,
  rmsNorm,
  rotary,
  ShapeError,
  scalar,
  sigmoid,
  silu,
  slice,
  softmax,
  split,
  sqrt,
  squeeze,
  stopGradient,
  sub,
  sum,
  type Tensor,
  tanh,
  topK,
  transpose,
  unsqueeze,
  where,
} from '@polymode/autodiff';
import { findWebGpu } from '@polymode/autodiff/testing';
import { afterAll, describe, expect, it } from 'vitest';

interface Given {
  /** concrete size, and the shape that the graph is built with when it has names */
  readonly shape: readonly number[];
  readonly named?: readonly Dim[];
  /** whole numbers below this, not differentiated; many repeat */
  readonly indices?: number;
  /** lowest value; values lie within 1 above it @defaultValue -0.5 */
  readonly from?: number;
}
interface Case {
  readonly name: string;
  /** the op table entries that this case is there for */
  readonly ops: readonly string[];
  readonly given: readonly Given[];
  readonly build: (...x: Tensor[]) => Tensor;
}

const tables = (): [Tensor, Tensor] => {
  const angles = Array.from({ length: 6 * 4 }, (_, i) => 0.37 * i);
  return [constant(angles.map(Math.cos), [6, 4]), constant(angles.map(Math.sin), [6, 4])];
};

const cases: Case[] = [
  { name: 'add with broadcast', ops: ['Add', 'ReduceSum'], given: [{ shape: [3, 4] }, { shape: [4] }], build: add },
  { name: 'sub of a column', ops: ['Sub', 'Neg'], given: [{ shape: [3, 1] }, { shape: [3, 4] }], build: sub },
  { name: 'mul with itself', ops: ['Mul'], given: [{ shape: [5] }], build: (x) => mul(x, x) },
  { name: 'mul of both ways', ops: ['Mul'], given: [{ shape: [2, 1, 3] }, { shape: [4, 1] }], build: mul },
  { name: 'div', ops: ['Div'], given: [{ shape: [3, 4] }, { shape: [4], from: 1 }], build: div },
  { name: 'number by tensor', ops: ['Div'], given: [{ shape: [3], from: 1 }], build: (x) => div(2, x) },
  { name: 'minimum', ops: ['Min', 'Where'], given: [{ shape: [3, 4] }, { shape: [3, 4] }], build: minimum },
  { name: 'maximum', ops: ['Max'], given: [{ shape: [3, 4] }, { shape: [3, 4] }], build: maximum },
  { name: 'clip', ops: ['Min', 'Max'], given: [{ shape: [12] }], build: (x) => clip(x, -0.2, 0.3) },
  {
    name: 'where with broadcast',
    ops: ['Where'],
    given: [{ shape: [3, 1], indices: 2 }, { shape: [3, 4] }, { shape: [4] }],
    build: (c, a, b) => where(greater(c, 0), a, b),
  },
  { name: 'neg', ops: ['Neg'], given: [{ shape: [4] }], build: neg },
  { name: 'exp', ops: ['Exp'], given: [{ shape: [4] }], build: exp },
  { name: 'log', ops: ['Log'], given: [{ shape: [4], from: 0.5 }], build: log },
  { name: 'sqrt', ops: ['Sqrt'], given: [{ shape: [4], from: 0.5 }], build: sqrt },
  { name: 'reciprocal', ops: ['Reciprocal'], given: [{ shape: [4], from: 0.5 }], build: reciprocal },
  { name: 'sigmoid', ops: ['Sigmoid'], given: [{ shape: [4] }], build: sigmoid },
  { name: 'tanh', ops: ['Tanh'], given: [{ shape: [4] }], build: tanh },
  {
    name: 'silu',
    ops: ['Silu', 'Sigmoid'],
    given: [
      { shape: [6], from: -3 },
      { shape: [6], from: 0 },
    ],
    build: (a, b) => add(silu(a), silu(mul(b, 4))),
  },
  { name: 'geluTanh', ops: ['GeluTanh', 'Tanh'], given: [{ shape: [6], from: -2 }], build: geluTanh },
  {
    name: 'a gated layer, whose parts are computed again',
    ops: ['Silu', 'Split', 'RmsNorm'],
    given: [{ shape: [3, 4] }, { shape: [4], from: 1 }, { shape: [12, 4] }, { shape: [4, 6] }],
    build: (x, scale, into, out) => {
      const [gate, up] = split(linear(rmsNorm(x, scale, 1e-5), into), 1, [6, 6]) as [Tensor, Tensor];
      return linear(mul(silu(gate), up), out);
    },
  },
  {
    name: 'a layer of GPT-2, whose parts are computed again',
    ops: ['GeluTanh', 'LayerNorm', 'Reshape'],
    given: [{ shape: [6, 4] }, { shape: [4], from: 1 }, { shape: [4] }, { shape: [6, 4] }, { shape: [4, 6] }],
    build: (x, scale, shift, into, out) =>
      linear(geluTanh(linear(reshape(layerNorm(x, scale, shift, 1e-5), [2, 3, 4]), into)), out),
  },
  { name: 'what is stopped', ops: ['StopGradient'], given: [{ shape: [4] }], build: (x) => mul(x, stopGradient(x)) },
  {
    name: 'sum over the middle',
    ops: ['ReduceSum', 'Expand'],
    given: [{ shape: [2, 3, 4] }],
    build: (x) => sum(x, [1]),
  },
  { name: 'sum over two, kept', ops: ['ReduceSum'], given: [{ shape: [2, 3, 4] }], build: (x) => sum(x, [0, 2], true) },
  { name: 'mean', ops: ['ReduceMean'], given: [{ shape: [2, 3, 4] }], build: (x) => mean(x, [-1]) },
  {
    name: 'mean over a named axis',
    ops: ['ReduceMean', 'Shape'],
    given: [{ shape: [5, 3], named: ['N', 3] }],
    build: (x) => mean(x, [0]),
  },
  {
    name: 'reshape',
    ops: ['Reshape'],
    given: [{ shape: [2, 6], named: ['N', 6] }],
    build: (x) => reshape(x, ['N', 2, 3]),
  },
  {
    name: 'reshape to the shape of another',
    ops: ['ReshapeTo'],
    given: [
      { shape: [6], named: ['N*M'] },
      { shape: [2, 3], named: ['N', 'M'] },
    ],
    build: (x, like) => mul(reshapeLike(x, like), like),
  },
  { name: 'transpose', ops: ['Transpose'], given: [{ shape: [2, 3, 4] }], build: (x) => transpose(x, [2, 0, 1]) },
  { name: 'unsqueeze', ops: ['Unsqueeze'], given: [{ shape: [2, 3] }], build: (x) => unsqueeze(x, [0, 2]) },
  { name: 'squeeze', ops: ['Squeeze'], given: [{ shape: [2, 1, 3] }], build: (x) => squeeze(x, [1]) },
  {
    name: 'expand',
    ops: ['Expand'],
    given: [{ shape: [1, 3] }, { shape: [2, 4, 3], named: ['N', 4, 3] }],
    build: (x, like) => mul(expandLike(x, like), like),
  },
  {
    name: 'concat',
    ops: ['Concat', 'Slice'],
    given: [{ shape: [2, 3] }, { shape: [2, 2] }],
    build: (a, b) => concat([a, b], 1),
  },
  {
    name: 'split, its pieces weighing differently',
    ops: ['Split'],
    given: [{ shape: [3, 7, 2], named: ['N', 7, 2] }],
    build: (x) => {
      const [a, , c] = split(x, 1, [2, 3, 2]);
      return mul(a!, exp(c!));
    },
  },
  { name: 'slice', ops: ['Slice', 'Pad'], given: [{ shape: [3, 7] }], build: (x) => slice(x, 1, 2, -1) },
  { name: 'pad', ops: ['Pad'], given: [{ shape: [3, 4] }], build: (x) => pad(x, 0, 1, 2) },
  { name: 'matmul', ops: ['MatMul'], given: [{ shape: [3, 4] }, { shape: [4, 5] }], build: (a, b) => matmul(a, b) },
  ...[false, true].flatMap((transposeA) =>
    [false, true].flatMap((transposeB): Case[] => [
      {
        name: `matmul of matrices, transposed ${transposeA} ${transposeB}`,
        ops: ['MatMul'],
        given: [{ shape: transposeA ? [4, 3] : [3, 4] }, { shape: transposeB ? [5, 4] : [4, 5] }],
        build: (a, b) => matmul(a, b, { transposeA, transposeB }),
      },
      {
        name: `matmul of batches, one repeated, transposed ${transposeA} ${transposeB}`,
        ops: ['MatMul'],
        given: [
          { shape: [2, 1, ...(transposeA ? [4, 3] : [3, 4])] },
          { shape: [3, ...(transposeB ? [5, 4] : [4, 5])] },
        ],
        build: (a, b) => matmul(a, b, { transposeA, transposeB }),
      },
    ]),
  ),
  {
    name: 'linear',
    ops: ['MatMul'],
    given: [{ shape: [2, 3, 4], named: ['N', 3, 4] }, { shape: [5, 4] }],
    build: linear,
  },
  {
    name: 'rows of a table, most of them many times',
    ops: ['Gather', 'ScatterAdd'],
    given: [{ shape: [4, 3] }, { shape: [5, 30], indices: 4 }],
    build: gatherRows,
  },
  {
    name: 'the gradient of rows',
    ops: ['ScatterAdd', 'GatherElements'],
    given: [{ shape: [4, 3] }, { shape: [6], indices: 4 }],
    build: (table, at) => gradients(sum(exp(gatherRows(table, at))), [table])[0]!,
  },
  {
    name: 'elements along an axis',
    ops: ['GatherElements'],
    given: [
      { shape: [5, 4], named: ['M', 4] },
      { shape: [5, 2], named: ['M', 2], indices: 4 },
    ],
    build: (x, at) => gatherElements(x, at, 1),
  },
  { name: 'softmax', ops: ['Softmax'], given: [{ shape: [3, 5] }], build: softmax },
  {
    name: 'chosen elements of logSoftmax',
    ops: ['LogSoftmax', 'GatherElements', 'AddAt'],
    given: [{ shape: [3, 5] }, { shape: [3, 2], indices: 5 }],
    build: (x, at) => exp(gatherElements(logSoftmax(x), at, 1)),
  },
  {
    name: 'sums at places that repeat',
    ops: ['AddAt'],
    given: [{ shape: [3, 4] }, { shape: [3, 6], indices: 4 }, { shape: [3, 6] }],
    build: (x, at, updates) => exp(addAt(x, at, updates, 1)),
  },
  { name: 'logSoftmax', ops: ['LogSoftmax'], given: [{ shape: [3, 5] }], build: logSoftmax },
  {
    name: 'layerNorm',
    ops: ['LayerNorm'],
    given: [{ shape: [2, 3, 5], named: ['N', 3, 5] }, { shape: [5] }, { shape: [5] }],
    build: (x, w, b) => layerNorm(x, w, b, 1e-3),
  },
  {
    name: 'rmsNorm',
    ops: ['RmsNorm'],
    given: [{ shape: [2, 3, 8], named: ['N', 3, 8] }, { shape: [8] }],
    build: (x, w) => rmsNorm(x, w, 1e-5),
  },
  {
    name: 'rotary',
    ops: ['Rotary'],
    given: [{ shape: [2, 3, 4, 8] }, { shape: [2, 4], indices: 6 }],
    build: (x, at) => rotary(x, at, ...tables()),
  },
];

/** Rules that let nothing through: the type or the choice they make does not move with their inputs. */
const FLAT = [
  'Cast',
  'StopGradient',
  'Less',
  'Greater',
  'GreaterOrEqual',
  'Equal',
  'And',
  'Or',
  'Not',
  'Shape',
  'ArgMax',
];

function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const webGpu = findWebGpu();
Object.assign(process.env, webGpu.env);
if (!webGpu.available) console.log(`Tests on WebGPU are skipped: ${webGpu.reason}.`);

const engines = new Map<string, Engine>();
function engineOf(provider: ExecutionProvider, threads: number): Engine {
  const key = `${provider} ${threads}`;
  if (!engines.has(key)) engines.set(key, new Engine({ provider, threads }));
  return engines.get(key)!;
}
afterAll(async () => {
  await Promise.all([...engines.values()].map((e) => e.close()));
});

/**
 * The gradient of Σ c·y along random directions, against central differences: the loss is summed in float64, and
 * Richardson's extrapolation of two step sizes leaves an error of order h⁴, so both h stay far above float32's rounding.
 */
async function check({ given, build }: Case, engine: Engine, profile: Profile): Promise<void> {
  const random = numbers(given.length * 97 + given[0]!.shape.length);
  const inputs = given.map((g, i) => input(`x${i}`, (g.indices ? 'int32' : 'float32') as DType, g.named ?? g.shape));
  const values = given.map((g) => {
    const n = g.shape.reduce((a, b) => a * b, 1);
    return Float64Array.from({ length: n }, () =>
      g.indices ? Math.floor(random() * g.indices) : (g.from ?? -0.5) + random(),
    );
  });
  const y = build(...inputs);
  const size = y.shape.every((d) => typeof d === 'number') ? (y.shape as number[]).reduce((a, b) => a * b, 1) : 'K';
  const flat = reshape(y, [size]);
  const coefficients = input('c', 'float32', [size]);
  const moving = inputs.filter((_, i) => !given[i]!.indices);
  const made = gradients(sum(mul(flat, coefficients)), moving);
  const forward = await engine.compile(compileGraph({ y: flat }, profile));
  const outputs = Object.fromEntries(made.map((g, i) => [`g${i}`, g]));
  const backward = await engine.compile(compileGraph(outputs, profile));

  const feedsAt = (at: readonly Float64Array[]) =>
    Object.fromEntries(
      at.map((v, i) => [
        `x${i}`,
        given[i]!.indices ? int32(Int32Array.from(v), given[i]!.shape) : float32(Float32Array.from(v), given[i]!.shape),
      ]),
    );
  const first = (await forward.run(feedsAt(values), { y: 'return' })).y!.data as Float32Array;
  const c = Float32Array.from(first, () => random() - 0.5);
  const lossAt = async (at: readonly Float64Array[]): Promise<number> => {
    const out = (await forward.run(feedsAt(at), { y: 'return' })).y!.data as Float32Array;
    return out.reduce((total, v, i) => total + v * c[i]!, 0);
  };
  const returned = Object.fromEntries(Object.keys(outputs).map((n) => [n, 'return' as const]));
  const found = await backward.run({ ...feedsAt(values), c: float32(c, [c.length]) }, returned);

  const positions = given.flatMap((g, i) => (g.indices ? [] : [i]));
  for (const [k, i] of positions.entries()) {
    const gradient = found[`g${k}`]!;
    expect(gradient.shape).toEqual(given[i]!.shape);
    const direction = Float64Array.from(values[i]!, () => random() - 0.5);
    const along = async (h: number): Promise<number> => {
      const moved = (s: number): Float64Array[] =>
        values.map((v, j) => (j === i ? v.map((x, n) => x + s * h * direction[n]!) : v));
      return ((await lossAt(moved(1))) - (await lossAt(moved(-1)))) / (2 * h);
    };
    const difference = (4 * (await along(2 ** -8)) - (await along(2 ** -7))) / 3;
    const data = gradient.data as Float32Array;
    const product = data.reduce((s, g, n) => s + g * direction[n]!, 0);
    const scale = Math.max(Math.sqrt(data.reduce((s, g, n) => s + (g * direction[n]!) ** 2, 0)), 1e-3);
    expect(Math.abs(product - difference) / scale, `input ${i}`).toBeLessThan(1e-3);
  }
}

const settings: [ExecutionProvider, Profile, number][] = [
  ['cpu', 'fused', 1],
  ['cpu', 'fused', 2],
  ['cpu', 'portable', 2],
];
if (webGpu.available) settings.push(['webgpu', 'portable', 1]);

describe.each(settings)('on %s with the %s profile and %i threads, the gradient of', (provider, profile, threads) => {
  it.each(cases.map((c) => [c.name, c] as const))('%s', async (_, c) => {
    // What is stopped counts as constant: differences see through stopGradient, so only its own case compares by hand.
    if (c.ops.includes('StopGradient')) return checkStopped(engineOf(provider, threads), profile);
    await check(c, engineOf(provider, threads), profile);
  });
});

/** d/dx of x·stop(x) is stop(x). */
async function checkStopped(engine: Engine, profile: Profile): Promise<void> {
  const x = input('x', 'float32', [3]);
  const [g] = gradients(sum(mul(x, stopGradient(x))), [x]);
  const session = await engine.compile(compileGraph({ g: g! }, profile));
  const out = await session.run({ x: float32([1, -2, 0.5], [3]) }, { g: 'return' });
  expect([...(out.g!.data as Float32Array)]).toEqual([1, -2, 0.5]);
}

describe('the op table', () => {
  it('has a case for every gradient rule', () => {
    const covered = new Set(cases.flatMap((c) => c.ops));
    const rules = Object.entries(opTable).flatMap(([name, op]) => (op.gradient === undefined ? [] : [name]));
    expect(rules.filter((name) => !covered.has(name) && !FLAT.includes(name))).toEqual([]);
  });

  it('names the operation that has no rule', () => {
    const x = input('x', 'float32', [2, 3]);
    const without: Record<string, () => Tensor> = {
      ReduceMax: () => max(x, [1]),
      CumSum: () => cumulativeSum(x),
      TopK: () => topK(x, 2)[0],
      Loop: () =>
        loop(scalar(2, 'int64'), [x], (_, [c]) => ({ proceed: scalar(1, 'bool'), carried: [mul(c!, 2)], scans: [] }))
          .carried[0]!,
    };
    for (const [op, build] of Object.entries(without)) {
      expect(opTable[op]?.gradient, op).toBeUndefined();
      expect(() => gradients(sum(build()), [x]), op).toThrow(new NoGradientError(op));
    }
    const captured = loop(scalar(2, 'int64'), [constant([1, 1, 1], [3])], (_, [c]) => ({
      proceed: scalar(1, 'bool'),
      carried: [mul(c!, sum(x, [0]))],
      scans: [],
    }));
    expect(() => gradients(sum(captured.carried[0]!), [x])).toThrow(NoGradientError);
  });

  it('says so when nothing flows', () => {
    const [x, y] = [input('x', 'float32', [2]), input('y', 'float32', [2])];
    expect(() => gradients(sum(x), [y])).toThrow('no gradient flows from the loss to input "y"');
    expect(() => gradients(sum(mul(stopGradient(x), y)), [x])).toThrow('no gradient flows');
    expect(() => gradients(sum(mul(cast(cast(x, 'int32'), 'float32'), y)), [x])).toThrow('no gradient flows');
    expect(() => gradients(x, [x])).toThrow('the loss must be a scalar');
  });
});

describe('shapes', () => {
  const x = input('x', 'float32', [2, 3]);
  it.each([
    ['add', () => add(x, input('b', 'float32', [4])), '[2, 3] and [4] do not broadcast'],
    [
      'add of names',
      () => add(input('a', 'float32', ['N']), input('b', 'float32', ['M'])),
      '[N] and [M] do not broadcast',
    ],
    ['add of types', () => add(x, input('b', 'int32', [3])), 'different types'],
    ['where of types', () => where(greater(x, 0), x, input('b', 'int32', [3])), 'different types'],
    ['matmul', () => matmul(x, x), 'inner sizes of [2, 3] and [2, 3] differ'],
    ['reshape', () => reshape(x, [4]), 'has 6 elements and [4] has 4'],
    ['reshape to two names', () => reshape(x, ['A', 'B']), 'more than one named dimension'],
    ['transpose', () => transpose(x, [0, 0]), 'not a permutation'],
    ['squeeze', () => squeeze(x, [0]), 'axis 0 of'],
    ['concat', () => concat([x, input('b', 'float32', [3, 3])], 1), 'does not fit'],
    ['sum', () => sum(x, [2]), 'axis 2 is outside a tensor of rank 2'],
    ['rmsNorm', () => rmsNorm(x, input('w', 'float32', [2]), 1e-5), 'must be a vector as long as the last axis'],
    ['gatherRows', () => gatherRows(x, x), 'indices must be int32 or int64'],
    ['constant', () => constant([1, 2], [3]), '2 values cannot fill [3]'],
  ])('%s that do not fit are refused with their numbers', (_, build, message) => {
    expect(build).toThrow(ShapeError);
    expect(build).toThrow(message);
  });
});
