import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import type OpenAI from 'openai';
import { extract } from 'tar-stream';

export interface DownloadedCheckpoint {
  /** where it was unpacked */
  readonly dir: string;
  readonly step: number;
  /** the archive as it came, and its sha256 */
  readonly archive: string;
  readonly sha256: string;
}

interface Manifest {
  readonly files: readonly { readonly path: string; readonly bytes: number; readonly sha256: string }[];
}

const MANIFEST = 'manifest.json';

/**
 * Downloads a job's last checkpoint as one archive beside a folder, unpacks it there and checks every file against the
 * manifest.
 *
 * @throws Error when there is none, or a file differs from what the manifest says
 */
export async function downloadFinalCheckpoint(
  client: OpenAI,
  jobId: string,
  dir: string,
): Promise<DownloadedCheckpoint> {
  const { data } = await client.fineTuning.jobs.checkpoints.list(jobId, { limit: 100 });
  const last = data.reduce((a, b) => (b.step_number > (a?.step_number ?? -1) ? b : a), data[0]);
  if (last === undefined) throw new Error(`job ${jobId} has no checkpoint`);
  const url = `${client.baseURL}/fine_tuning/jobs/${jobId}/checkpoints/${last.id}/download`;
  const response = await fetch(url, { headers: { authorization: `Bearer ${client.apiKey}` } });
  if (!response.ok || response.body === null) {
    throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  }
  const archive = `${dir}.tar`;
  await mkdir(dirname(archive), { recursive: true });
  await pipeline(Readable.fromWeb(response.body as ReadableStream), createWriteStream(archive));
  await unpack(createReadStream(archive), dir);
  await verify(dir);
  return { dir, step: last.step_number, archive, sha256: await sha256Of(archive) };
}

async function unpack(tar: Readable, dir: string): Promise<void> {
  const root = resolve(dir);
  const unpacker = extract();
  const reading = pipeline(tar, unpacker);
  for await (const entry of unpacker) {
    const target = resolve(root, entry.header.name);
    if (!target.startsWith(root + sep))
      throw new Error(`the archive has a file outside its folder: ${entry.header.name}`);
    if (entry.header.type === 'file') {
      await mkdir(dirname(target), { recursive: true });
      await pipeline(entry, createWriteStream(target));
    } else entry.resume();
  }
  await reading;
}

async function verify(dir: string): Promise<void> {
  const manifest = JSON.parse(await readFile(join(dir, MANIFEST), 'utf8')) as Manifest;
  for (const file of manifest.files) {
    const actual = await sha256Of(join(dir, file.path));
    if (actual !== file.sha256)
      throw new Error(`${file.path} has sha256 ${actual}, but its manifest says ${file.sha256}`);
  }
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
