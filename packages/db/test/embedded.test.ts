import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@polymode/db/embedded';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

// One cluster for all tests, in the order given; a folder of mkdtemp is closed to other users, which root must cope with.
describe('startEmbeddedPostgres', () => {
  let dataDir: string;
  let server: EmbeddedPostgres | undefined;
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'polymode-embedded-'));
  });
  afterAll(async () => {
    await server?.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  const query = async (url: string, sql: string) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query(sql)).rows as Record<string, unknown>[];
    } finally {
      await client.end();
    }
  };
  const serverProcess = async () =>
    Number((await readFile(join(dataDir, 'cluster', 'postmaster.pid'), 'utf8')).split('\n')[0]);

  it('creates a durable cluster, with a password, on 127.0.0.1 only', async () => {
    server = await startEmbeddedPostgres({ dataDir });
    expect(await query(server.url, 'SHOW fsync')).toEqual([{ fsync: 'on' }]);
    expect(await query(server.url, 'SELECT current_database() AS name')).toEqual([{ name: 'polymode' }]);
    await query(server.url, 'CREATE TABLE kept AS SELECT 1 AS n');
    const wrong = new URL(server.url);
    wrong.password = 'guess';
    await expect(query(wrong.href, 'SELECT 1')).rejects.toThrow(/password authentication failed/);
    expect((await stat(join(dataDir, 'password'))).mode & 0o077).toBe(0);
    const others = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter((address) => address.family === 'IPv4' && !address.internal);
    for (const { address } of others) expect(await connects(address, server.port)).toBe(false);
    expect(await connects('127.0.0.1', server.port)).toBe(true);
  });

  it('refuses a second server on the same folder, at once', async () => {
    await expect(startEmbeddedPostgres({ dataDir })).rejects.toThrow(
      new RegExp(`is in use by a running PostgreSQL server .* which process ${process.pid} started`),
    );
    expect(await query(server?.url ?? '', 'SELECT n FROM kept')).toEqual([{ n: 1 }]);
  });

  it('stops, and starts again with its data on the port asked for', async () => {
    const port = server?.port ?? 0;
    await server?.stop();
    await server?.stop();
    await server?.exited;
    expect(await connects('127.0.0.1', port)).toBe(false);
    server = await startEmbeddedPostgres({ dataDir, port });
    expect(server.port).toBe(port);
    expect(await query(server.url, 'SELECT n FROM kept')).toEqual([{ n: 1 }]);
  });

  it('recovers after the server was killed, even if its number belongs to another program now', async () => {
    const { exited } = server!;
    process.kill(await serverProcess(), 'SIGKILL');
    await exited;
    const lockFile = join(dataDir, 'cluster', 'postmaster.pid');
    const lock = await readFile(lockFile, 'utf8');
    await writeFile(lockFile, lock.replace(/^\d+/, String(process.pid)));
    server = await startEmbeddedPostgres({ dataDir });
    expect(await query(server.url, 'SELECT n FROM kept')).toEqual([{ n: 1 }]);
    await server.stop();
  });

  it('ends with its parent, though that is killed, and the next start waits for it', async () => {
    const script = `
      import { startEmbeddedPostgres } from '@polymode/db/embedded';
      const server = await startEmbeddedPostgres({ dataDir: process.argv[1] });
      process.stdout.write(server.url);
      setInterval(() => {}, 1000);`;
    const parent: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', script, dataDir], {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [url] = await once(parent.stdout!, 'data');
    const port = Number(new URL(String(url)).port);
    await query(String(url), 'CREATE TABLE later AS SELECT 2 AS n');
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    server = await startEmbeddedPostgres({ dataDir });
    expect(await query(server.url, 'SELECT n FROM later')).toEqual([{ n: 2 }]);
    if (server.port !== port) expect(await connects('127.0.0.1', port)).toBe(false);
  });

  it('says what the log says when the server cannot start', async () => {
    const port = server?.port ?? 0;
    const other = await mkdtemp(join(tmpdir(), 'polymode-embedded-'));
    const attempt = startEmbeddedPostgres({ dataDir: other, port, durable: false });
    await expect(attempt).rejects.toThrow(/Its log says:[\s\S]*Address already in use/);
    await rm(other, { recursive: true });
  });
});

async function connects(host: string, port: number): Promise<boolean> {
  const socket = connect({ host, port });
  try {
    return await Promise.race([
      once(socket, 'connect').then(() => true),
      sleep(2000).then(() => false), // filtered
    ]);
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
