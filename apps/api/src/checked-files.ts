import type { Storage } from '@polymode/storage';
import type { CheckedFile } from './training-file.js';

/** Rows of all files that are remembered. */
const MOST_ROWS = 500_000;

/**
 * What was found of files that were right: who tries many settings on one file waits for its check once. Files never change
 * under their storage key; those used last are kept.
 */
export class CheckedFiles {
  private readonly known = new Map<string, CheckedFile>();
  private rows = 0;

  constructor(private readonly mostRows = MOST_ROWS) {}

  /**
   * @param storageKey of the file
   * @param asked everything that the check depends on beside the file
   * @param check throws for a file that is wrong, which is not remembered
   */
  async find(storageKey: string, asked: string, check: () => Promise<CheckedFile>): Promise<CheckedFile> {
    const key = `${storageKey}\n${asked}`;
    const found = this.known.get(key) ?? (await check());
    this.forget(key);
    this.known.set(key, found);
    this.rows += found.rows;
    for (const oldest of this.known.keys()) {
      if (this.rows <= this.mostRows) break;
      this.forget(oldest);
    }
    return found;
  }

  private forget(key: string): void {
    this.rows -= this.known.get(key)?.rows ?? 0;
    this.known.delete(key);
  }
}

const all = new WeakMap<Storage, CheckedFiles>();

/** Those of a storage, shared by all who ask. */
export function checkedFilesOf(storage: Storage): CheckedFiles {
  const known = all.get(storage) ?? new CheckedFiles();
  all.set(storage, known);
  return known;
}
