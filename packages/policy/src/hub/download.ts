import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { HubError } from './error.js';

/** A file of a repository, and what its bytes are checked by: SHA-256 of large files, git's blob id of small ones. */
export interface RemoteFile {
  readonly path: string;
  readonly size: number;
  readonly sha256?: string;
  readonly blob?: string | null;
}

/** Times that a cut or damaged download is begun again before it is given up. */
const TRIES = 5;

/**
 * Downloads a file to a path. What an earlier try has left under `<path>.part` is gone on with; bytes that are not the
 * repository's are thrown away and fetched anew.
 *
 * @param onBytes told how many bytes are there
 * @throws HubError
 */
export async function download(
  url: string,
  path: string,
  file: RemoteFile,
  token: string | undefined,
  onBytes: (bytes: number) => void,
): Promise<void> {
  if (await isComplete(path, file)) {
    onBytes(file.size);
    return;
  }
  const part = `${path}.part`;
  let problem = '';
  for (let tries = 0; tries < TRIES; tries++) {
    const have = await sizeOf(part);
    try {
      if (have < file.size) await fetchRest(url, part, have, file, token, onBytes);
      if ((await digestOf(part, file)) === expectedOf(file)) {
        await rename(part, path);
        return;
      }
      problem = 'its bytes are not those that the Hub has';
      await rm(part, { force: true });
    } catch (error) {
      if (error instanceof HubError) throw error;
      problem =
        error instanceof Error ? (error.cause instanceof Error ? error.cause.message : error.message) : `${error}`;
    }
  }
  throw new HubError(`${file.path} could not be downloaded: ${problem}. Ask again: it goes on where it ended.`);
}

async function fetchRest(
  url: string,
  part: string,
  have: number,
  file: RemoteFile,
  token: string | undefined,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const response = await fetch(url, {
    headers: {
      ...(have > 0 ? { range: `bytes=${have}-` } : {}),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
  });
  if (!response.ok || response.body === null) {
    await response.body?.cancel();
    if (response.status === 401 || response.status === 403) {
      throw new HubError(`${file.path} may not be read: set HF_TOKEN to a token that has access to it.`);
    }
    if (response.status < 500 && response.status !== 416 && response.status !== 429) {
      throw new HubError(`${file.path}: the Hub answered ${response.status}.`);
    }
    if (response.status === 416) await rm(part, { force: true });
    throw new Error(`the Hub answered ${response.status}`);
  }
  // A server that knows no ranges sends the whole.
  let at = response.status === 206 ? have : 0;
  const handle = await open(part, at === 0 ? 'w' : 'r+');
  try {
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      if (at + chunk.length > file.size) throw new Error(`it is longer than the ${file.size} bytes that the Hub says`);
      await handle.write(chunk, 0, chunk.length, at);
      at += chunk.length;
      onBytes(at);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  if (at < file.size) throw new Error(`the connection ended after ${at} of ${file.size} bytes`);
}

const sizeOf = async (path: string): Promise<number> => (await stat(path).catch(() => null))?.size ?? 0;

async function isComplete(path: string, file: RemoteFile): Promise<boolean> {
  return (await sizeOf(path)) === file.size && (await digestOf(path, file)) === expectedOf(file);
}

const expectedOf = ({ sha256, blob }: RemoteFile): string => sha256 ?? blob ?? '';

/** What the Hub knows the bytes by; nothing where it tells nothing. */
async function digestOf(path: string, file: RemoteFile): Promise<string> {
  let hash: Hash;
  if (file.sha256 !== undefined) hash = createHash('sha256');
  else if (file.blob) hash = createHash('sha1').update(`blob ${file.size}\0`);
  else return '';
  if ((await sizeOf(path)) === 0 && file.size > 0) return 'missing';
  if (file.size > 0) for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}
