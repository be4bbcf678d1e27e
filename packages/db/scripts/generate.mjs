// Generates the Prisma client into src/generated, unless it is there already for this schema and this Prisma.
// Works offline: nothing is downloaded.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const packageDir = dirname(dirname(fileURLToPath(import.meta.url)));
const prismaDir = join(packageDir, '..', '..', 'prisma');
const generatedDir = join(packageDir, 'src', 'generated');
const stampFile = join(generatedDir, '.made-from');

const prismaPackage = createRequire(import.meta.url).resolve('prisma/package.json');
const prisma = JSON.parse(readFileSync(prismaPackage, 'utf8'));
const schema = readFileSync(join(prismaDir, 'schema.prisma'));
const stamp = createHash('sha256').update(`${prisma.version}\n`).update(schema).digest('hex');

if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp) {
  rmSync(generatedDir, { recursive: true, force: true });
  const { status, error } = spawnSync(
    process.execPath,
    [join(dirname(prismaPackage), prisma.bin.prisma), 'generate', '--config', join(prismaDir, 'prisma.config.ts')],
    {
      cwd: packageDir,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: {
        ...process.env,
        // The command line wants a schema engine to exist, which `generate` never runs. Naming any executable keeps it
        // from downloading one.
        PRISMA_SCHEMA_ENGINE_BINARY: process.env.PRISMA_SCHEMA_ENGINE_BINARY ?? process.execPath,
        PRISMA_HIDE_UPDATE_MESSAGE: '1',
        CHECKPOINT_DISABLE: '1',
      },
    },
  );
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
  writeFileSync(stampFile, stamp);
}
