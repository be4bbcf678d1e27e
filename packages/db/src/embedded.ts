import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chown, mkdir, open, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { type EmbeddedBinaries, findEmbeddedBinaries } from './embedded-binaries.js';
import { chooseUser, type RunAs } from './embedded-user.js';

const run = promisify(execFile);

export interface EmbeddedPostgresOptions {
  /** Folder for the cluster, its password and its log. Made when missing; one server at a time may use it. */
  dataDir: string;
  /** @defaultValue a free one */
  port?: number | undefined;
  /** false: faster, and the data may be lost when the machine goes down. For tests. @defaultValue true */
  durable?: boolean | undefined;
}

export interface EmbeddedPostgres {
  /** Of the database `polymode`, on 127.0.0.1. */
  url: string;
  port: number;
  /** Ends the server after its running queries were cancelled. Safe to call again. */
  stop(): Promise<void>;
  /** Resolves when the server has ended, for whatever reason. */
  exited: Promise<void>;
}

/**
 * Starts a real PostgreSQL server on 127.0.0.1, creating its cluster at the first start.
 *
 * The server ends with this process, even when that is killed. After a crash of either the next start recovers.
 * Ctrl-C in the terminal does not reach it: stop it after those who use it.
 *
 * @throws Error when another process uses the data folder, the port is taken, or the server does not come up; the message
 *   holds the end of the server's log
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const durable = options.durable ?? true;
  await mkdir(options.dataDir, { recursive: true, mode: 0o711 });
  const dataDir = await realpath(options.dataDir);
  const clusterDir = join(dataDir, 'cluster');
  const binaries = await findEmbeddedBinaries();
  const runAs = await chooseUser(clusterDir, [dataDir, dirname(binaries.postgres)]);
  if (!existsSync(clusterDir)) await createCluster(dataDir, clusterDir, binaries, runAs, durable);
  await clearStaleLock(dataDir, clusterDir);
  await writeFile(join(dataDir, 'owner.pid'), String(process.pid));
  const password = (await readFile(join(dataDir, 'password'), 'utf8')).trim();

  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    try {
      return await startServer({ dataDir, clusterDir, binaries, runAs, durable, port, password });
    } catch (error) {
      // Somebody else may take a free port before the server does.
      if (options.port !== undefined || attempt === 5 || !/address already in use/i.test(String(error))) throw error;
    }
  }
}

async function createCluster(
  dataDir: string,
  clusterDir: string,
  binaries: EmbeddedBinaries,
  runAs: RunAs,
  durable: boolean,
): Promise<void> {
  const passwordFile = join(dataDir, 'password');
  const password = randomBytes(24).toString('base64url');
  await writeFile(passwordFile, password, { mode: 0o600 });
  // Built aside and renamed when complete, so that a crash leaves no half of a cluster.
  const building = `${clusterDir}.building`;
  await rm(building, { recursive: true, force: true });
  await mkdir(building, { mode: 0o700 });
  if (runAs.owner) await chown(building, runAs.owner.uid, runAs.owner.gid);
  const initialPassword = join(dataDir, 'password.initdb');
  await writeFile(initialPassword, password, { mode: 0o600 });
  if (runAs.owner) await chown(initialPassword, runAs.owner.uid, runAs.owner.gid);
  const [file, ...args] = [
    ...runAs.prefix,
    binaries.initdb,
    `--pgdata=${building}`,
    '--username=polymode',
    `--pwfile=${initialPassword}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    ...(durable ? [] : ['--no-sync']),
  ];
  try {
    await run(file!, args, { ...runAs.spawnAs, cwd: '/', env: cleanEnvironment() });
  } catch (cause) {
    const output = (cause as { stderr?: string }).stderr ?? '';
    throw new Error(`The database cluster could not be created in ${dataDir}. ${output.trim()}`, { cause });
  } finally {
    await rm(initialPassword, { force: true });
  }
  await rename(building, clusterDir);
}

interface ServerSettings {
  dataDir: string;
  clusterDir: string;
  binaries: EmbeddedBinaries;
  runAs: RunAs;
  durable: boolean;
  port: number;
  password: string;
}

async function startServer(settings: ServerSettings): Promise<EmbeddedPostgres> {
  const { dataDir, clusterDir, binaries, runAs, durable, port, password } = settings;
  const configuration = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    lc_messages: 'C',
    logging_collector: 'off',
    ...(durable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
  };
  const command = [
    ...runAs.prefix,
    binaries.postgres,
    '-D',
    clusterDir,
    ...Object.entries(configuration).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ];
  const logFile = join(dataDir, 'postgres.log');
  const log = await open(logFile, durable ? 'a' : 'w');
  const logStart = (await log.stat()).size;
  const { file, args } = tiedToParent(command);
  const child = spawn(file, args, {
    cwd: '/',
    env: cleanEnvironment(),
    // Its own process group: Ctrl-C in the terminal goes to us, and we say when the server ends.
    detached: process.platform !== 'win32',
    // The pipe's other end is in our hands until we die. The log goes to a file, which nobody has to keep reading.
    stdio: ['pipe', log.fd, log.fd],
    ...runAs.spawnAs,
  });
  await log.close();
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  // The pipe ends when the server does; that is no error of ours.
  child.stdin?.on('error', () => {});
  void exited.then(() => child.stdin?.destroy());
  const logTail = async () => (await readFile(logFile)).subarray(logStart).toString('utf8').slice(-4000).trim();

  const base = `postgres://polymode:${password}@127.0.0.1:${port}`;
  try {
    await untilReady(`${base}/postgres`, child, logTail);
    await ensureDatabase(`${base}/postgres`);
  } catch (error) {
    await stopServer(child, exited, 'SIGQUIT');
    throw error;
  }
  return {
    url: `${base}/polymode`,
    port,
    exited,
    stop: () => stopServer(child, exited, durable ? 'SIGINT' : 'SIGQUIT'),
  };
}

/**
 * Wraps a command so that it is told to shut down when our end of its standard input closes, which the operating system
 * does however we end. The watcher is a grandchild, since the server would take the end of a child for a crash.
 */
function tiedToParent(command: string[]): { file: string; args: string[] } {
  if (process.platform === 'win32') return { file: command[0]!, args: command.slice(1) };
  const script = [
    'exec 3<&0',
    'server=$$',
    '( { cat >/dev/null; kill -INT "$server"; } <&3 3<&- >/dev/null 2>&1 & )',
    'exec "$@" </dev/null 3<&-',
  ].join('\n');
  return { file: '/bin/sh', args: ['-c', script, 'polymode-postgres', ...command] };
}

async function untilReady(url: string, child: ChildProcess, logTail: () => Promise<string>): Promise<void> {
  let strange = 0;
  const deadline = Date.now() + 120_000; // recovery after a crash may take its time
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) {
      throw new Error(`PostgreSQL ended while starting. Its log says:\n${await logTail()}`);
    }
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2000 });
    client.on('error', () => {});
    try {
      await client.connect();
      return;
    } catch (cause) {
      const code = (cause as { code?: string }).code;
      const starting = code === 'ECONNREFUSED' || code === '57P03';
      // Any other answer may be another program's, on a port that ours is about to find taken.
      if (!starting) strange++;
      if (strange > 100 || Date.now() > deadline) {
        throw new Error(`PostgreSQL cannot be reached. Its log says:\n${await logTail()}`, { cause });
      }
    } finally {
      await client.end().catch(() => {});
    }
    await sleep(20);
  }
}

async function ensureDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rowCount } = await client.query("SELECT 1 FROM pg_database WHERE datname = 'polymode'");
    if (rowCount === 0) await client.query('CREATE DATABASE polymode');
  } finally {
    await client.end();
  }
}

async function stopServer(child: ChildProcess, exited: Promise<void>, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill(signal);
    const giveUp = new AbortController();
    const late = sleep(30_000, 'late', { signal: giveUp.signal }).catch(() => 'stopped');
    // SIGQUIT is the immediate shutdown, from which the next start recovers.
    if ((await Promise.race([exited, late])) === 'late') child.kill('SIGQUIT');
    giveUp.abort();
  }
  await exited;
}

/**
 * Deals with the lock file that a server leaves when it was killed.
 *
 * @throws Error when its server still runs and does not end soon
 */
async function clearStaleLock(dataDir: string, clusterDir: string): Promise<void> {
  const lockFile = join(clusterDir, 'postmaster.pid');
  const owner = Number(await readFile(join(dataDir, 'owner.pid'), 'utf8').catch(() => ''));
  const deadline = Date.now() + 30_000;
  for (;;) {
    const text = await readFile(lockFile, 'utf8').catch(() => null);
    if (text === null) return;
    const pid = Number(text.split('\n')[0]);
    if (!(await commandLine(pid)).includes(clusterDir)) {
      // Its process is gone. The number may belong to another program by now, which PostgreSQL would take for a server.
      await rm(lockFile, { force: true });
      return;
    }
    // Without the process that started it, it is still shutting down and will be gone soon.
    if (isAlive(owner) || Date.now() > deadline) {
      throw new Error(
        `${dataDir} is in use by a running PostgreSQL server (process ${pid}), which process ${owner} started. ` +
          'Stop that program, or use another data folder.',
      );
    }
    await sleep(50);
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

async function commandLine(pid: number): Promise<string> {
  if (!Number.isInteger(pid) || pid <= 0) return '';
  if (process.platform === 'linux') {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ');
  }
  if (process.platform === 'win32') return '';
  return run('ps', ['-ww', '-o', 'command=', '-p', String(pid)]).then(
    ({ stdout }) => stdout,
    () => '',
  );
}

/** Settings such as PGDATA or PGPORT of the caller's shell are not meant for this server. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PG')));
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('No free port.');
  return address.port;
}
