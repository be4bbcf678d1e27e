import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from './embedded.js';
import { migrate } from './migrate.js';

export interface TestDatabase {
  /** A database with all migrations applied. */
  url: string;
  /** Another such database on the same server, in a fraction of the time. @returns its URL */
  fresh(): Promise<string>;
  /** An empty database on the same server. @returns its URL */
  empty(): Promise<string>;
  stop(): Promise<void>;
}

/** A real PostgreSQL server of one's own, in a temporary folder and on a free port, for a test file. */
export async function startTestDatabase(): Promise<TestDatabase> {
  const dataDir = await mkdtemp(join(tmpdir(), 'polymode-test-db-'));
  const server = await startEmbeddedPostgres({ dataDir, durable: false });
  const create = async (template: string) => {
    const name = `test_${randomBytes(6).toString('hex')}`;
    const admin = new pg.Client({ connectionString: named(server.url, 'postgres') });
    await admin.connect();
    try {
      await admin.query(`CREATE DATABASE ${name} TEMPLATE ${template}`);
    } finally {
      await admin.end();
    }
    return named(server.url, name);
  };
  await migrate(server.url);
  return {
    url: await create('polymode'),
    fresh: () => create('polymode'),
    empty: () => create('template0'),
    stop: async () => {
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function named(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}
