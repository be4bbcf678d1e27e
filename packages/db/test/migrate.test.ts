import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectDatabase, disconnectDatabase, MigrationError, migrate } from '@polymode/db';
import { startTestDatabase, type TestDatabase } from '@polymode/db/testing';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openSchemaEngine } from './support/schema-engine.js';

const realMigrations = fileURLToPath(new URL('../../../prisma/migrations', import.meta.url));

let server: TestDatabase;
let url: string;
const folders: string[] = [];

beforeAll(async () => {
  server = await startTestDatabase();
});
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});
afterAll(() => server?.stop());

async function query<T extends pg.QueryResultRow>(sql: string, database = url): Promise<T[]> {
  const client = new pg.Client({ connectionString: database });
  await client.connect();
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function migrationsWith(extra: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'polymode-migrations-'));
  folders.push(folder);
  await cp(realMigrations, folder, { recursive: true });
  for (const [name, sql] of Object.entries(extra)) {
    await mkdir(join(folder, name), { recursive: true });
    await writeFile(join(folder, name, 'migration.sql'), sql);
  }
  return folder;
}

const ALL = [
  '20261123000000_init',
  '20261124000000_projects',
  '20261126000000_settings_once',
  '20261126090000_tokens_per_minute',
  '20261126120000_wandb_runs',
];

const tables = () =>
  query<{ name: string }>(
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1",
  ).then((rows) => rows.map((row) => row.name));

describe('migrate', () => {
  it('applies all migrations to an empty database, and nothing the second time', async () => {
    url = await server.empty();
    const applied = await migrate(url);
    expect(applied).toEqual(ALL);
    expect(await tables()).toEqual([
      '_prisma_migrations',
      'api_keys',
      'audit_events',
      'checkpoint_files',
      'checkpoint_permissions',
      'checkpoints',
      'files',
      'fine_tuning_events',
      'fine_tuning_jobs',
      'inference_workers',
      'organizations',
      'projects',
      'samples',
      'step_metrics',
      'upload_parts',
      'uploads',
      'wandb_runs',
      'webhook_deliveries',
      'webhook_endpoints',
    ]);
    expect(await migrate(url)).toEqual([]);
  });

  it("keeps Prisma's records: its own engine finds nothing to apply, to mend or to complain of", async () => {
    url = await server.empty();
    await migrate(url);
    const engine = await openSchemaEngine(url);
    expect(await engine.deploy()).toEqual({ appliedMigrationNames: [] });
    expect(await engine.status()).toMatchObject({
      editedMigrationNames: [],
      failedMigrationNames: [],
      hasMigrationsTable: true,
      history: null,
    });
    await engine.close();
    const records = await query<{ applied_steps_count: number; done: boolean }>(
      'SELECT applied_steps_count, finished_at >= started_at AS done FROM _prisma_migrations',
    );
    expect(records).toEqual(ALL.map(() => ({ applied_steps_count: 1, done: true })));
  });

  it("accepts a database that Prisma's own engine migrated", async () => {
    url = await server.empty();
    const engine = await openSchemaEngine(url);
    expect((await engine.deploy()).appliedMigrationNames).toEqual(ALL);
    await engine.close();
    expect(await migrate(url)).toEqual([]);
  });

  it('the migrations make exactly what schema.prisma says', async () => {
    url = await server.empty();
    await migrate(url);
    await query('DROP TABLE _prisma_migrations'); // not part of the schema
    const engine = await openSchemaEngine(url);
    expect(await engine.difference()).toBeNull();
    // The comparison sees differences: of a type, an index, and a column.
    const edits = [
      (text: string) => text.replace(/seed( +)BigInt/, 'seed$1Int'),
      (text: string) => text.replace('@@index([projectId, seq(sort: Desc)])', '@@index([projectId])'),
      (text: string) => text.replace(/attempts( +)Int /, 'tries$1Int '),
    ];
    for (const edit of edits) expect(await engine.difference(edit)).toMatch(/ALTER TABLE|CREATE INDEX/);
    await engine.close();
  });

  it('is safe to run from several processes and connections at once', async () => {
    url = await server.empty();
    const script = `
      import { migrate } from '@polymode/db';
      process.stdout.write(JSON.stringify(await migrate(process.argv[1])));`;
    const inProcess = async () => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script, url], {
        cwd: fileURLToPath(new URL('..', import.meta.url)),
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let output = '';
      child.stdout.on('data', (chunk) => {
        output += chunk;
      });
      const [code] = await once(child, 'close');
      expect(code).toBe(0);
      return JSON.parse(output) as string[];
    };
    const results = await Promise.all([
      inProcess(),
      inProcess(),
      inProcess(),
      ...Array.from({ length: 5 }, () => migrate(url)),
    ]);
    expect(results.flat()).toEqual(ALL);
    expect(await query('SELECT migration_name FROM _prisma_migrations')).toHaveLength(ALL.length);
  });

  it('a failing migration leaves nothing behind, and its mended version applies', async () => {
    url = await server.empty();
    const broken = await migrationsWith({
      '20270101000000_good': 'CREATE TABLE good (id INT);',
      '20270102000000_broken': 'CREATE TABLE half (id INT); INSERT INTO half VALUES (1); SELECT * FROM no_such_table;',
    });
    await expect(migrate(url, { migrationsDir: broken })).rejects.toThrow(
      /20270102000000_broken failed and was undone: .*no_such_table/,
    );
    expect(await tables()).toContain('good');
    expect(await tables()).not.toContain('half');
    const mended = await migrationsWith({
      '20270101000000_good': 'CREATE TABLE good (id INT);',
      '20270102000000_broken': 'CREATE TABLE half (id INT);',
    });
    expect(await migrate(url, { migrationsDir: mended })).toEqual(['20270102000000_broken']);
    expect(await tables()).toContain('half');
  });

  it('refuses a database of a newer version, and one whose applied migration was edited', async () => {
    url = await server.empty();
    const newer = await migrationsWith({ '20990101000000_future': 'CREATE TABLE future (id INT);' });
    await migrate(url, { migrationsDir: newer });
    await expect(migrate(url)).rejects.toThrow(/20990101000000_future, which this version does not know/);
    const edited = await migrationsWith({ '20990101000000_future': 'CREATE TABLE future (id BIGINT);' });
    await expect(migrate(url, { migrationsDir: edited })).rejects.toThrow(MigrationError);
    await expect(migrate(url, { migrationsDir: edited })).rejects.toThrow(/was changed after it had been applied/);
  });

  it('the generated client works on the migrated database', async () => {
    url = await server.empty();
    await migrate(url);
    const db = connectDatabase(url);
    for (const table of [db.file, db.fineTuningJob, db.fineTuningEvent, db.stepMetrics, db.checkpoint] as const) {
      expect(await (table as typeof db.file).findMany()).toEqual([]);
    }
    expect(await db.checkpointFile.findMany()).toEqual([]);
    expect(await db.apiKey.findMany()).toEqual([]);
    await disconnectDatabase(db);
  });
});
