import { mkdir, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HubApiError, listFiles, modelInfo } from '@huggingface/hub';
import { parseModelConfig } from '../families/index.js';
import { CARRIED_FILES } from '../model-folder.js';
import { download, type RemoteFile } from './download.js';
import { HubError } from './error.js';

export { HubError } from './error.js';

export interface PullOptions {
  /** branch, tag or commit @defaultValue 'main' */
  readonly revision?: string;
  /** one GGUF file of the repository instead of its safetensors */
  readonly file?: string;
  /** folder that models are kept in */
  readonly modelsDir: string;
  /** @defaultValue 'https://huggingface.co' */
  readonly endpoint?: string;
  /** for models that are private or gated */
  readonly token?: string;
  readonly onProgress?: (progress: PullProgress) => void;
}

export interface PullProgress {
  readonly file: string;
  /** of all files together */
  readonly bytes: number;
  readonly total: number;
}

export interface PulledModel {
  /** what the service calls it */
  readonly id: string;
  readonly path: string;
  /** the commit that the revision stood for */
  readonly commit: string;
  readonly bytes: number;
  /** it was there already, of the same commit */
  readonly known: boolean;
}

/** Says in a model's folder where it is from. */
export const ORIGIN_FILE = '.polymode.json';
const CONFIG = 'config.json';

/**
 * Fetches a model from the Hugging Face Hub into `<modelsDir>/<owner>/<name>`, or one GGUF file into
 * `<modelsDir>/<file>`. The revision is pinned to its commit. A download that is cut off goes on where it ended when it is
 * asked for again; what arrives is checked against the Hub's digests, and appears under its name when all of it is there.
 *
 * @param id `owner/name`
 * @throws UnsupportedConfigError for a model that this package cannot run, before its weights are fetched
 * @throws HubError
 */
export async function pullModel(id: string, options: PullOptions): Promise<PulledModel> {
  if (!/^[\w.-]+\/[\w.-]+$/.test(id)) throw new HubError(`'${id}' is no model of the Hub: expected owner/name`);
  const { modelsDir, revision = 'main', file } = options;
  if (options.token !== undefined && !options.token.startsWith('hf_')) {
    throw new HubError("the token is none of the Hub's: those begin with hf_. Set HF_TOKEN anew, or not at all.");
  }
  const repository = await lookUp(id, revision, options);
  const wanted = file === undefined ? folderFiles(id, repository.files) : [ggufFile(id, repository.files, file)];
  const total = wanted.reduce((sum, f) => sum + f.size, 0);
  const target = file === undefined ? join(modelsDir, ...id.split('/')) : join(modelsDir, file.split('/').at(-1)!);
  const own = { id: file === undefined ? id : target.slice(modelsDir.length + 1, -'.gguf'.length), path: target };
  if ((await commitOf(target, file)) === repository.commit) {
    return { ...own, commit: repository.commit, bytes: total, known: true };
  }
  // Named by the commit: what was begun of another one is not gone on with.
  const incoming = join(modelsDir, '.incoming', `${id.replace('/', '--')}-${repository.commit}`);
  await mkdir(incoming, { recursive: true });
  let done = 0;
  const fetchFile = async (remote: RemoteFile): Promise<void> => {
    const path = join(incoming, remote.path);
    await mkdir(dirname(path), { recursive: true });
    const before = done;
    await download(urlOf(id, repository.commit, remote.path, options), path, remote, options.token, (bytes) => {
      done = before + bytes;
      options.onProgress?.({ file: remote.path, bytes: done, total });
    });
    done = before + remote.size;
  };
  const config = wanted.find((f) => f.path === CONFIG);
  if (config !== undefined) {
    await fetchFile(config);
    try {
      parseModelConfig(JSON.parse(await readFile(join(incoming, CONFIG), 'utf8')));
    } catch (error) {
      await rm(incoming, { recursive: true, force: true });
      throw error;
    }
  }
  await requireSpace(modelsDir, total);
  for (const remote of wanted) if (remote !== config) await fetchFile(remote);

  const origin = { id, revision, commit: repository.commit, files: wanted };
  if (file !== undefined) {
    await rename(join(incoming, file), target);
    await writeFile(originOf(target), `${JSON.stringify(origin, null, 2)}\n`);
    await rm(incoming, { recursive: true, force: true });
  } else {
    await writeFile(join(incoming, ORIGIN_FILE), `${JSON.stringify(origin, null, 2)}\n`);
    await replaceFolder(incoming, target);
  }
  return { ...own, commit: repository.commit, bytes: total, known: false };
}

interface Repository {
  readonly commit: string;
  readonly files: readonly RemoteFile[];
}

async function lookUp(id: string, revision: string, options: PullOptions): Promise<Repository> {
  const shared = {
    hubUrl: endpointOf(options),
    ...(options.token === undefined ? {} : { accessToken: options.token }),
  };
  try {
    const { sha } = await modelInfo({ name: id, revision, additionalFields: ['sha'], ...shared });
    const files: RemoteFile[] = [];
    const entries = listFiles({ repo: { type: 'model', name: id }, revision: sha, recursive: true, ...shared });
    for await (const entry of entries) {
      if (entry.type !== 'file') continue;
      const { path, size } = entry;
      files.push(
        entry.lfs === undefined ? { path, size, blob: entry.oid ?? null } : { path, size, sha256: entry.lfs.oid },
      );
    }
    return { commit: sha, files };
  } catch (error) {
    throw explained(error, id, revision, shared.hubUrl);
  }
}

const endpointOf = ({ endpoint = 'https://huggingface.co' }: PullOptions): string => endpoint.replace(/\/+$/, '');

function urlOf(id: string, commit: string, path: string, options: PullOptions): string {
  const escaped = path.split('/').map(encodeURIComponent).join('/');
  return `${endpointOf(options)}/${id}/resolve/${commit}/${escaped}`;
}

function explained(error: unknown, id: string, revision: string, endpoint: string): Error {
  if (!(error instanceof HubApiError)) {
    const cause = error instanceof Error ? (error.cause instanceof Error ? error.cause.message : error.message) : error;
    return new HubError(
      `${endpoint} cannot be reached (${cause}). Check the network, or set HF_ENDPOINT to a mirror, or put the model's ` +
        'folder into the models folder by hand.',
      { cause: error },
    );
  }
  switch (error.statusCode) {
    case 401:
    case 403:
      return new HubError(
        `${id} is private, gated or does not exist. Ask for access on its page, and set HF_TOKEN to a token that may ` +
          'read it.',
      );
    case 404:
      return new HubError(`${id} has no revision '${revision}', or does not exist. Check both on ${endpoint}.`);
    default:
      return new HubError(`${endpoint} answered ${error.statusCode} for ${id}: ${error.message}. Try again later.`);
  }
}

/** Everything that the model needs and nothing else: READMEs and other formats stay behind. */
function folderFiles(id: string, files: readonly RemoteFile[]): RemoteFile[] {
  const weights = files.filter(({ path }) => /^model(-\d+-of-\d+)?\.safetensors(\.index\.json)?$/.test(path));
  const carried = files.filter(({ path }) => CARRIED_FILES.has(path));
  if (!carried.some(({ path }) => path === CONFIG)) throw new HubError(`${id} has no ${CONFIG}: it is no transformer`);
  if (!weights.some(({ path }) => path.endsWith('.safetensors'))) {
    const ggufs = files.filter(({ path }) => path.endsWith('.gguf')).map(({ path }) => path);
    const advice = ggufs.length > 0 ? ` Name one of its GGUF files with --file: ${ggufs.join(', ')}.` : '';
    throw new HubError(`${id} has no model.safetensors.${advice}`);
  }
  return [...carried, ...weights];
}

function ggufFile(id: string, files: readonly RemoteFile[], name: string): RemoteFile {
  const ggufs = files.filter(({ path }) => path.endsWith('.gguf'));
  const found = ggufs.find(({ path }) => path === name);
  if (found !== undefined) return found;
  const known = ggufs.length > 0 ? `It has ${ggufs.map(({ path }) => path).join(', ')}.` : 'It has no GGUF files.';
  throw new HubError(`${id} has no file '${name}'. ${known}`);
}

/** Beside a GGUF file, and in a model's folder. */
const originOf = (target: string): string => join(dirname(target), `.${target.split('/').at(-1)}${ORIGIN_FILE}`);

/** The commit of what is there; null when nothing is, or it is from elsewhere. */
async function commitOf(target: string, file: string | undefined): Promise<string | null> {
  const path = file === undefined ? join(target, ORIGIN_FILE) : originOf(target);
  try {
    await stat(target);
    return (JSON.parse(await readFile(path, 'utf8')) as { commit: string }).commit;
  } catch {
    return null;
  }
}

async function requireSpace(modelsDir: string, total: number): Promise<void> {
  const { bavail, bsize } = await statfs(modelsDir);
  const free = bavail * bsize;
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
  if (free < total) {
    throw new HubError(
      `the model takes ${gigabytes(total)}, and ${modelsDir} has ${gigabytes(free)} left. Make room, or name another ` +
        'folder with --models-dir.',
    );
  }
}

/** The old folder goes once the new one stands in its place. */
async function replaceFolder(incoming: string, target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const old = `${incoming}-replaced`;
  await rename(target, old).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  await rename(incoming, target);
  await rm(old, { recursive: true, force: true });
}
