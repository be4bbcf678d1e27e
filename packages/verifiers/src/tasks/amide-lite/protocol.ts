import type { MessagePort } from 'node:worker_threads';
import type { BlockChoice, Molecule } from './molecule.js';

/** What the chemistry thread is asked. */
export type Question =
  | { readonly kind: 'examine'; readonly smiles: string }
  | { readonly kind: 'space'; readonly blocks: BlockChoice };

export interface Asked {
  /** from 1; the thread itself says with 0 that it is ready */
  readonly id: number;
  readonly question: Question;
}

export interface Reply {
  readonly id: number;
  /** one molecule for `examine`, null where there is none; a list for `space` */
  readonly answer?: Molecule | null | readonly Molecule[];
  /** why there is no answer; the thread is of no use any more */
  readonly crash?: string;
  /** of RDKit's memory, which never shrinks */
  readonly memoryBytes: number;
}

/** What the thread is given. */
export interface ThreadData {
  /** where questions come from and replies go */
  readonly port: MessagePort;
  /** counts the replies, so that a caller can wait for one without turning its event loop */
  readonly replies: Int32Array;
}
