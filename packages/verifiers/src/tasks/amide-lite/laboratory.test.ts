import { describe, expect, it } from 'vitest';
import { ChemistryError, Laboratory } from './laboratory.js';

/** The thread runs what was built. */
const thread = new URL('../../../dist/tasks/amide-lite/chemistry/thread.js', import.meta.url);
const benzanilide = 'O=C(Nc1ccccc1)c1ccccc1';
/** Overflows RDKit's stack. */
const crashing = `${'C('.repeat(1000)}C${')'.repeat(1000)}`;
/** RDKit's parser takes seconds for it. */
const slow = 'C('.repeat(200_000);

describe('the chemistry thread', () => {
  it('starts with the first question, and is replaced after a crash, which poisons nothing', async () => {
    const laboratory = new Laboratory(thread);
    expect(laboratory.figures.threads).toBe(0);
    const before = await laboratory.examine(benzanilide);
    expect(before?.routes).toEqual([{ acid: 'benzoic', linker: null, amine: 'aniline' }]);
    expect(laboratory.figures.threads).toBe(1);
    // Asked at the same time: one that crashes, asked twice in case the thread was to blame, between others.
    const others = ['CCO', 'CCN', 'CCF'];
    const [first, crashed, ...rest] = await Promise.all(['C', crashing, ...others].map((s) => laboratory.examine(s)));
    expect(first?.smiles).toBe('C');
    expect(crashed).toBeNull();
    expect(rest.map((found) => found?.smiles)).toEqual(others);
    expect(laboratory.figures.threads).toBe(3);
    // The answer is remembered.
    expect(await laboratory.examine(crashing)).toBeNull();
    expect(laboratory.examineNow(crashing)).toBeNull();
    expect(laboratory.figures.threads).toBe(3);
    const [again] = laboratory.spaceNow({ acids: ['benzoic'], linkers: [], amines: ['aniline'] });
    expect(again).toEqual(before);
  });

  it('answers at once too, in between and after a crash', async () => {
    const laboratory = new Laboratory(thread);
    const earlier = ['CO', 'CF'].map((smiles) => laboratory.examine(smiles));
    expect(laboratory.examineNow(crashing)).toBeNull();
    expect(laboratory.examineNow(benzanilide)?.reward).toBeGreaterThan(0.5);
    expect((await Promise.all(earlier)).map((found) => found?.smiles)).toEqual(['CO', 'CF']);
    expect(laboratory.figures.threads).toBe(3);
  });

  it('is ended when an answer takes too long: an error, which is not remembered, and the next is right', async () => {
    const laboratory = new Laboratory(thread, 2000);
    await expect(laboratory.examine(slow)).rejects.toThrow(ChemistryError);
    expect(() => laboratory.examineNow(slow)).toThrow('in time');
    expect((await laboratory.examine('C'))?.smiles).toBe('C');
    expect(laboratory.figures.threads).toBe(3);
  });

  it('says what is wrong when RDKit cannot be loaded, and tries again the next time', async () => {
    const laboratory = new Laboratory(new URL('nowhere.js', thread));
    await expect(laboratory.examine('C')).rejects.toThrow('nowhere.js');
    await expect(laboratory.examine('C')).rejects.toThrow(ChemistryError);
    expect(laboratory.figures.threads).toBe(2);
  });
});
