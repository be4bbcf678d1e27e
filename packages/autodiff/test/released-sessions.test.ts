import { compileGraph, Engine, type ExecutionProvider, float32, input, mul } from '@polymode/autodiff';
import { findWebGpu } from '@polymode/autodiff/testing';
import { describe, expect, it } from 'vitest';

const webGpu = findWebGpu();
Object.assign(process.env, webGpu.env);

describe.each<[ExecutionProvider, boolean]>([
  ['cpu', true],
  ['webgpu', webGpu.available],
])('a session that is released on %s', (provider, available) => {
  // On WebGPU the runtime ends the process when a result is freed after its session.
  it.skipIf(!available)('leaves behind what it made: to be read, used by others, replaced and freed', async () => {
    const engine = new Engine({ provider });
    const shape = [128, 200]; // large enough to stay on a device
    const x = input('x', 'float32', shape);
    const doubled = compileGraph({ y: mul(x, 2) }, engine.profile);
    await engine.set({ made: float32(new Float32Array(128 * 200).fill(1), shape) });
    for (let round = 0; round < 12; round++) {
      const session = await engine.compile(doubled, ['y']);
      await session.run({ x: { variable: 'made' } }, { y: { variable: 'made' } });
      await session.run({ x: { variable: 'made' } }, { y: { variable: `of round ${round}` } });
      await session.release();
    }
    const names = ['made', 'of round 0', 'of round 11'];
    const values = await engine.get(names);
    expect(names.map((name) => values[name]!.data[5])).toEqual([2 ** 12, 4, 2 ** 13]);
    await engine.drop(['of round 3']);
    await engine.close();
  });
});

describe('engines that are closed at the same time', () => {
  // Threads that let go of a device at the same time free memory twice.
  it.skipIf(!webGpu.available)('end one after the other, those that wait too', async () => {
    const engines = (['cpu', 'webgpu', 'cpu', 'webgpu', 'webgpu'] as const).map((provider) => new Engine({ provider }));
    const shape = [128, 200];
    const x = input('x', 'float32', shape);
    for (const engine of engines) {
      const session = await engine.compile(compileGraph({ y: mul(x, 2) }, engine.profile), ['y']);
      await session.run({ x: float32(new Float32Array(128 * 200), shape) }, { y: { variable: 'y' } });
    }
    const ended: number[] = [];
    await Promise.all(engines.map((engine, i) => engine.close().then(() => ended.push(i))));
    expect(ended).toEqual([0, 1, 2, 3, 4]);
    await engines[0]!.close();
    await expect(engines[1]!.get(['y'])).rejects.toThrow('the engine is closed');
  });
});
