import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { merge } from './merge.js';

describe('merge', () => {
  it('yields every item of every source, those of one in their order, with no more open than it may', async () => {
    const lists = fc.array(fc.array(fc.nat(3), { maxLength: 5 }), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(lists, fc.integer({ min: 1, max: 4 }), async (waits, atOnce) => {
        let open = 0;
        let most = 0;
        const source = async function* (list: number[], from: number) {
          most = Math.max(most, ++open);
          for (const [i, turns] of list.entries()) {
            for (let t = 0; t < turns; t++) await turn();
            yield { from, i };
          }
          open--;
        };
        const got: { from: number; i: number }[] = [];
        for await (const item of merge(
          waits.map((list, from) => () => source(list, from)),
          atOnce,
        )) {
          got.push(item);
        }
        for (const [from, list] of waits.entries()) {
          expect(got.filter((item) => item.from === from).map(({ i }) => i)).toEqual([...list.keys()]);
        }
        expect(most).toBeLessThanOrEqual(atOnce);
        expect(open).toBe(0);
      }),
      { numRuns: 50 },
    );
  });

  it('ends all with the first failure, and when its reader leaves', async () => {
    const ended: string[] = [];
    const endless = async function* (name: string) {
      try {
        for (;;) {
          await turn();
          yield name;
        }
      } finally {
        ended.push(name);
      }
    };
    const failing = async function* () {
      yield 'last words';
      await turn();
      throw new Error('broken');
    };
    const read = async () => {
      for await (const _ of merge([() => endless('a'), failing, () => endless('b')], 3)) await turn();
    };
    await expect(read()).rejects.toThrow('broken');
    for (let t = 0; t < 5; t++) await turn();
    expect(ended.sort()).toEqual(['a', 'b']);
    for await (const _ of merge([() => endless('c'), () => endless('d')], 2)) break;
    for (let t = 0; t < 5; t++) await turn();
    expect(ended.sort()).toEqual(['a', 'b', 'c', 'd']);
  });
});
