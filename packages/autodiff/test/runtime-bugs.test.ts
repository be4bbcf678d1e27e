import {
  compileGraph,
  constant,
  Engine,
  float32,
  gatherRows,
  gradients,
  input,
  mul,
  rmsNorm,
  sum,
} from '@polymode/autodiff';
import { findWebGpu } from '@polymode/autodiff/testing';
import ort from 'onnxruntime-node';
import { afterAll, describe, expect, it } from 'vitest';
import { encodeModel, type OnnxGraph, type OnnxNode } from '../src/onnx/model.js';

/**
 * Two wrong results of onnxruntime that raise no error. Each test shows that what this package makes is right with the
 * same data, and says whether the runtime still has the bug: once it has not, the detour may go.
 */
const webGpu = findWebGpu();
Object.assign(process.env, webGpu.env);

const engines: Engine[] = [];
afterAll(async () => {
  await Promise.all(engines.map((e) => e.close()));
});
function open(options: ConstructorParameters<typeof Engine>[0]): Engine {
  const engine = new Engine(options);
  engines.push(engine);
  return engine;
}

const node = (
  opType: string,
  inputs: string[],
  outputs: string[],
  attributes: OnnxNode['attributes'] = {},
): OnnxNode => ({
  opType,
  domain: '',
  inputs,
  outputs,
  attributes,
});

function report(bug: string, present: boolean): void {
  console.log(`${bug}: onnxruntime ${present ? 'still has it' : 'no longer shows it'}`);
}

describe('rows that are added up in one place', () => {
  const [rows, width, uses] = [3, 64, 6000];
  const indices = Int32Array.from({ length: uses }, (_, i) => (i * 7) % rows);
  // Small whole numbers: sums are exact in any order, so a difference is a lost update and no rounding.
  const updates = Float32Array.from({ length: uses * width }, (_, i) => ((i * 31) % 7) - 3);
  const expected = new Float32Array(rows * width);
  for (let u = 0; u < uses; u++) {
    for (let j = 0; j < width; j++) expected[indices[u]! * width + j]! += updates[u * width + j]!;
  }

  it('lose nothing in our embedding gradient, with two threads', async () => {
    const table = input('table', 'float32', [rows, width]);
    const loss = sum(mul(gatherRows(table, constant(indices, [uses], 'int32')), constant(updates, [uses, width])));
    const engine = open({ threads: 2 });
    const session = await engine.compile(compileGraph({ g: gradients(loss, [table])[0]! }, 'fused'));
    for (let run = 0; run < 20; run++) {
      const { g } = await session.run(
        { table: float32(new Float32Array(rows * width), [rows, width]) },
        { g: 'return' },
      );
      expect(g!.data).toEqual(expected);
    }
    report('ScatterND add with repeated indices on two threads', await scatterNdLosesUpdates());
  });

  async function scatterNdLosesUpdates(): Promise<boolean> {
    const graph: OnnxGraph = {
      name: 'scatter',
      nodes: [node('ScatterND', ['zeros', 'at', 'updates'], ['y'], { reduction: { string: 'add' } })],
      initializers: [],
      inputs: [
        { name: 'zeros', dtype: 'float32', shape: [rows, width] },
        { name: 'at', dtype: 'int64', shape: [uses, 1] },
        { name: 'updates', dtype: 'float32', shape: [uses, width] },
      ],
      outputs: [{ name: 'y', dtype: 'float32', shape: null }],
    };
    const session = await ort.InferenceSession.create(encodeModel(graph), { intraOpNumThreads: 2 });
    let wrong = false;
    for (let run = 0; run < 20 && !wrong; run++) {
      const { y } = await session.run({
        zeros: new ort.Tensor('float32', new Float32Array(rows * width), [rows, width]),
        at: new ort.Tensor('int64', BigInt64Array.from(indices, BigInt), [uses, 1]),
        updates: new ort.Tensor('float32', updates, [uses, width]),
      });
      wrong = (y!.data as Float32Array).some((v, i) => v !== expected[i]);
    }
    await session.release();
    return wrong;
  }
});

describe.skipIf(!webGpu.available)('RMSNorm on WebGPU', () => {
  const [n, d] = [6, 96];
  const x = Float32Array.from({ length: n * d }, (_, i) => Math.sin(i * 1.7) * (1 + (i % 5)));
  const weight = Float32Array.from({ length: d }, (_, i) => 1 + 0.01 * i);
  const inverse = Float32Array.from({ length: n }, (_, r) => {
    const row = x.subarray(r * d, (r + 1) * d);
    return 1 / Math.sqrt(row.reduce((s, v) => s + v * v, 0) / d + 1e-5);
  });

  it('has the gradient that the CPU has', async () => {
    const [a, w] = [input('x', 'float32', [n, d]), input('w', 'float32', [d])];
    const c = constant(
      Float32Array.from({ length: n * d }, (_, i) => Math.cos(i)),
      [n, d],
    );
    const loss = sum(mul(rmsNorm(a, w, 1e-5), c));
    const [dx, dw] = gradients(loss, [a, w]);
    const feeds = { x: float32(x, [n, d]), w: float32(weight, [d]) };
    const results = [];
    for (const engine of [open({}), open({ provider: 'webgpu' })]) {
      const session = await engine.compile(compileGraph({ dx: dx!, dw: dw! }, engine.profile));
      results.push(await session.run(feeds, { dx: 'return', dw: 'return' }));
    }
    for (const name of ['dx', 'dw']) {
      const [cpu, gpu] = results.map((r) => r[name]!.data as Float32Array);
      for (const [i, v] of cpu!.entries()) expect(gpu![i]).toBeCloseTo(v, 4);
    }
    report('SimplifiedLayerNormalization’s inverse deviation on WebGPU', await inverseDeviationIsWrong());
  });

  async function inverseDeviationIsWrong(): Promise<boolean> {
    const graph: OnnxGraph = {
      name: 'norm',
      nodes: [
        node('SimplifiedLayerNormalization', ['x', 'w'], ['y', 's'], { axis: { int: -1 }, epsilon: { float: 1e-5 } }),
      ],
      initializers: [],
      inputs: [
        { name: 'x', dtype: 'float32', shape: [n, d] },
        { name: 'w', dtype: 'float32', shape: [d] },
      ],
      outputs: [
        { name: 'y', dtype: 'float32', shape: null },
        { name: 's', dtype: 'float32', shape: null },
      ],
    };
    const session = await ort.InferenceSession.create(encodeModel(graph), { executionProviders: ['webgpu'] });
    const { s } = await session.run({
      x: new ort.Tensor('float32', x, [n, d]),
      w: new ort.Tensor('float32', weight, [d]),
    });
    const wrong = (s!.data as Float32Array).some((v, i) => Math.abs(v - inverse[i]!) > 1e-4 * inverse[i]!);
    await session.release();
    return wrong;
  }
});
