import { mkdir, readdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

/**
 * A folder of this process for large files on their way into the storage. What processes of this machine left that were
 * killed goes.
 */
export async function openScratch(dataDir: string): Promise<string> {
  const all = join(dataDir, 'scratch');
  await mkdir(all, { recursive: true });
  const prefix = `${hostname()}-`;
  for (const name of await readdir(all)) {
    if (name.startsWith(prefix) && !isAlive(Number(name.slice(prefix.length)))) {
      await rm(join(all, name), { recursive: true, force: true });
    }
  }
  return join(all, `${prefix}${process.pid}`);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return pid !== process.pid;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
