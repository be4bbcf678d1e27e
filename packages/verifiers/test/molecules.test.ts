import { readFileSync } from 'node:fs';
import { type AmideInstance, compileGrader, gradeAll, sampleOf, summarize, tasks } from '@polymode/verifiers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectRows, readTwice } from './task-rules.js';

const task = tasks['molecules/amide-lite'];
const golden = JSON.parse(readFileSync(new URL('./vectors/amide_space.json', import.meta.url), 'utf8')) as {
  blocks: { acids: Record<string, string>; linkers: Record<string, string>; amines: Record<string, string> };
  scaffolds: string[];
  molecules: [smiles: string, routes: number, qed7: number, hbd: number, scaffold: number][];
};
const { cases } = JSON.parse(readFileSync(new URL('./vectors/molecules.json', import.meta.url), 'utf8')) as {
  cases: { input: string; accepted: boolean; canonical: string; scaffold: string; qed7?: number; hbd: number }[];
};
const grader = compileGrader({ type: 'task', task: 'molecules/amide-lite' });
const everything = task.readInstance({});
const few: AmideInstance = {
  acids: ['benzoic', 'phenylacetic', 'hippuric'],
  linkers: ['glycine', 'alanine'],
  amines: ['aniline', 'glycineanilide'],
  outcome: 'molecule',
};

describe('the verifier proves itself', () => {
  const instances = [
    few,
    { ...few, outcome: 'scaffold' as const },
    { ...few, linkers: [] },
    ...task.instances({ count: 6, seed: 4 }),
    ...task.instances({ count: 6, seed: 5, outcome: 'scaffold' }),
  ];

  it.each(instances.map((i) => [JSON.stringify(i), i] as const))('%s', (_, instance) => {
    const rewards = task.rewards(instance);
    expect([...rewards.keys()]).toEqual(task.admissibleSet(instance));
    expect(task.admissibleSet(instance)).toEqual([...rewards.keys()].sort());
    expect(task.admissibleCount(instance)).toBe(rewards.size);
    expect(rewards.size).toBeGreaterThan(0);
    for (const [key, reward] of rewards) {
      expect(reward).toBeGreaterThan(0);
      const text = task.render(key, instance);
      const found = task.parse(text, instance)!;
      expect(task.key(found)).toBe(key);
      expect(task.verify(found, instance)).toBe(true);
      expect(task.render(found, instance)).toBe(text);
      expect(task.assess(text, instance)).toMatchObject({ key, valid: true, reward, countsForUniqueness: true });
    }
  });

  it('accepts every member of the full space, at both levels', () => {
    const rewards = task.rewards(everything);
    // 1272 molecules, of which five have four hydrogen bond donors.
    expect(rewards.size).toBe(1267);
    for (const [key, reward] of rewards) {
      expect(task.assess(`SMILES: ${key}`, everything)).toEqual({
        ...{ key, valid: true, reward, countsForUniqueness: true },
        answer: key,
      });
    }
    const byScaffold = { ...everything, outcome: 'scaffold' as const };
    const best = new Map<string, number>();
    for (const [key, reward] of rewards) {
      const { key: scaffold } = task.assess(`SMILES: ${key}`, byScaffold);
      best.set(scaffold!, Math.max(reward, best.get(scaffold!) ?? 0));
    }
    expect(task.rewards(byScaffold)).toEqual(best);
    expect(best.size).toBe(684);
  });

  it('with some of the blocks, the admissible set is what all blocks make by a route of those alone', () => {
    const all = task.admissibleSet(everything).map((key) => task.parse(`SMILES: ${key}`, everything)!.molecule);
    fc.assert(
      fc.property(
        fc.record({
          acids: fc.subarray(Object.keys(golden.blocks.acids), { minLength: 1, maxLength: 3 }),
          linkers: fc.subarray(Object.keys(golden.blocks.linkers), { maxLength: 2 }),
          amines: fc.subarray(Object.keys(golden.blocks.amines), { minLength: 1, maxLength: 3 }),
        }),
        (blocks) => {
          const instance: AmideInstance = { ...blocks, outcome: 'molecule' };
          const right = all.filter(({ routes }) =>
            routes.some(
              ({ acid, linker, amine }) =>
                blocks.acids.includes(acid) &&
                blocks.amines.includes(amine) &&
                (linker === null || blocks.linkers.includes(linker)),
            ),
          );
          expect(task.admissibleSet(instance)).toEqual(right.map(({ smiles }) => smiles).sort());
          const accepted = right.filter(({ smiles }) => task.assess(`SMILES: ${smiles}`, instance).valid);
          expect(accepted).toEqual(right);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('rejects mutants of every member', () => {
    for (const key of task.admissibleSet(few)) {
      const read = (smiles: string) => task.assess(`SMILES: ${smiles}`, few);
      // A methyl on each atom in turn, where there is room for it.
      for (const { index: at } of key.matchAll(/[Nc]/g)) {
        const methylated = read(`${key.slice(0, at + 1)}(C)${key.slice(at + 1)}`);
        expect(methylated).toMatchObject({ valid: false, reward: 0 });
      }
      expect(read(`${key}.O`).key).toBeNull();
      expect(read(`${key}.[Na+].[Cl-]`).key).toBeNull();
      expect(read(key.replace(/c1/, '*1')).key).toBeNull();
      expect(read(key.replace('N', '[N]')).key).toBeNull();
      expect(read(key.replace('O', 'S'))).toMatchObject({ valid: false, reward: 0 });
      expect(read(key.replace('c1ccccc1', 'c1ccncc1'))).toMatchObject({ valid: false, reward: 0 });
      expect(task.assess(`SMILES: ${key}`, { ...few, acids: ['thp'] })).toMatchObject({ key, valid: false, reward: 0 });
    }
  });
});

describe('vectors', () => {
  it.each(golden.molecules.map((row) => [row[0], row] as const))('%s', async (smiles, [, , qed7, hbd, scaffold]) => {
    const { reward, outcome } = await grader.grade({ output_text: `SMILES: ${smiles}` }, {});
    expect(outcome).toBe(smiles);
    expect(Math.abs(reward - (hbd <= 3 ? qed7 : 0))).toBeLessThan(5.1e-5);
    const coarse = await grader.grade({ output_text: `SMILES: ${smiles}` }, { outcome: 'scaffold' });
    expect(coarse).toEqual({ reward, outcome: golden.scaffolds[scaffold] });
  });

  it.each(cases.map((c) => [c.input, c] as const))('%s', async (_, c) => {
    const { reward, outcome } = await grader.grade({ output_text: `SMILES: ${c.input}` }, {});
    expect(outcome).toBe(c.accepted ? c.canonical : 'unparseable');
    // Those without qed7 are no products of the blocks, but one.
    const earned = c.input === 'O=C(NCc1ccccc1)C1CC1' ? task.rewards(everything).get(c.canonical)! : (c.qed7 ?? 0);
    expect(Math.abs(reward - earned)).toBeLessThan(5.1e-5);
    const coarse = await grader.grade({ output_text: `SMILES: ${c.input}` }, { outcome: 'scaffold' });
    expect(coarse.outcome).toBe(c.accepted ? c.scaffold : 'unparseable');
  });
});

describe('reading answers', () => {
  const key = (text: string) => task.assess(text, few).key;

  it.each([
    ['the marker', 'SMILES: OCC', 'CCO'],
    ['the marker in lower case', 'smiles:OCC', 'CCO'],
    ['a line among others', 'Let me think.\nSMILES: OCC\nIt is small.', 'CCO'],
    ['the first of several', 'SMILES: OCC\nSMILES: CCN', 'CCO'],
    ['the first that goes on', 'SMILES:\nSMILES: OCC', 'CCO'],
    ['a list and bold', '- **SMILES:** OCC', 'CCO'],
    ['bold without the colon', '**SMILES**: OCC', 'CCO'],
    ['a dummy atom, which no star of bold hides', 'SMILES: *OCC', null],
    ['two of them', 'SMILES:**', null],
    ['backticks', 'SMILES: `OCC`', 'CCO'],
    ['quotes', 'SMILES: "OCC"', 'CCO'],
    ['nothing but the molecule', ' OCC\n', 'CCO'],
    ['nothing but the molecule in backticks', '`OCC`', 'CCO'],
    ['line ends of Windows', 'SMILES: OCC\r\nSo be it.\r\n', 'CCO'],
    ['more on the line', 'SMILES: OCC is ethanol', null],
    ['two on the line', 'SMILES: OCC, CCN', null],
    ['the marker within a line', 'The SMILES: OCC', null],
    ['prose', 'I would take ethanol.', null],
    ['a first line that is wrong', 'SMILES: C(\nSMILES: OCC', null],
    ['a name after it', 'SMILES: OCC ethanol', null],
    ['an extension after it', 'SMILES: C* |$R1$|', null],
    ['a molecule in another format', '{"commonchem":{"version":10}}', null],
    ['letters that look alike', 'SMILES: ОСС', null],
    ['a character of four bytes', 'SMILES: C\u{1F600}', null],
    ['a null character', 'SMILES: C\0C', null],
    ['a molecule of 300 characters', `SMILES: ${'C'.repeat(300)}`, 'C'.repeat(300)],
    ['one of 301', `SMILES: ${'C'.repeat(301)}`, null],
    ['nothing', '', null],
    ['the marker alone', 'SMILES:', null],
  ])('%s', (_, text, expected) => {
    expect(key(text)).toBe(expected);
  });

  it('never throws and agrees with itself on any text', () => {
    const token = fc.oneof(
      fc.constantFrom(
        'SMILES:',
        ' ',
        '\n',
        '`',
        'C',
        'c1ccccc1',
        'C(=O)',
        'N',
        '(',
        ')',
        '[',
        ']',
        '1',
        '%10',
        '.',
        '*',
      ),
      fc.string({ unit: 'binary', maxLength: 5 }),
    );
    fc.assert(
      fc.property(fc.array(token, { maxLength: 12 }), (tokens) => {
        const found = readTwice(task, tokens.join(''), few);
        if (found !== null) expect(found.valid).toBe(task.admissibleSet(few).includes(found.key));
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ['10 MB of one line', 'C'.repeat(10_000_000)],
    ['10 MB of lines', 'SMILES:\n'.repeat(1_250_000)],
    ['10 MB of spaces', ' '.repeat(10_000_000)],
    ['brackets 100,000 deep', `SMILES: ${'C('.repeat(100_000)}`],
    ['brackets as deep as they may be', `SMILES: ${'C('.repeat(99)}C${')'.repeat(99)}`],
    ['5,000 ring closures', `SMILES: ${Array.from({ length: 5000 }, (_, i) => `C%(${i})`).join('')}`],
    ['ring closures, all open', `SMILES: ${Array.from({ length: 70 }, (_, i) => `C%${i + 10}`).join('')}`],
    ['a knot of metals', `SMILES: ${knot(8)}`],
    ['markers and spaces', `${'*'.repeat(50_000)}SMILES${' '.repeat(40_000)}:`],
    ['big numbers', 'SMILES: [9999999999C+99999999999H99999999:99999999999]'],
    ['half a pair', 'SMILES: C\ud800'],
  ])('%s is graded, and the next answer as ever', async (_, text) => {
    const answers = [text, 'SMILES: O=C(Nc1ccccc1)c1ccccc1'].map((t) => ({ sample: sampleOf(t), item: few }));
    const [hostile, next] = await gradeAll(answers, { grader });
    expect(hostile).toMatchObject({ ok: true, grade: { reward: 0 } });
    expect(next).toMatchObject({ ok: true, grade: { outcome: 'O=C(Nc1ccccc1)c1ccccc1' } });
  });

  it.each(['CCO', 'x', 'c1ccccc1C(=O)Nc1ccccc1'])('%j is no key', (bad) => {
    expect(() => task.render(bad, few)).toThrow(RangeError);
  });
});

/** n atoms, each bound to each other. */
function knot(n: number): string {
  const closures: string[][] = Array.from({ length: n }, () => []);
  let next = 10;
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++, next++) for (const atom of [i, j]) closures[atom]!.push(`%${next}`);
  }
  return closures.map((list) => `[Fe]${list.join('')}`).join('.');
}

describe('metrics', () => {
  it('counts hits, scaffolds and the distance to the target among right answers', () => {
    const instance: AmideInstance = { ...everything, outcome: 'scaffold' };
    const texts = [
      // 0.8796 and 0.9117 of one scaffold, the first one twice.
      ...['O=C(CNC(=O)c1ccccc1)Nc1ccccc1', 'c1ccccc1NC(=O)CNC(=O)c1ccccc1', 'CC(NC(=O)c1ccccc1)C(=O)Nc1ccccc1'],
      // Right, but below 0.85, without a ring and with one.
      ...['COCCNC(=O)C(C)(C)C', 'O=C(NC1CC1)c1ccccc1'],
      // Of the first scaffold, but not made of the blocks; and no molecule.
      ...['O=C(CNC(=O)c1ccccc1C)Nc1ccccc1', 'CC('],
    ];
    const answers = texts.map((text) => task.assess(text, instance));
    const [first, , third, fourth, fifth] = answers.map(({ reward }) => reward);
    expect(third).toBeCloseTo(0.9117, 4);
    expect(first).toBeGreaterThanOrEqual(0.85);
    expect(Math.max(fourth!, fifth!)).toBeLessThan(0.85);
    expect(task.ownMetrics!(answers, instance)).toEqual({ yield: 2, distinct_molecules: 4, distinct_scaffolds: 3 });

    const rewards = task.rewards(instance);
    const total = [...rewards.values()].reduce((a, b) => a + b, 0);
    const shares = new Map([
      ['O=C(CNC(=O)c1ccccc1)Nc1ccccc1', 3 / 7],
      ['', 1 / 7],
      ['O=C(NC1CC1)c1ccccc1', 1 / 7],
    ]);
    let distance = 2 / 7;
    for (const [key, reward] of rewards) distance += Math.abs((shares.get(key) ?? 0) - reward / total);
    const summary = summarize(answers, rewards);
    expect(summary.l1_to_target).toBeCloseTo(distance, 12);
    expect(summary).toMatchObject({ parse_rate: 6 / 7, validity: 5 / 7, recovery: 3 / 684, top_outcome_share: 4 / 7 });
  });

  it('are 0 for answers that are all wrong', () => {
    const answers = ['CCO', 'CC('].map((text) => task.assess(text, few));
    expect(task.ownMetrics!(answers, few)).toEqual({ yield: 0, distinct_molecules: 0, distinct_scaffolds: 0 });
  });
});

describe('rows', () => {
  it('are a user message and the fields of the instance', () => {
    expectRows(task);
  });

  it('without fields mean all blocks, and molecules', () => {
    expect(everything).toMatchObject({ outcome: 'molecule' });
    expect([everything.acids, everything.linkers, everything.amines].map(({ length }) => length)).toEqual([12, 8, 12]);
    expect(task.readInstance({ linkers: null })).toEqual(everything);
  });

  it('are every choice of blocks once', () => {
    const all = task.instances({ acids: 2, linkers: 1, amines: 11 });
    expect(new Set(all.map((i) => JSON.stringify(i))).size).toBe(66 * 8 * 12);
    expect(all).toHaveLength(66 * 8 * 12);
    expect(all[0]).toMatchObject({ acids: ['benzoic', 'nicotinic'], linkers: ['glycine'] });
    const drawn = task.instances({ acids: 2, linkers: 1, amines: 11, count: all.length, seed: 3 });
    const sorted = (list: AmideInstance[]) => list.map((i) => JSON.stringify(i)).sort();
    expect(sorted(drawn)).toEqual(sorted(all));
    expect(task.instances({ acids: 12, linkers: 8, amines: 12 })).toEqual([everything]);
    expect(() => task.instances()).toThrow('Set count');
  });

  it('have prompts that say what varies', () => {
    const instance: AmideInstance = {
      acids: ['thp'],
      linkers: ['glycine'],
      amines: ['aniline', 'tbutylamine'],
      outcome: 'molecule',
    };
    expect(task.prompt(instance, 'compact')).toBe(
      'Acids: O=C(O)C1CCOCC1\nLinkers: NCC(=O)O\nAmines: Nc1ccccc1 CC(C)(C)N\n',
    );
    expect(task.prompt({ ...instance, linkers: [], outcome: 'scaffold' }, 'compact')).toBe(
      'Outcome: scaffold\nAcids: O=C(O)C1CCOCC1\nAmines: Nc1ccccc1 CC(C)(C)N\n',
    );
    const full = task.prompt(instance, 'full');
    for (const part of ['O=C(O)C1CCOCC1', 'NCC(=O)O', 'CC(C)(C)N', 'linker', 'Task:', 'SMILES: '])
      expect(full).toContain(part);
    expect(task.prompt({ ...instance, linkers: [] }, 'full')).not.toContain('inker');
    expect(task.prompt({ ...instance, outcome: 'scaffold' }, 'full')).toContain('scaffold');
  });

  it.each([
    [{ acids: [] }, 'item.acids'],
    [{ acids: ['acetic'] }, 'item.acids'],
    [{ acids: ['benzoic', 'benzoic'] }, 'item.acids'],
    [{ acids: 'benzoic' }, 'item.acids'],
    [{ acids: ['toString'] }, 'item.acids'],
    [{ linkers: ['aniline'] }, 'item.linkers'],
    [{ amines: [7] }, 'item.amines'],
    [{ outcome: 'fingerprint' }, 'item.outcome'],
  ])('%j is no instance', (fields, path) => {
    const item = { ...few, ...fields };
    expect(task.checkItem(item).map((problem) => problem.path)).toEqual([path]);
    expect(() => task.readInstance(item)).toThrow(path);
    expect(grader.checkItem(item)).toHaveLength(1);
  });

  it.each([{ acids: 0 }, { acids: 13 }, { linkers: 9 }, { linkers: -1 }, { amines: 1.5 }, { count: 0 }])(
    '%j is refused',
    (options) => {
      expect(() => task.instances({ count: 1, ...options })).toThrow(RangeError);
    },
  );
});
