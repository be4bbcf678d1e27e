import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir, stat, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join, relative, resolve, sep } from 'node:path';
import type { Readable } from 'node:stream';
import {
  type ByteRange,
  checkKey,
  InvalidKeyError,
  ObjectNotFoundError,
  type Storage,
  StorageLimitError,
} from './storage.js';

/**
 * Keeps objects in a folder of the local disk: `objects/` holds each under its key, `incoming/` what is being written.
 *
 * Several processes may use the folder at once. What a crashed process left in `incoming/` is removed when the storage is
 * opened next.
 *
 * @param dir is made when missing
 */
export function openDiskStorage(dir: string): Storage {
  const root = resolve(dir);
  const objectsDir = join(root, 'objects');
  const incomingDir = join(root, 'incoming');
  mkdirSync(objectsDir, { recursive: true });
  mkdirSync(incomingDir, { recursive: true });
  removeAbandoned(incomingDir);
  const pathOf = (key: string) => {
    checkKey(key);
    return join(objectsDir, ...key.split('/'));
  };

  return {
    async put(key, data, options = {}) {
      const path = pathOf(key);
      const incoming = join(incomingDir, incomingName());
      const file = await open(incoming, 'wx');
      try {
        const written = await writeAll(file, key, data, options.maxBytes);
        // The bytes first, then the name, then the folder that holds the name: in this order a crash shows no torn object.
        await file.sync();
        await file.close();
        await renameDurably(key, incoming, path, objectsDir);
        return { key, ...written };
      } catch (error) {
        await file.close().catch(() => {});
        await rm(incoming, { force: true });
        throw error;
      }
    },

    async get(key, range) {
      const file = await open(pathOf(key), 'r').catch((error) => {
        throw isMissing(error) ? new ObjectNotFoundError(key) : error;
      });
      try {
        const stats = await file.stat();
        if (!stats.isFile()) throw new ObjectNotFoundError(key);
        return openStream(file, stats.size, range);
      } catch (error) {
        await file.close();
        throw error;
      }
    },

    async stat(key) {
      try {
        const stats = await stat(pathOf(key));
        return stats.isFile() ? { bytes: stats.size } : null;
      } catch (error) {
        if (isMissing(error)) return null;
        throw error;
      }
    },

    async delete(key) {
      const path = pathOf(key);
      try {
        if (!(await stat(path)).isFile()) return;
        await unlink(path);
      } catch (error) {
        if (isMissing(error)) return;
        throw error;
      }
      await removeEmptyFolders(dirname(path), objectsDir);
    },

    async deletePrefix(prefix) {
      const path = pathOf(prefix);
      await rm(path, { recursive: true, force: true });
      await removeEmptyFolders(dirname(path), objectsDir);
    },

    async *list(prefix) {
      const start = prefix === '' ? objectsDir : pathOf(prefix);
      const keys = (await filesUnder(start)).map((path) => relative(objectsDir, path).replaceAll(sep, '/'));
      // Keys are ASCII, so the default order is the one of their bytes.
      yield* keys.sort();
    },

    localPath(key) {
      const path = pathOf(key);
      return statSync(path, { throwIfNoEntry: false })?.isFile() ? path : null;
    },
  };
}

async function writeAll(
  file: FileHandle,
  key: string,
  data: Uint8Array | AsyncIterable<Uint8Array>,
  maxBytes = Number.POSITIVE_INFINITY,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of data instanceof Uint8Array ? [data] : data) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw new StorageLimitError(key, maxBytes);
    hash.update(chunk);
    // `writeFile` on a handle goes on from where it stands, and writes all of the chunk.
    await file.writeFile(chunk);
  }
  return { bytes, sha256: hash.digest('hex') };
}

async function renameDurably(key: string, from: string, to: string, objectsDir: string): Promise<void> {
  const folder = dirname(to);
  for (let attempt = 1; ; attempt++) {
    try {
      await mkdir(folder, { recursive: true });
      await rename(from, to);
      break;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? '';
      if (code === 'ENOTDIR' || code === 'EEXIST') throw new InvalidKeyError(key, 'a part of it is an object already');
      if (code === 'EISDIR' || code === 'ENOTEMPTY')
        throw new InvalidKeyError(key, 'it is the folder of other objects');
      // Deleting the last object of a folder removes the folder, which may come between.
      if (code !== 'ENOENT' || attempt === 10) throw error;
    }
  }
  // Folders made on the way are names too, in the folder above them.
  for (let at = folder; ; at = dirname(at)) {
    await syncFolder(at);
    if (at === objectsDir) return;
  }
}

async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return; // folders cannot be opened there
  let folder: FileHandle;
  try {
    folder = await open(path, 'r');
  } catch (error) {
    // Somebody deleted the object again, and its folder with it.
    if (isMissing(error)) return;
    throw error;
  }
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function openStream(file: FileHandle, size: number, range: ByteRange | undefined): Readable {
  if (!range) return file.createReadStream();
  const { start, end } = range;
  if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || end < start || start >= size) {
    throw new RangeError(`Bytes ${start} to ${end} are not in an object of ${size} bytes.`);
  }
  return file.createReadStream({ start, end: Math.min(end, size - 1) });
}

async function filesUnder(path: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true, recursive: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function removeEmptyFolders(from: string, objectsDir: string): Promise<void> {
  for (let at = from; at !== objectsDir; at = dirname(at)) {
    try {
      await rmdir(at);
    } catch (error) {
      if (isMissing(error)) continue;
      return; // not empty
    }
  }
}

/** Whose file it is can be told from its name by processes of the same machine or container. */
function incomingName(): string {
  return `${hostname()}_${process.pid}_${randomUUID()}`;
}

/** Removes what processes that are gone were writing. */
function removeAbandoned(incomingDir: string): void {
  const startedAt = Date.now() - process.uptime() * 1000;
  for (const name of readdirSync(incomingDir)) {
    const path = join(incomingDir, name);
    const stats = statSync(path, { throwIfNoEntry: false });
    if (!stats) continue;
    const [host, pid] = name.split('_');
    const local = host === hostname();
    const gone =
      (local && !isAlive(Number(pid))) ||
      // A restarted container gives the new process the number of the old one.
      (local && Number(pid) === process.pid && stats.mtimeMs < startedAt) ||
      // Of other machines nothing is known, but nobody pauses that long between two chunks.
      Date.now() - stats.mtimeMs > 24 * 3600 * 1000;
    if (gone) rmSync(path, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
