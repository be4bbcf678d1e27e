import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StackError } from './stack.js';

/**
 * Makes sure that one stack at a time uses a data folder. A lock whose process is gone is taken over.
 *
 * @returns what gives the folder free again
 * @throws StackError naming the process that has it
 */
export function lockDataDir(dataDir: string): () => void {
  const lock = join(dataDir, 'stack.pid');
  const mine = join(dataDir, `stack.pid.${process.pid}`);
  writeFileSync(mine, String(process.pid));
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        // A link appears with its content, and fails when the name is taken.
        linkSync(mine, lock);
        return () => rmSync(lock, { force: true });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt === 3) throw error;
        const holder = Number(readFileSync(lock, 'utf8'));
        if (isAlive(holder)) {
          throw new StackError(
            `The data folder ${dataDir} is in use by process ${holder}. Stop it, or choose another with --data-dir.`,
          );
        }
        rmSync(lock, { force: true });
      }
    }
  } finally {
    rmSync(mine, { force: true });
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
