import {
  add,
  compileGraph,
  Engine,
  float32,
  frozen,
  input,
  int32,
  linear,
  matmul,
  mul,
  sub,
  sum,
} from '@polymode/autodiff';
import { afterAll, describe, expect, it } from 'vitest';

const engine = new Engine();
afterAll(() => engine.close());

const values = async (name: string): Promise<number[]> => [...((await engine.get([name]))[name]!.data as Float32Array)];

describe('allocated variables', () => {
  const w = input('w', 'float32', [2, 2]);
  const acc = input('acc', 'float32', [2, 2]);

  it('begin at zero, take values over and keep their shape', async () => {
    await engine.allocate([
      { name: 'a', shape: [2, 2] },
      { name: 'b', shape: [3] },
    ]);
    expect(await values('a')).toEqual([0, 0, 0, 0]);
    await engine.set({ b: float32([1, 2, 3], [3]), a: float32([4, 5, 6, 7], [2, 2]) });
    await engine.set({ other: float32([9, 9, 9], [3]) });
    await engine.copy('other', 'b');
    expect(await values('a')).toEqual([4, 5, 6, 7]);
    expect(await values('b')).toEqual([9, 9, 9]);
    await expect(engine.set({ b: float32([1, 2], [2]) })).rejects.toThrow(
      'the variable "b" was allocated as float32 [3]; it cannot hold float32 [2]',
    );
    await expect(engine.set({ b: int32([1, 2, 3], [3]) })).rejects.toThrow('int32');
    expect(await values('b')).toEqual([9, 9, 9]);
  });

  it('are written in place by a run that keeps an output in them', async () => {
    await engine.allocate([{ name: 'g', shape: [2, 2] }]);
    const session = await engine.compile(compileGraph({ g: mul(w, 3) }, 'fused'), ['g']);
    const before = (await engine.memory()).variables;
    await session.run({ w: float32([1, 2, 3, 4], [2, 2]) }, { g: { variable: 'g' } });
    expect(await values('g')).toEqual([3, 6, 9, 12]);
    expect((await engine.memory()).variables).toBe(before);
    const wide = await engine.compile(compileGraph({ g: mul(input('x', 'float32', ['N']), 2) }, 'fused'));
    await expect(wide.run({ x: float32([1, 2, 3], [3]) }, { g: { variable: 'g' } })).rejects.toThrow();
  });

  it('may be fed to the run that writes them: what is safe is done in place, the rest beside it', async () => {
    const x = float32([1, 2, 3, 4], [2, 2]);
    const cases = {
      // acc is read by the addition alone
      accumulate: { graph: add(acc, linear(w, w)), inPlace: ['acc'], expected: [5 + 1, 11 + 1, 11 + 1, 25 + 1] },
      // acc's elements are read after the first results are known
      product: { graph: matmul(acc, w), inPlace: [], expected: [4, 6, 4, 6] },
      'read twice': { graph: sub(mul(acc, 2), add(sum(acc), w)), inPlace: [], expected: [-3, -4, -5, -6] },
    };
    for (const [name, { graph, inPlace, expected }] of Object.entries(cases)) {
      const compiled = compileGraph({ out: graph }, 'fused');
      expect(compiled.overwritable, name).toEqual({ out: inPlace });
      const session = await engine.compile(compiled, ['out']);
      await engine.allocate([{ name: 'sum', shape: [2, 2] }]);
      await engine.set({ sum: float32([1, 1, 1, 1], [2, 2]) });
      await session.run({ w: x, acc: { variable: 'sum' } }, { out: { variable: 'sum' } });
      expect(await values('sum'), name).toEqual(expected);
    }
  });

  it('accumulate large products in place with the bits they have beside it', async () => {
    const [n, m, k] = [150, 170, 90];
    const [a, b] = [input('a', 'float32', [k, n]), input('b', 'float32', [k, m])];
    const session = await engine.compile(
      compileGraph({ g: add(input('acc', 'float32', [n, m]), matmul(a, b, { transposeA: true })) }, 'fused'),
      ['g'],
    );
    const wave = (shape: number[], f: number) =>
      float32(
        Float32Array.from({ length: shape[0]! * shape[1]! }, (_, i) => Math.sin(i * f)),
        shape,
      );
    const feeds = { a: wave([k, n], 0.7), b: wave([k, m], 1.3) };
    await engine.allocate([{ name: 'here', shape: [n, m] }]);
    await engine.set({ beside: float32(new Float32Array(n * m), [n, m]) });
    for (let i = 0; i < 3; i++) {
      for (const name of ['here', 'beside']) {
        await session.run({ ...feeds, acc: { variable: name } }, { g: { variable: name } });
      }
    }
    const { here, beside } = await engine.get(['here', 'beside']);
    expect(here!.data).toEqual(beside!.data);
  });

  it('are refused twice, and gone when dropped', async () => {
    const twice = engine.allocate([
      { name: 'c', shape: [1] },
      { name: 'c', shape: [2] },
    ]);
    await expect(twice).rejects.toThrow('two variables are named "c"');
    await engine.allocate([{ name: 'c', shape: [1] }]);
    await engine.drop(['c']);
    await engine.set({ c: float32([1, 2], [2]) });
    expect(await values('c')).toEqual([1, 2]);
  });
});

describe('an engine’s memory', () => {
  it('counts the variables, and sees the process grow', async () => {
    const own = new Engine();
    await own.memory(true);
    const start = await own.memory();
    expect([start.variables, start.variableCount, start.sessionCount]).toEqual([0, 0, 0]);
    const n = 16e6;
    await own.move({ big: float32(new Float32Array(n).fill(1), [n]) });
    await own.set({ small: int32([1, 2, 3], [3]) });
    const full = await own.memory();
    expect([full.variables, full.variableCount]).toEqual([4 * n + 12, 2]);
    expect(full.resident - start.resident).toBeGreaterThan(3.8 * n);
    expect(full.peakResident).toBeGreaterThanOrEqual(start.peakResident + 3.8 * n);
    await own.drop(['big', 'small']);
    expect((await own.memory()).variables).toBe(0);
    await own.close();
  });

  it('does not keep what runs leave behind: variables stay as many, and large results go at once', async () => {
    const own = new Engine();
    const n = 1_000_000;
    const v = input('v', 'float32', [n]);
    const graph = { v: mul(v, frozen('f', 'float32', [n])), s: sum(v) };
    await own.set({ f: float32(new Float32Array(n).fill(0.99), [n]), v: float32(new Float32Array(n).fill(1), [n]) });
    const sessions = await Promise.all([0, 1].map(() => own.compile(compileGraph(graph, 'fused'), ['v'], { f: 'f' })));
    const run = async (times: number): Promise<void> => {
      for (let i = 0; i < times; i++) {
        await sessions[i % 2]!.run({ v: { variable: 'v' } }, { v: { variable: 'v' }, s: 'return' });
      }
    };
    await run(40);
    const before = await own.memory();
    await run(200);
    const after = await own.memory();
    expect({ ...after, resident: 0, peakResident: 0 }).toEqual({ ...before, resident: 0, peakResident: 0 });
    // 200 results of 4 MB are 800 MB; 64 MB of garbage may lie about at either time.
    expect(after.resident - before.resident).toBeLessThan(150e6);
    await own.close();
  });
});
