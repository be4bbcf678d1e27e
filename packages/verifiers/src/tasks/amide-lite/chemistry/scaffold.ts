import { bondsOfAtoms, type Graph, induced, type RingedGraph, writeGraph } from './graph.js';
import { type Rdkit, withMolecule } from './rdkit.js';

/**
 * The Bemis-Murcko scaffold: rings, what lies between them, and atoms that a double bond ties to either. Without
 * stereochemistry.
 *
 * Source: Bemis and Murcko, J. Med. Chem. 39 (1996) 2887; exocyclic double bonds are kept, as RDKit does.
 *
 * @returns canonical SMILES, empty when there is no ring; null when what is left is no molecule
 */
export function scaffoldOf(rdkit: Rdkit, graph: RingedGraph): string | null {
  const kept = scaffoldAtoms(graph, graph.inRing);
  if (kept.size === 0) return '';
  return withMolecule(rdkit, writeGraph(induced(graph, kept)), (scaffold) => scaffold.get_smiles());
}

function scaffoldAtoms(graph: Graph, inRing: ReadonlySet<number>): Set<number> {
  if (inRing.size === 0) return new Set();
  const bondsOf = bondsOfAtoms(graph);
  const across = (bond: number, atom: number): number => {
    const [a, b] = graph.bonds[bond]!.ends;
    return a === atom ? b : a;
  };
  // Ends of chains are taken away until every end is in a ring.
  const kept = new Set(graph.atoms.keys());
  const degree = bondsOf.map((bonds) => bonds.length);
  const ends = [...kept].filter((atom) => degree[atom]! <= 1 && !inRing.has(atom));
  for (const atom of ends) {
    kept.delete(atom);
    for (const bond of bondsOf[atom]!) {
      const next = across(bond, atom);
      degree[next]!--;
      if (kept.has(next) && degree[next] === 1 && !inRing.has(next)) ends.push(next);
    }
  }
  const doubled = [...kept].flatMap((atom) =>
    bondsOf[atom]!.filter((bond) => graph.bonds[bond]!.order === 2).map((bond) => across(bond, atom)),
  );
  for (const atom of doubled) kept.add(atom);
  return kept;
}
