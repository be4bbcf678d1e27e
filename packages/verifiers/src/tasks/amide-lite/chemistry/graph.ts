import type { Mol } from './rdkit.js';

export interface Atom {
  /** atomic number; 0 is a dummy */
  readonly z: number;
  /** hydrogens that are no atoms of the graph */
  readonly hydrogens: number;
  readonly charge: number;
  /** unpaired electrons */
  readonly radicals: number;
  readonly isotope: number;
}

export interface Bond {
  /** numbers of its atoms */
  readonly ends: readonly [number, number];
  /** 1, 2, 3, …, aromatic rings in Kekulé's form */
  readonly order: number;
}

/** A molecule without its stereochemistry: atoms and bonds. */
export interface Graph {
  readonly atoms: readonly Atom[];
  readonly bonds: readonly Bond[];
}

/** A graph that knows which of its atoms are in rings. */
export interface RingedGraph extends Graph {
  readonly inRing: ReadonlySet<number>;
}

/** What of RDKit's JSON is read and written (its extension of CommonChem). Fields that have their default are left out. */
interface JsonAtom {
  z?: number;
  impHs?: number;
  chg?: number;
  nRad?: number;
  isotope?: number;
}
interface JsonMolecule {
  atoms: JsonAtom[];
  bonds: { bo?: number; atoms: [number, number] }[];
  extensions?: { name: string; atomRings?: number[][] }[];
}
/** Not used, but RDKit reads no molecule without its default. */
interface Stereo {
  stereo: string;
}
interface Json {
  rdkitjson: { version: number };
  defaults: { atom: Required<JsonAtom> & Stereo; bond: { bo: number } & Stereo };
  molecules: JsonMolecule[];
}

const DEFAULTS: Json['defaults'] = {
  atom: { z: 6, impHs: 0, chg: 0, nRad: 0, isotope: 0, stereo: 'unspecified' },
  bond: { bo: 1, stereo: 'unspecified' },
};

export function readGraph(molecule: Mol): RingedGraph {
  const { defaults, molecules } = JSON.parse(molecule.get_json()) as Json;
  const [{ atoms, bonds, extensions = [] }] = molecules as [JsonMolecule];
  return {
    atoms: atoms.map((atom) => {
      const { z, impHs, chg, nRad, isotope } = { ...defaults.atom, ...atom };
      return { z, hydrogens: impHs, charge: chg, radicals: nRad, isotope };
    }),
    bonds: bonds.map(({ atoms: ends, bo = defaults.bond.bo }) => ({ ends, order: bo })),
    inRing: new Set(extensions.flatMap(({ atomRings = [] }) => atomRings.flat())),
  };
}

/** In a form that RDKit reads; it finds out by itself what is aromatic. */
export function writeGraph({ atoms, bonds }: Graph): string {
  const json: Json = {
    rdkitjson: { version: 12 },
    defaults: DEFAULTS,
    molecules: [
      {
        atoms: atoms.map((a) => ({ z: a.z, impHs: a.hydrogens, chg: a.charge, nRad: a.radicals, isotope: a.isotope })),
        bonds: bonds.map(({ ends: [a, b], order }) => ({ bo: order, atoms: [a, b] })),
      },
    ],
  };
  return JSON.stringify(json);
}

/** For every atom the numbers of its bonds. */
export function bondsOfAtoms({ atoms, bonds }: Graph): number[][] {
  const found: number[][] = atoms.map(() => []);
  bonds.forEach(({ ends: [a, b] }, i) => {
    found[a]!.push(i);
    found[b]!.push(i);
  });
  return found;
}

/** Atoms that can be reached from one without crossing the bond `except`. */
export function reachable(graph: Graph, from: number, except: number | null = null): Set<number> {
  const bondsOf = bondsOfAtoms(graph);
  const found = new Set([from]);
  // A set also yields what is added while it is walked through.
  for (const atom of found) {
    for (const bond of bondsOf[atom]!) {
      if (bond === except) continue;
      for (const end of graph.bonds[bond]!.ends) found.add(end);
    }
  }
  return found;
}

/** The part of a graph that has these atoms. Each bond that is cut leaves as many hydrogens as its order. */
export function induced({ atoms, bonds }: Graph, kept: ReadonlySet<number>): Graph {
  const order = [...kept].sort((a, b) => a - b);
  const number = new Map(order.map((old, i) => [old, i]));
  const gained = new Map<number, number>();
  const inside: Bond[] = [];
  for (const bond of bonds) {
    const [a, b] = bond.ends.map((end) => number.get(end)) as [number | undefined, number | undefined];
    if (a !== undefined && b !== undefined) inside.push({ ...bond, ends: [a, b] });
    else {
      const end = a ?? b;
      if (end !== undefined) gained.set(end, (gained.get(end) ?? 0) + bond.order);
    }
  }
  return {
    atoms: order.map((old, i) => {
      const atom = atoms[old]!;
      return { ...atom, hydrogens: atom.hydrogens + (gained.get(i) ?? 0) };
    }),
    bonds: inside,
  };
}
