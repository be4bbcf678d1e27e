import type { BlockKind } from './blocks.js';

/** A way to make a molecule: names of an acid, perhaps a linker, and an amine, joined by amide bonds in this order. */
export interface Route {
  readonly acid: string;
  readonly linker: string | null;
  readonly amine: string;
}

/** What chemistry knows of a molecule, whatever the instance. */
export interface Molecule {
  /** canonical, by RDKit */
  readonly smiles: string;
  /** its Bemis-Murcko scaffold as canonical SMILES; empty when it has no ring */
  readonly scaffold: string;
  /** every route from all the blocks, each once; [] for most molecules */
  readonly routes: readonly Route[];
  /** qed7 where there is a route and at most 3 hydrogen bond donors, else 0 */
  readonly reward: number;
}

/** The blocks that may be used, by name. */
export type BlockChoice = Readonly<Record<BlockKind, readonly string[]>>;

/** Whether the molecule can be made of these blocks. */
export function canBeMade({ routes }: Molecule, { acids, linkers, amines }: BlockChoice): boolean {
  return routes.some(
    ({ acid, linker, amine }) =>
      acids.includes(acid) && amines.includes(amine) && (linker === null || linkers.includes(linker)),
  );
}
