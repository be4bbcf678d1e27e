import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { CheckpointFileRecord } from '@polymode/db';
import type { ByteRange, Storage } from '@polymode/storage';
import { type Pack, pack } from 'tar-stream';

const BLOCK = 512;

/**
 * A tar of a checkpoint's files, read from storage one after another while it is sent. The same files give the same
 * bytes: the headers hold no time, user or host.
 *
 * @param range which of its bytes @defaultValue all
 * @returns the stream, which fails when a file cannot be read or has not its recorded size
 */
export function tarOf(storage: Storage, files: readonly CheckpointFileRecord[], range?: ByteRange): Readable {
  const bytes = tarBytes(storage, files);
  return Readable.from(range ? within(bytes, range) : bytes, { objectMode: false });
}

/** Names those bytes: whatever changes one of them changes it. */
export function tarDigest(files: readonly CheckpointFileRecord[]): string {
  const contents = files.map(({ path, bytes, sha256 }) => [path, bytes, sha256]);
  return createHash('sha256').update(JSON.stringify(contents)).digest('hex');
}

async function* within(bytes: AsyncIterable<Uint8Array>, { start, end }: ByteRange): AsyncGenerator<Uint8Array> {
  let at = 0;
  for await (const piece of bytes) {
    const [from, to] = [Math.max(start - at, 0), Math.min(end + 1 - at, piece.length)];
    if (from < to) yield piece.subarray(from, to);
    at += piece.length;
    if (at > end) return;
  }
}

async function* tarBytes(storage: Storage, files: readonly CheckpointFileRecord[]): AsyncGenerator<Uint8Array> {
  const tar = pack({});
  // What went wrong comes out of `filled`.
  tar.on('error', () => {});
  const filled = fill(tar, storage, files);
  // When the reader leaves early, nobody awaits it any more.
  filled.catch(() => tar.destroy());
  for await (const bytes of tar as AsyncIterable<Uint8Array>) yield bytes;
  await filled;
}

async function fill(tar: Pack, storage: Storage, files: readonly CheckpointFileRecord[]): Promise<void> {
  for (const { path, bytes, storageKey } of files) {
    const data = await storage.get(storageKey);
    await pipeline(data, tar.entry({ name: path, size: bytes, mode: 0o644, mtime: new Date(0), uid: 0, gid: 0 }));
  }
  tar.finalize();
}

/** Bytes of that tar, or undefined where names or sizes need extra headers. */
export function tarLength(files: readonly CheckpointFileRecord[]): number | undefined {
  // A plain header holds names of up to 100 ASCII bytes and sizes of up to eleven octal digits.
  const plain = files.every((file) => /^[\x20-\x7e]{1,99}$/.test(file.path) && file.bytes < 8 ** 11);
  if (!plain) return undefined;
  const blocks = files.reduce((sum, file) => sum + 1 + Math.ceil(file.bytes / BLOCK), 2);
  return blocks * BLOCK;
}
