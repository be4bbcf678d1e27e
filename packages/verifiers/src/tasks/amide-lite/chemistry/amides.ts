import { BLOCK_KINDS, type BlockKind, blockNames, blockSmiles } from '../blocks.js';
import type { Route } from '../molecule.js';
import { type Graph, induced, reachable, readGraph, writeGraph } from './graph.js';
import { type Mol, type Rdkit, withMolecule } from './rdkit.js';

/** An amide bond outside rings whose acid has a carbon behind it, and whose nitrogen is no imide's. */
const AMIDE = '[#6][CX3](=[OX1])-!@[NX3;!$(N(C=O)C=O)]';

const OXYGEN_OF_ACID = { z: 8, hydrogens: 1, charge: 0, radicals: 0, isotope: 0 } as const;

/**
 * What no product of the blocks has in its canonical SMILES, because no block has it: atoms in brackets (charges, isotopes,
 * stereocentres, numbered atoms) and double bonds with a side.
 */
const NO_PRODUCT = /[[/\\]/;

/** Fragments that are remembered: those of a space are a few hundred, and most answers of a group share theirs. */
const FRAGMENTS_KEPT = 4096;

/** A piece of a molecule. */
interface Fragment {
  /** canonical */
  readonly smiles: string;
  readonly graph: Graph;
  readonly amideBonds: readonly AmideBond[];
}

type AmideBond = readonly [carbon: number, nitrogen: number];

/** Finds how molecules could have been made of the blocks. */
export class RouteSearch {
  private readonly amide;
  private readonly names: Readonly<Record<BlockKind, ReadonlyMap<string, string>>>;
  private readonly mostAmides;
  private readonly fragments = new Map<string, Fragment | null>();

  constructor(private readonly rdkit: Rdkit) {
    this.amide = rdkit.module.get_qmol(AMIDE)!;
    const table = (kind: BlockKind): ReadonlyMap<string, string> =>
      new Map(blockNames(kind).map((name) => [blockSmiles(kind, name), name]));
    this.names = { acids: table('acids'), linkers: table('linkers'), amines: table('amines') };
    const mostIn = (kind: BlockKind): number =>
      Math.max(
        ...[...this.names[kind].keys()].map((smiles) => withMolecule(rdkit, smiles, (m) => this.amideBonds(m).length)!),
      );
    // Two more where a linker joins an acid and an amine.
    this.mostAmides = BLOCK_KINDS.reduce((sum, kind) => sum + mostIn(kind), 2);
  }

  /** Amide bonds that can be broken, as numbers of their atoms. */
  amideBonds(molecule: Mol): AmideBond[] {
    // RDKit says {} where there is no match.
    const matches = JSON.parse(molecule.get_substruct_matches(this.amide)) as { atoms: number[] }[] | object;
    const bonds = new Map<string, AmideBond>();
    for (const { atoms } of Array.isArray(matches) ? matches : []) {
      const [, carbon, , nitrogen] = atoms as [number, number, number, number];
      bonds.set(`${carbon}-${nitrogen}`, [carbon, nitrogen]);
    }
    return [...bonds.values()];
  }

  /** Every route to the molecule: amides are broken until acid, linker and amine are blocks. */
  routesTo(molecule: Mol, smiles: string, graph: Graph): Route[] {
    if (NO_PRODUCT.test(smiles)) return [];
    const amideBonds = this.amideBonds(molecule);
    if (amideBonds.length > this.mostAmides) return [];
    return this.cuts({ smiles, graph, amideBonds }, this.names.amines).flatMap(([amine, acid]) =>
      this.chains(acid, 1).map((chain) => ({ ...chain, amine })),
    );
  }

  /** How an acid is made: it is a block, or an acid that a linker was joined to. */
  private chains(acid: Fragment, linkersLeft: number): Omit<Route, 'amine'>[] {
    const name = this.names.acids.get(acid.smiles);
    const found: Omit<Route, 'amine'>[] = name === undefined ? [] : [{ acid: name, linker: null }];
    if (linkersLeft === 0) return found;
    const longer = this.cuts(acid, this.names.linkers).flatMap(([linker, shorter]) =>
      this.chains(shorter, linkersLeft - 1).map((chain) => ({ ...chain, linker })),
    );
    return [...found, ...longer];
  }

  /** Ways to break one amide so that its amine is one of these blocks: the block's name, and the acid that is left. */
  private cuts({ graph, amideBonds }: Fragment, blocks: ReadonlyMap<string, string>): [string, Fragment][] {
    return amideBonds.flatMap((bond): [string, Fragment][] => {
      const amine = this.read(amineOf(graph, bond));
      const name = blocks.get(amine?.smiles ?? '');
      const acid = name === undefined ? null : this.read(acidOf(graph, bond));
      return name === undefined || acid === null ? [] : [[name, acid]];
    });
  }

  private read(graph: Graph): Fragment | null {
    const source = writeGraph(graph);
    let fragment = this.fragments.get(source);
    if (fragment === undefined) {
      fragment = withMolecule(this.rdkit, source, (molecule) => ({
        smiles: molecule.get_smiles(),
        graph: readGraph(molecule),
        amideBonds: this.amideBonds(molecule),
      }));
      if (this.fragments.size >= FRAGMENTS_KEPT) this.fragments.clear();
      this.fragments.set(source, fragment);
    }
    return fragment;
  }
}

/** The part of an amide that water would make an amine of. */
function amineOf(graph: Graph, bond: AmideBond): Graph {
  return induced(graph, reachable(graph, bond[1], numberOf(graph, bond)));
}

/** The part that water would make an acid of. */
function acidOf(graph: Graph, bond: AmideBond): Graph {
  const [carbon] = bond;
  const kept = reachable(graph, carbon, numberOf(graph, bond));
  const { atoms, bonds } = induced(graph, kept);
  const at = [...kept].filter((atom) => atom < carbon).length;
  return {
    atoms: [...atoms.map((a, i) => (i === at ? { ...a, hydrogens: a.hydrogens - 1 } : a)), OXYGEN_OF_ACID],
    bonds: [...bonds, { ends: [at, atoms.length], order: 1 }],
  };
}

function numberOf({ bonds }: Graph, [carbon, nitrogen]: AmideBond): number {
  return bonds.findIndex(({ ends }) => ends.includes(carbon) && ends.includes(nitrogen));
}
