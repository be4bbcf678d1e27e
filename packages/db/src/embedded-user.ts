import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** How to start a PostgreSQL program. */
export interface RunAs {
  /** Words to put before the command. */
  prefix: string[];
  /** For `spawn`. Empty where the prefix changes the user, or nothing does. */
  spawnAs: { uid?: number; gid?: number };
  /** Who must own the cluster; null: whoever we are. */
  owner: { uid: number; gid: number } | null;
}

/**
 * PostgreSQL refuses to run as root. As root, it runs as the owner of the existing cluster, else as the system's `postgres`
 * user where there is one, else as `nobody`; otherwise it runs as whoever we are.
 *
 * @param clusterDir the cluster, which may not exist yet
 * @param reads folders that the programs must get at
 */
export async function chooseUser(clusterDir: string, reads: string[]): Promise<RunAs> {
  if (process.getuid?.() !== 0) return { prefix: [], spawnAs: {}, owner: null };
  const owner = (await ownerOf(clusterDir)) ?? (await systemUser());
  const { uid, gid } = owner;
  const closed = (await Promise.all(reads.map((path) => firstClosedFolder(path, uid, gid)))).find((path) => path);
  if (!closed) return { prefix: [], spawnAs: owner, owner };
  // A checkout in /root or in a folder of `mktemp -d`: hand the process just the right to pass closed folders.
  const capabilities = '+dac_override,+dac_read_search';
  const prefix = [
    'setpriv',
    `--reuid=${uid}`,
    `--regid=${gid}`,
    '--clear-groups',
    `--inh-caps=${capabilities}`,
    `--ambient-caps=${capabilities}`,
    // access(2) leaves out the capabilities of whoever is not root, except under this bit.
    '--securebits=+no_setuid_fixup',
  ];
  try {
    await run('setpriv', [...prefix.slice(1), 'test', '-x', closed]);
  } catch (cause) {
    throw new Error(
      `PostgreSQL does not run as root, and user ${uid} cannot pass ${closed}. Run as an ordinary user, or move the ` +
        'checkout and the data folder to where every user may pass.',
      { cause },
    );
  }
  return { prefix, spawnAs: {}, owner };
}

async function ownerOf(path: string): Promise<{ uid: number; gid: number } | null> {
  const stats = await stat(path).catch(() => null);
  return stats && stats.uid !== 0 ? { uid: stats.uid, gid: stats.gid } : null;
}

async function systemUser(): Promise<{ uid: number; gid: number }> {
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = lines.find((fields) => fields[0] === name) ?? [];
    if (uid && gid) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error(
    'PostgreSQL does not run as root, and there is no user `postgres` or `nobody`. Run as an ordinary user.',
  );
}

async function firstClosedFolder(path: string, uid: number, gid: number): Promise<string | null> {
  for (let folder = path; ; folder = dirname(folder)) {
    const stats = await stat(folder);
    const bit = stats.uid === uid ? 0o100 : stats.gid === gid ? 0o010 : 0o001;
    if (stats.isDirectory() && !(stats.mode & bit)) return folder;
    if (folder === dirname(folder)) return null;
  }
}
