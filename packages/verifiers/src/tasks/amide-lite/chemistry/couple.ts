import { type Graph, readGraph, writeGraph } from './graph.js';
import { type Rdkit, withMolecule } from './rdkit.js';

const ACID = '[CX3](=O)[OX2H1]';
/** A primary or secondary amine, not an amide. */
const AMINE = '[NX3;H1,H2;!$(NC=O)]';

/** Joins blocks by amide bonds. */
export class Coupling {
  private readonly acid;
  private readonly amine;

  constructor(private readonly rdkit: Rdkit) {
    this.acid = rdkit.module.get_qmol(ACID)!;
    this.amine = rdkit.module.get_qmol(AMINE)!;
  }

  /**
   * The amide of an acid and an amine that each have one place for it.
   *
   * @param acid SMILES
   * @param amine SMILES
   * @returns canonical SMILES
   */
  join(acid: string, amine: string): string {
    const [left, [carbon, , oxygen]] = this.site(acid, this.acid);
    const [right, [nitrogen]] = this.site(amine, this.amine);
    // The acid's hydroxyl gives its place to the nitrogen, which loses a hydrogen.
    const shift = (atom: number): number => left.atoms.length + atom;
    const joined: Graph = {
      atoms: [...left.atoms, ...right.atoms.map((a, i) => (i === nitrogen ? { ...a, hydrogens: a.hydrogens - 1 } : a))],
      bonds: [
        ...left.bonds.filter(({ ends }) => !ends.includes(oxygen!)),
        ...right.bonds.map(({ ends: [a, b], order }) => ({ ends: [shift(a), shift(b)] as const, order })),
        { ends: [carbon!, shift(nitrogen!)], order: 1 },
      ],
    };
    return withMolecule(this.rdkit, writeGraph(without(joined, oxygen!)), (product) => product.get_smiles())!;
  }

  private site(smiles: string, pattern: ReturnType<Rdkit['module']['get_qmol']>): [Graph, number[]] {
    const found = withMolecule(this.rdkit, smiles, (block): [Graph, number[]] => {
      const { atoms } = JSON.parse(block.get_substruct_match(pattern!)) as { atoms: number[] };
      return [readGraph(block), atoms];
    });
    return found!;
  }
}

/** A graph without an atom that has no bonds. */
function without({ atoms, bonds }: Graph, gone: number): Graph {
  const number = (atom: number): number => (atom > gone ? atom - 1 : atom);
  return {
    atoms: atoms.filter((_, i) => i !== gone),
    bonds: bonds.map(({ ends: [a, b], order }) => ({ ends: [number(a), number(b)], order })),
  };
}
