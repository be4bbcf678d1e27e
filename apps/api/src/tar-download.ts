import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { CheckpointFileRecord } from '@polymode/db';
import type { Storage } from '@polymode/storage';
import { pack } from 'tar-stream';

const BLOCK = 512;

/**
 * A tar of a checkpoint's files, read from storage one after another while it is sent. The same files give the same
 * bytes: the headers hold no time, user or host.
 *
 * @returns the stream, which fails when a file cannot be read or has not its recorded size
 */
export function tarOf(storage: Storage, files: readonly CheckpointFileRecord[]): Readable {
  const tar = pack({});
  const fill = async () => {
    for (const file of files) {
      const entry = tar.entry({ name: file.path, size: file.bytes, mode: 0o644, mtime: new Date(0), uid: 0, gid: 0 });
      await pipeline(await storage.get(file.storageKey), entry);
    }
    tar.finalize();
  };
  fill().catch((error) => tar.destroy(error instanceof Error ? error : new Error(String(error))));
  return Readable.from(tar, { objectMode: false });
}

/** Bytes of that tar, or undefined where names or sizes need extra headers. */
export function tarLength(files: readonly CheckpointFileRecord[]): number | undefined {
  // A plain header holds names of up to 100 ASCII bytes and sizes of up to eleven octal digits.
  const plain = files.every((file) => /^[\x20-\x7e]{1,99}$/.test(file.path) && file.bytes < 8 ** 11);
  if (!plain) return undefined;
  const blocks = files.reduce((sum, file) => sum + 1 + Math.ceil(file.bytes / BLOCK), 2);
  return blocks * BLOCK;
}
