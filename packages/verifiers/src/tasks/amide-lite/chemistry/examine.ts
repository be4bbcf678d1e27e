import { blockSmiles } from '../blocks.js';
import type { BlockChoice, Molecule, Route } from '../molecule.js';
import { RouteSearch } from './amides.js';
import { Coupling } from './couple.js';
import { type Graph, reachable, readGraph } from './graph.js';
import { type Properties, qed7 } from './qed7.js';
import { type Mol, type Rdkit, withMolecule } from './rdkit.js';
import { scaffoldOf } from './scaffold.js';

/** More hydrogen bond donors than this earn nothing. */
const MOST_DONORS = 3;

/** What can be asked about molecules. */
export class Chemistry {
  private readonly search;
  private readonly coupling;
  /** SMILES of the amides made so far, by acid and amine */
  private readonly amides = new Map<string, string>();
  /** products of the blocks seen so far, by SMILES: at most as many as there are routes */
  private readonly products = new Map<string, Molecule>();

  constructor(private readonly rdkit: Rdkit) {
    this.search = new RouteSearch(rdkit);
    this.coupling = new Coupling(rdkit);
  }

  /** @returns null for what is no molecule, or not one that is accepted: whole, without radicals and dummies */
  examine(smiles: string): Molecule | null {
    // RDKit reads nothing as a molecule without atoms, which it then cannot describe.
    if (smiles.trim() === '') return null;
    return withMolecule(this.rdkit, smiles, (molecule) => {
      const graph = readGraph(molecule);
      if (!isAccepted(graph)) return null;
      const canonical = molecule.get_smiles();
      const known = this.products.get(canonical);
      if (known !== undefined) return known;
      const scaffold = scaffoldOf(this.rdkit, graph);
      if (scaffold === null) return null;
      const routes = this.search.routesTo(molecule, canonical, graph);
      const found = { smiles: canonical, scaffold, routes, reward: this.rewardOf(canonical, routes) };
      if (routes.length > 0) this.products.set(canonical, found);
      return found;
    });
  }

  /** Every molecule that these blocks can make, once, whatever it earns. */
  space({ acids, linkers, amines }: BlockChoice): Molecule[] {
    const found = new Map<string, Molecule>();
    for (const acid of acids.map((name) => blockSmiles('acids', name))) {
      const chains = [acid, ...linkers.map((name) => this.amide(acid, blockSmiles('linkers', name)))];
      for (const chain of chains) {
        for (const name of amines) {
          const smiles = this.amide(chain, blockSmiles('amines', name));
          const product = this.products.get(smiles) ?? this.examine(smiles);
          if (product === null) throw new Error(`${smiles} is a product of the blocks, yet no molecule.`);
          found.set(smiles, product);
        }
      }
    }
    return [...found.values()];
  }

  private rewardOf(canonical: string, routes: readonly Route[]): number {
    // Describing a molecule takes as long as all the rest.
    if (routes.length === 0) return 0;
    // Sums over atoms differ in their last bits with the order of the atoms, so it is always the canonical one.
    const properties = withMolecule(this.rdkit, canonical, propertiesOf)!;
    return properties.hbd > MOST_DONORS ? 0 : qed7(properties);
  }

  private amide(acid: string, amine: string): string {
    const id = `${acid} ${amine}`;
    const smiles = this.amides.get(id) ?? this.coupling.join(acid, amine);
    this.amides.set(id, smiles);
    return smiles;
  }
}

/** One fragment of real atoms, with every electron paired. */
export function isAccepted(graph: Graph): boolean {
  const { atoms } = graph;
  return (
    atoms.length > 0 &&
    atoms.every(({ z, radicals }) => z > 0 && radicals === 0) &&
    reachable(graph, 0).size === atoms.length
  );
}

export function propertiesOf(molecule: Mol): Properties {
  const found = JSON.parse(molecule.get_descriptors()) as Record<string, number>;
  return {
    mw: found.amw!,
    logp: found.CrippenClogP!,
    hba: found.NumHBA!,
    hbd: found.NumHBD!,
    psa: found.tpsa!,
    rotb: found.NumRotatableBonds!,
    arom: found.NumAromaticRings!,
  };
}
