import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  connectDatabase,
  createApiKey,
  type Database,
  disconnectDatabase,
  ensureDefaultProject,
  ensureFirstKey,
  listApiKeys,
  migrate,
  revokeApiKey,
} from '@polymode/db';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@polymode/db/embedded';
import { lockDataDir } from './data-dir-lock.js';

export interface StackOptions {
  /** Where the database, stored files and logs live. Made when missing; one stack at a time may use it. */
  readonly dataDir: string;
  /** of the API; 0 for a free one */
  readonly port: number;
  /** Worker processes; the machine's cores are divided among them. @defaultValue 1 */
  readonly workers?: number;
  /** Milliseconds before a worker that died is started again: first, and at most. @defaultValue [500, 30000] */
  readonly restartMs?: readonly [number, number];
  /** More environment for API and workers. */
  readonly env?: Readonly<Record<string, string>>;
  /** The API key to accept; generated when absent and the data folder has none yet. */
  readonly apiKey?: string | undefined;
}

/** PostgreSQL, the API and workers, running on this machine without Docker. */
export interface Stack {
  /** with `/v1` */
  readonly baseURL: string;
  /** null when the data folder already had a key: only its hash is stored */
  readonly apiKey: string | null;
  readonly databaseUrl: string;
  readonly dataDir: string;
  /** Process ids of the workers that run now. */
  workerPids(): number[];
  /** Stops workers, API and database, in this order. Safe to call again. */
  stop(): Promise<void>;
}

/** The stack cannot start; the message says what to change. */
export class StackError extends Error {
  override name = 'StackError';
}

const API = fileURLToPath(import.meta.resolve('@polymode/api/main'));
const WORKER = fileURLToPath(import.meta.resolve('@polymode/worker/main'));

/** The API answers within this, or something is wrong with it. */
const READY_WITHIN_MS = 60_000;
/** A process that has not ended by then is killed. */
const STOP_WITHIN_MS = 65_000;
/** Pauses before a worker that died is started again: doubled each time, up to the second. */
const RESTART_MS: readonly [number, number] = [500, 30_000];

/**
 * Starts everything and resolves when the API is ready.
 *
 * @throws StackError when another stack uses the data folder, the port is taken, or the API does not come up
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const dataDir = resolve(options.dataDir);
  mkdirSync(join(dataDir, 'logs'), { recursive: true });
  const unlock = lockDataDir(dataDir);
  const cleanUp: (() => Promise<void> | void)[] = [unlock];
  const release = async (): Promise<void> => {
    while (cleanUp.length > 0) await cleanUp.pop()!();
  };
  try {
    const port = await claimPort(options.port);
    const postgres = await startEmbeddedPostgres({ dataDir: join(dataDir, 'postgres') });
    cleanUp.push(() => postgres.stop());
    await migrate(postgres.url);
    const organizationId = options.env?.POLYMODE_ORGANIZATION ?? process.env.POLYMODE_ORGANIZATION ?? 'polymode';
    const apiKey = await firstKey(postgres, organizationId, options.apiKey);

    const judge = await judgeKey(postgres, organizationId);
    cleanUp.push(judge.revoke);

    const workerCount = options.workers ?? 1;
    const env = {
      ...process.env,
      // Unless told otherwise, workers share the cores: more threads than cores wait for each other.
      POLYMODE_THREADS:
        process.env.POLYMODE_THREADS || String(Math.max(1, Math.floor(availableParallelism() / workerCount))),
      POLYMODE_API_URL: `http://127.0.0.1:${port}/v1`,
      // Graders ask the models that we serve, unless they are told of another server, which is none of this key's business.
      ...(process.env.POLYMODE_JUDGE_BASE_URL ? {} : { POLYMODE_JUDGE_API_KEY: judge.key }),
      ...options.env,
      DATABASE_URL: postgres.url,
      REDIS_URL: '',
      POLYMODE_DATA_DIR: dataDir,
      POLYMODE_HOST: '127.0.0.1',
      POLYMODE_PORT: String(port),
      // Every worker takes a free port and tells the database which.
      POLYMODE_INFERENCE_HOST: '127.0.0.1',
      POLYMODE_INFERENCE_PORT: '0',
      POLYMODE_INFERENCE_URL: '',
    };
    const api = startProcess(API, env, join(dataDir, 'logs', 'api.log'));
    cleanUp.push(() => api.stop());
    await waitUntilReady(`http://127.0.0.1:${port}/readyz`, api, dataDir);
    const workers = Array.from({ length: workerCount }, (_, i) =>
      keepRunning(
        () => startProcess(WORKER, env, join(dataDir, 'logs', `worker-${i + 1}.log`)),
        options.restartMs ?? RESTART_MS,
      ),
    );
    cleanUp.push(async () => {
      await Promise.all(workers.map((w) => w.stop()));
    });
    let stopped: Promise<void> | undefined;
    return {
      baseURL: `http://127.0.0.1:${port}/v1`,
      apiKey,
      databaseUrl: postgres.url,
      dataDir,
      workerPids: () => workers.flatMap((w) => w.pid() ?? []),
      stop: () => {
        stopped ??= release();
        return stopped;
      },
    };
  } catch (error) {
    await release();
    throw error;
  }
}

/** The given key, now accepted; or a generated one when there was none; or null. */
async function firstKey(
  postgres: EmbeddedPostgres,
  organizationId: string,
  given: string | undefined,
): Promise<string | null> {
  const generated = await withDatabase(postgres, (db) => ensureFirstKey(db, { organizationId, environmentKey: given }));
  return given ?? generated;
}

const JUDGE_KEY_NAME = 'graders of this machine';

/**
 * A key that graders sample with from the models that we serve, for as long as this stack runs: of any project, so it is an
 * admin's. Those who hold it hold the database anyway.
 */
async function judgeKey(
  postgres: EmbeddedPostgres,
  organizationId: string,
): Promise<{ key: string; revoke(): Promise<void> }> {
  const revoke = (): Promise<void> =>
    withDatabase(postgres, async (db) => {
      const { id: projectId } = await ensureDefaultProject(db, organizationId);
      for (const { id, name } of (await listApiKeys(db, projectId, { limit: 1000 })).data) {
        if (name === JUDGE_KEY_NAME) await revokeApiKey(db, projectId, id, 'stack');
      }
    });
  // One that was killed has left its own.
  await revoke();
  const { key } = await withDatabase(postgres, async (db) => {
    const { id: projectId } = await ensureDefaultProject(db, organizationId);
    return createApiKey(db, { projectId, name: JUDGE_KEY_NAME, scope: 'admin' }, 'stack');
  });
  return { key, revoke };
}

async function withDatabase<T>({ url }: EmbeddedPostgres, use: (db: Database) => Promise<T>): Promise<T> {
  const db = connectDatabase(url, { maxConnections: 1 });
  try {
    return await use(db);
  } finally {
    await disconnectDatabase(db);
  }
}

/** A port that is free now. @throws StackError when the wanted one is taken */
function claimPort(wanted: number): Promise<number> {
  return new Promise((done, fail) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      const advice = 'Stop what listens there, or choose another with --port or POLYMODE_PORT.';
      fail(taken ? new StackError(`Port ${wanted} is in use. ${advice}`) : error);
    });
    probe.listen(wanted, '127.0.0.1', () => {
      const address = probe.address();
      const port = typeof address === 'object' && address !== null ? address.port : wanted;
      probe.close(() => done(port));
    });
  });
}

interface RunningProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<void>;
  stop(): Promise<void>;
}

/** A Node process whose output goes to a log file, and which ends when this one dies (its channel closes). */
function startProcess(script: string, env: NodeJS.ProcessEnv, logFile: string): RunningProcess {
  mkdirSync(dirname(logFile), { recursive: true });
  const log = openSync(logFile, 'a');
  // Detached: Ctrl-C in the terminal is for us, and we stop the others in order.
  const child = spawn(process.execPath, [script], { env, stdio: ['ignore', log, log, 'ipc'], detached: true });
  closeSync(log);
  const exited = new Promise<void>((done) => {
    child.once('exit', () => done());
    child.once('error', () => done());
  });
  return {
    child,
    exited,
    stop: async () => {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}

/** Starts a process again whenever it ends by itself. */
function keepRunning(
  start: () => RunningProcess,
  [firstPause, longestPause]: readonly [number, number],
): { pid(): number | undefined; stop(): Promise<void> } {
  let current = start();
  let startedAt = Date.now();
  let stopping = false;
  let pause = firstPause;
  const watch = async (): Promise<void> => {
    while (true) {
      await current.exited;
      if (stopping) return;
      // One that ran for a while did not die of its start.
      if (Date.now() - startedAt > 10_000) pause = firstPause;
      await sleep(pause);
      if (stopping) return;
      pause = Math.min(pause * 2, longestPause);
      current = start();
      startedAt = Date.now();
    }
  };
  void watch();
  return {
    pid: () => current.child.pid,
    stop: async () => {
      stopping = true;
      await current.stop();
    },
  };
}

async function waitUntilReady(url: string, api: RunningProcess, dataDir: string): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  const log = join(dataDir, 'logs', 'api.log');
  while (Date.now() < deadline) {
    if (api.child.exitCode !== null) throw new StackError(`The API ended with code ${api.child.exitCode}; see ${log}`);
    const response = await fetch(url).catch(() => null);
    if (response?.ok) return;
    await sleep(100);
  }
  throw new StackError(`The API was not ready within ${READY_WITHIN_MS / 1000} s; see ${log}`);
}
