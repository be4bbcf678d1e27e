import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

/** The number that Prisma's own migration engine locks, so that the two also exclude each other. */
const migrationLock = 72707369;

export interface MigrateOptions {
  /** Folder of `<name>/migration.sql`. @defaultValue `prisma/migrations` of this repository */
  migrationsDir?: string;
}

/** The database and the migrations of this version do not fit together. The message says what to do. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
}

/**
 * Brings a database to the schema of this version and keeps Prisma's records of it, so that `prisma migrate deploy` and
 * `prisma migrate status` agree. Each migration is applied wholly or not at all. Any number of processes may call it at
 * once: the first one works, the others wait and find it done.
 *
 * @returns the names of the migrations that this call applied
 * @throws MigrationError when the database was made by a newer version, or an applied migration was edited afterwards
 */
export async function migrate(databaseUrl: string, options: MigrateOptions = {}): Promise<string[]> {
  const migrations = await readMigrations(options.migrationsDir ?? defaultMigrationsDir());
  const client = new pg.Client({ connectionString: databaseUrl });
  // A broken connection also fails the query that waits on it, where it is handled.
  client.on('error', () => {});
  await client.connect();
  try {
    await client.query('SELECT pg_advisory_lock($1)', [migrationLock]);
    await client.query(recordsTable);
    const pending = comparePlans(migrations, await readRecords(client));
    for (const migration of pending) await apply(client, migration);
    return pending.map((migration) => migration.name);
  } finally {
    // The lock ends with the session.
    await client.end();
  }
}

interface Migration {
  name: string;
  sql: string;
  /** As Prisma computes it: SHA-256 of the file. */
  checksum: string;
}

interface MigrationRecord {
  migration_name: string;
  checksum: string;
  finished: boolean;
}

// As Prisma creates it.
const recordsTable = `
CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
    "id"                  VARCHAR(36) PRIMARY KEY NOT NULL,
    "checksum"            VARCHAR(64) NOT NULL,
    "finished_at"         TIMESTAMPTZ,
    "migration_name"      VARCHAR(255) NOT NULL,
    "logs"                TEXT,
    "rolled_back_at"      TIMESTAMPTZ,
    "started_at"          TIMESTAMPTZ NOT NULL DEFAULT now(),
    "applied_steps_count" INTEGER NOT NULL DEFAULT 0
)`;

function defaultMigrationsDir(): string {
  return fileURLToPath(new URL('../../../prisma/migrations', import.meta.url));
}

async function readMigrations(migrationsDir: string): Promise<Migration[]> {
  const folders = (await readdir(migrationsDir, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  const names = folders.map((entry) => entry.name).sort();
  return Promise.all(
    names.map(async (name) => {
      const bytes = await readFile(join(migrationsDir, name, 'migration.sql'));
      return { name, sql: bytes.toString('utf8'), checksum: createHash('sha256').update(bytes).digest('hex') };
    }),
  );
}

async function readRecords(client: pg.Client): Promise<MigrationRecord[]> {
  const { rows } = await client.query<MigrationRecord>(`
    SELECT migration_name, checksum, finished_at IS NOT NULL AS finished
    FROM "_prisma_migrations" WHERE rolled_back_at IS NULL ORDER BY started_at, migration_name`);
  return rows;
}

/** @returns the migrations still to be applied, in order */
function comparePlans(migrations: Migration[], records: MigrationRecord[]): Migration[] {
  const byName = new Map(migrations.map((migration) => [migration.name, migration]));
  for (const record of records) {
    const migration = byName.get(record.migration_name);
    if (!migration) {
      throw new MigrationError(
        `The database has migration ${record.migration_name}, which this version does not know. ` +
          'Run the version that made it, or a newer one.',
      );
    }
    if (!record.finished) {
      throw new MigrationError(
        `Migration ${record.migration_name} was begun by \`prisma migrate deploy\` and did not finish. Repair the database, ` +
          `then run \`prisma migrate resolve --rolled-back ${record.migration_name}\`.`,
      );
    }
    if (migration.checksum !== record.checksum) {
      throw new MigrationError(
        `Migration ${record.migration_name} was changed after it had been applied. Restore its file, and put the change ` +
          'into a new migration.',
      );
    }
  }
  const applied = new Set(records.map((record) => record.migration_name));
  return migrations.filter((migration) => !applied.has(migration.name));
}

async function apply(client: pg.Client, migration: Migration): Promise<void> {
  const startedAt = new Date();
  await client.query('BEGIN');
  try {
    await client.query(migration.sql);
    await client.query(
      `INSERT INTO "_prisma_migrations" (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
       VALUES ($1, $2, $3, $4, clock_timestamp(), 1)`,
      [randomUUID(), migration.checksum, migration.name, startedAt],
    );
    await client.query('COMMIT');
  } catch (cause) {
    await client.query('ROLLBACK').catch(() => {});
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MigrationError(`Migration ${migration.name} failed and was undone: ${reason}`, { cause });
  }
}
