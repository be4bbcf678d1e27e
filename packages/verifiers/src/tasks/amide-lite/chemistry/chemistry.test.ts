import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { BLOCK_KINDS, BLOCKS, blockNames } from '../blocks.js';
import type { Molecule } from '../molecule.js';
import { RouteSearch } from './amides.js';
import { Chemistry, propertiesOf } from './examine.js';
import { readGraph, writeGraph } from './graph.js';
import { qed7 } from './qed7.js';
import { loadRdkit, type Rdkit, withMolecule } from './rdkit.js';
import { scaffoldOf } from './scaffold.js';

interface Case {
  input: string;
  parses: boolean;
  accepted: boolean;
  canonical: string;
  mw: number;
  clogp: number;
  tpsa: number;
  hbd: number;
  hba: number;
  rotb: number;
  aromatic_rings: number;
  acyclic_amide_matches: number;
  scaffold: string;
  qed7?: number;
}
interface Space {
  blocks: typeof BLOCKS;
  max_linkers: number;
  scaffolds: string[];
  molecules: [smiles: string, routes: number, qed7: number, hbd: number, scaffold: number][];
}
const vectors = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../../../test/vectors/${name}.json`, import.meta.url), 'utf8'));
const { cases } = vectors('molecules') as { cases: Case[] };
const golden = vectors('amide_space') as Space;

const allBlocks = { acids: blockNames('acids'), linkers: blockNames('linkers'), amines: blockNames('amines') };

let rdkit: Rdkit;
let chemistry: Chemistry;
/** remembers nothing of the space that the other has made */
let reader: Chemistry;
let search: RouteSearch;
beforeAll(async () => {
  rdkit = await loadRdkit();
  chemistry = new Chemistry(rdkit);
  reader = new Chemistry(rdkit);
  search = new RouteSearch(rdkit);
});

describe('molecules', () => {
  it.each(cases.map((c) => [c.input, c] as const))('%s', (_, c) => {
    const found = chemistry.examine(c.input);
    expect(found !== null).toBe(c.accepted);
    if (found !== null) expect(found).toMatchObject({ smiles: c.canonical, scaffold: c.scaffold });
    const described = withMolecule(rdkit, c.input, (molecule) => {
      const properties = propertiesOf(molecule);
      expect(molecule.get_smiles()).toBe(c.canonical);
      expect(scaffoldOf(rdkit, readGraph(molecule))).toBe(c.scaffold);
      expect(search.amideBonds(molecule)).toHaveLength(c.acyclic_amide_matches);
      // The vectors are rounded to 3, 4 and 2 digits.
      expect(properties.mw).toBeCloseTo(c.mw, 2);
      expect(properties.logp).toBeCloseTo(c.clogp, 3);
      expect(properties.psa).toBeCloseTo(c.tpsa, 1);
      expect(properties).toMatchObject({ hbd: c.hbd, hba: c.hba, rotb: c.rotb, arom: c.aromatic_rings });
      if (c.qed7 !== undefined) expect(Math.abs(qed7(properties) - c.qed7)).toBeLessThan(5.1e-5);
      return true;
    });
    expect(described !== null).toBe(c.parses);
  });

  it.each([
    ['nothing', ''],
    ['white space', ' \n'],
    ['two fragments', 'CC(=O)NC.O'],
    ['a salt', '[Na+].CC(=O)[O-]'],
    ['a radical', '[CH2]C(=O)NC'],
    ['a carbene', 'C[C]C'],
    ['a dummy atom', '*C(=O)NC'],
    ['a dummy with a number', '[1*]C(=O)NC'],
    ['atom number 0', '[#0]C'],
    ['five bonds at a carbon', 'C(C)(C)(C)(C)C'],
    ['an aromatic ring that cannot be', 'c1cccc1'],
    ['a branch left open', 'CC('],
  ])('%s is not accepted', (_, smiles) => {
    expect(chemistry.examine(smiles)).toBeNull();
  });

  it.each([
    ['substituents go', 'Cc1ccc(CC)cc1', 'c1ccccc1'],
    ['a nitrogen in an aromatic ring gets its hydrogen', 'Cn1cccc1', 'c1cc[nH]c1'],
    ['exocyclic double bonds stay, what hangs on them goes', 'CC=C1CCCC1', 'C=C1CCCC1'],
    ['so do both of a sulfone between rings', 'O=S(=O)(c1ccccc1)C1CC1', 'O=S(=O)(c1ccccc1)C1CC1'],
    ['triple bonds go', 'N#Cc1ccccc1', 'c1ccccc1'],
    ['a carbonyl outside of rings goes', 'CC(=O)c1ccccc1', 'c1ccccc1'],
    ['charges stay', 'C[n+]1ccccc1', 'c1cc[nH+]cc1'],
    ['no ring', 'CC(=O)NC', ''],
  ])('scaffold: %s', (_, smiles, scaffold) => {
    expect(chemistry.examine(smiles)?.scaffold).toBe(scaffold);
  });

  it('of two ways to write one, the answer is the same', () => {
    const twice = ['O=C(NC1CC1)c1ccccc1', 'c1ccccc1C(NC2CC2)=O', 'C1=CC=CC=C1C(=O)N([H])C1CC1'];
    // None of them remembers what another has found.
    const [first, ...others] = twice.map((smiles) => new Chemistry(rdkit).examine(smiles));
    expect(first?.routes).toEqual([{ acid: 'benzoic', linker: null, amine: 'cyclopropylamine' }]);
    for (const other of others) expect(other).toEqual(first);
  });

  it('a graph comes back from RDKit as it was written', () => {
    for (const [smiles] of golden.molecules) {
      const back = withMolecule(rdkit, smiles, (m) =>
        withMolecule(rdkit, writeGraph(readGraph(m)), (n) => n.get_smiles()),
      );
      expect(back).toBe(smiles);
    }
  });
});

describe('the space', () => {
  let space: Map<string, Molecule>;
  beforeAll(() => {
    space = new Map(chemistry.space(allBlocks).map((molecule) => [molecule.smiles, molecule]));
  });

  it('has the blocks of the vectors', () => {
    expect(BLOCKS).toEqual(golden.blocks);
  });

  it('has 1272 molecules, 1296 routes and 688 scaffolds; 22 molecules have more routes than one', () => {
    const all = [...space.values()];
    expect(space.size).toBe(1272);
    expect(all.reduce((sum, { routes }) => sum + routes.length, 0)).toBe(1296);
    expect(new Set(all.map(({ scaffold }) => scaffold))).toEqual(new Set(golden.scaffolds));
    expect(golden.scaffolds).toHaveLength(688);
    expect(all.filter(({ routes }) => routes.length > 1)).toHaveLength(22);
  });

  it.each(golden.molecules.map((row) => [row[0], row] as const))('%s', (smiles, [, routes, wanted, hbd, scaffold]) => {
    const found = space.get(smiles);
    expect(found).toEqual(reader.examine(smiles));
    expect(found?.routes).toHaveLength(routes);
    expect(found?.scaffold).toBe(golden.scaffolds[scaffold]);
    const properties = withMolecule(rdkit, smiles, propertiesOf)!;
    expect(properties.hbd).toBe(hbd);
    expect(Math.abs(qed7(properties) - wanted)).toBeLessThan(5.1e-5);
    expect(found?.reward).toBe(hbd <= 3 ? qed7(properties) : 0);
  });

  // The space was made by editing graphs and read by breaking amides; RDKit's reactions are a third way.
  it('is what RDKit makes of the blocks by an amide coupling as reaction, each molecule by its routes', () => {
    const reaction = rdkit.module.get_rxn('[CX3:1](=[O:2])[OX2H1].[NX3;H1,H2;!$(NC=O):3]>>[C:1](=[O:2])[N:3]')!;
    const couple = (acid: string, amine: string): string => {
      const reactants = new rdkit.module.MolList();
      for (const smiles of [acid, amine]) withMolecule(rdkit, smiles, (block) => reactants.append(block));
      const sets = reaction.run_reactants(reactants, 100);
      const found = new Set<string>();
      for (let i = 0; i < sets.size(); i++) {
        const set = sets.get(i)!;
        const product = set.at(0)!;
        found.add(withMolecule(rdkit, product.get_smiles(), (sanitized) => sanitized.get_smiles())!);
        product.delete();
        set.delete();
      }
      sets.delete();
      reactants.delete();
      expect(found.size).toBe(1);
      return [...found][0]!;
    };
    const ways = new Map<string, string[]>();
    for (const [acid, a] of Object.entries(BLOCKS.acids)) {
      for (const [linker, l] of [['', ''], ...Object.entries(BLOCKS.linkers)] as [string, string][]) {
        const chain = linker === '' ? a : couple(a, l);
        for (const [amine, b] of Object.entries(BLOCKS.amines)) {
          const product = couple(chain, b);
          ways.set(product, [...(ways.get(product) ?? []), `${acid} ${linker} ${amine}`].sort());
        }
      }
    }
    reaction.delete();
    const found = [...space].map(([smiles, { routes }]): [string, string[]] => [
      smiles,
      routes.map(({ acid, linker, amine }) => `${acid} ${linker ?? ''} ${amine}`).sort(),
    ]);
    expect(new Map(found)).toEqual(ways);
  });

  it.each([
    ['a block', 'NCC(=O)Nc1ccccc1'],
    ['an acid with a linker alone', 'O=C(O)CCNC(=O)c1ccccc1'],
    ['two linkers', 'O=C(CCNC(=O)CCNC(=O)c1ccccc1)Nc1ccccc1'],
    ['a methyl too many', 'CN(C(=O)c1ccccc1)c1ccccc1'],
    ['a methyl at the ring', 'Cc1ccc(C(=O)Nc2ccccc2)cc1'],
    ['an acid that is no block', 'CC(=O)Nc1ccccc1'],
    ['an amine that is no block', 'O=C(NC)c1ccccc1'],
    ['a thioamide', 'S=C(Nc1ccccc1)c1ccccc1'],
    ['an ester', 'O=C(Oc1ccccc1)c1ccccc1'],
    ['an isotope', 'O=C(Nc1ccccc1)c1cccc[13cH]1'],
    ['a charge', 'O=C(Nc1ccccc1)c1ccc[nH+]c1'],
    ['a stereocentre', 'C[C@H](NC(=O)c1ccccc1)C(=O)Nc1ccccc1'],
    ['a numbered atom', 'O=C(Nc1ccccc1)c1cccc[cH:1]1'],
  ])('%s has no route', (_, smiles) => {
    expect(chemistry.examine(smiles)).toMatchObject({ routes: [], reward: 0 });
  });

  it('more than three hydrogen bond donors earn nothing', () => {
    const dropped = [...space.values()].filter(({ reward }) => reward === 0);
    expect(dropped.length).toBeGreaterThan(0);
    for (const { smiles } of dropped) expect(withMolecule(rdkit, smiles, propertiesOf)?.hbd).toBeGreaterThan(3);
  });

  it('each amine is a block of exactly one kind', () => {
    const all = BLOCK_KINDS.flatMap((kind) => Object.values(BLOCKS[kind]) as string[]);
    expect(new Set(all).size).toBe(32);
    for (const smiles of all) expect(withMolecule(rdkit, smiles, (m) => m.get_smiles())).toBe(smiles);
  });
});

describe('memory', () => {
  const texts = [
    ...['CC(', 'c1cccc1', 'C1CC', 'Xx', 'C(C)(C)(C)(C)C', 'CC.O', 'C[C]C', '*C', '[Na+].[Cl-]', '[2H]C([2H])O'],
    ...['CCO', 'O=C=O', 'C1CC1', 'CC(=O)O', 'CN', 'F/C=C/F', 'C[C@H](N)O', 'c1ccccc1', 'CC(=O)NC'],
    golden.molecules[0]![0],
  ];
  const examine = (i: number): void => {
    chemistry.examine(texts[i % texts.length]!);
    // Products are remembered, so what is done for new ones is done here.
    const [product] = golden.molecules[i % golden.molecules.length]!;
    if (i % 20 === 0) withMolecule(rdkit, product, (m) => [propertiesOf(m), search.routesTo(m, product, readGraph(m))]);
  };
  let before: number;
  beforeAll(() => {
    for (let i = 0; i < 2000; i++) examine(i);
    before = rdkit.memoryBytes();
    expect(before).toBeGreaterThan(0);
  });

  // A molecule that is not freed keeps some kilobytes.
  it.each([5, 10, 15, 20])('stays as it is over %i thousand molecules and texts that are none', () => {
    for (let i = 0; i < 5000; i++) examine(i);
    expect(rdkit.memoryBytes()).toBe(before);
  });
});

it('whatever is read comes back as it was read', () => {
  const token = fc.constantFrom(...'CNOcnoFS()[]=#1234@+-/\\.*%:'.split(''), 'c1ccccc1', 'C(=O)N', '[nH]', 'C1CC1');
  fc.assert(
    fc.property(fc.array(token, { maxLength: 40 }), (tokens) => {
      const found = chemistry.examine(tokens.join(''));
      if (found !== null) expect(chemistry.examine(found.smiles)).toEqual(found);
    }),
    { numRuns: 2000 },
  );
});
