/**
 * What amide-lite's molecules are made of, as canonical SMILES: an acid, up to one amino-acid linker, and an amine. Two blocks
 * hold an amide themselves (hippuric acid, glycine anilide), so some molecules can be made in more than one way.
 */
export const BLOCKS = {
  acids: {
    benzoic: 'O=C(O)c1ccccc1',
    nicotinic: 'O=C(O)c1cccnc1',
    furoic: 'O=C(O)c1ccco1',
    thenoic: 'O=C(O)c1cccs1',
    cyclopropane: 'O=C(O)C1CC1',
    phenylacetic: 'O=C(O)Cc1ccccc1',
    fluorobenzoic: 'O=C(O)c1ccc(F)cc1',
    pivalic: 'CC(C)(C)C(=O)O',
    anisic: 'COc1ccc(C(=O)O)cc1',
    isoxazole: 'O=C(O)c1ccno1',
    thp: 'O=C(O)C1CCOCC1',
    hippuric: 'O=C(O)CNC(=O)c1ccccc1',
  },
  linkers: {
    glycine: 'NCC(=O)O',
    betaalanine: 'NCCC(=O)O',
    proline: 'O=C(O)C1CCCN1',
    isonipecotic: 'O=C(O)C1CCNCC1',
    paba: 'Nc1ccc(C(=O)O)cc1',
    maba: 'Nc1cccc(C(=O)O)c1',
    alanine: 'CC(N)C(=O)O',
    azetidine: 'O=C(O)C1CNC1',
  },
  amines: {
    aniline: 'Nc1ccccc1',
    benzylamine: 'NCc1ccccc1',
    morpholine: 'C1COCCN1',
    piperidine: 'C1CCNCC1',
    cyclopropylamine: 'NC1CC1',
    fluoroaniline: 'Nc1ccc(F)cc1',
    aminopyridine: 'Nc1cccnc1',
    phenethylamine: 'NCCc1ccccc1',
    methylpiperazine: 'CN1CCNCC1',
    methoxyethylamine: 'COCCN',
    tbutylamine: 'CC(C)(C)N',
    glycineanilide: 'NCC(=O)Nc1ccccc1',
  },
} as const satisfies Readonly<Record<BlockKind, Readonly<Record<string, string>>>>;

export type BlockKind = 'acids' | 'linkers' | 'amines';

export const BLOCK_KINDS: readonly BlockKind[] = ['acids', 'linkers', 'amines'];

/** Names of all blocks of a kind, in the order of the table. */
export function blockNames(kind: BlockKind): string[] {
  return Object.keys(BLOCKS[kind]);
}

/** @param name one of `blockNames(kind)` */
export function blockSmiles(kind: BlockKind, name: string): string {
  const table: Readonly<Record<string, string>> = BLOCKS[kind];
  return table[name]!;
}
