import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ApiServer, parseConfig, startServer } from '@polymode/api';
import { connectDatabase, type Database, disconnectDatabase, verifyApiKey } from '@polymode/db';
import { startTestDatabase, type TestDatabase } from '@polymode/db/testing';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runKeys } from '../dist/keys.js';
import { runProjects } from '../dist/projects.js';

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));

let database: TestDatabase;
let db: Database;
let server: ApiServer;
let dir: string;
let admin: string;
beforeAll(async () => {
  database = await startTestDatabase();
  db = connectDatabase(database.url, { maxConnections: 1 });
  dir = await mkdtemp(join(tmpdir(), 'polymode-cli-keys-'));
  // Whoever has the database makes the first key, before any API runs.
  const { stdout } = await spawned(['keys', 'create', 'first', '--scope', 'admin', '--local', '--json'], {
    DATABASE_URL: database.url,
  });
  admin = (JSON.parse(stdout) as { value: string }).value;
  const env = { DATABASE_URL: database.url, POLYMODE_PORT: '0', POLYMODE_DATA_DIR: dir, LOG_LEVEL: 'silent' };
  server = await startServer(parseConfig(env));
});
afterAll(async () => {
  await server?.close();
  if (db) await disconnectDatabase(db);
  await database?.stop();
  await rm(dir, { recursive: true, force: true });
});

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}
/** The command as a process of its own, which knows nothing of this machine's settings but what is given. */
const spawned = (args: string[], env: Record<string, string>): Promise<Ran> =>
  new Promise((done) => {
    execFile(
      process.execPath,
      [main, ...args],
      { env: { PATH: process.env.PATH, ...env } },
      (error, stdout, stderr) => {
        done({ code: error === null ? 0 : Number(error.code), stdout, stderr });
      },
    );
  });

const SETTINGS = ['DATABASE_URL', 'POLYMODE_API_KEY', 'POLYMODE_BASE_URL', 'POLYMODE_ORGANIZATION'];

/** The same in this process, which costs no start. */
async function polymode([word, ...args]: string[], env: Record<string, string>): Promise<Ran> {
  const before = { ...process.env };
  for (const name of SETTINGS) delete process.env[name];
  Object.assign(process.env, env);
  const said = { stdout: '', stderr: '' };
  const { stdout, stderr } = process;
  const [out, err] = [stdout.write.bind(stdout), stderr.write.bind(stderr)];
  stdout.write = (text) => {
    said.stdout += text;
    return true;
  };
  stderr.write = (text) => {
    said.stderr += text;
    return true;
  };
  try {
    await (word === 'keys' ? runKeys : runProjects)(args);
    return { code: 0, ...said };
  } catch (error) {
    if (!(error instanceof Error) || !('exitCode' in error)) throw error;
    return { code: Number(error.exitCode), stdout: said.stdout, stderr: `${said.stderr}${error.message}` };
  } finally {
    Object.assign(stdout, { write: out });
    Object.assign(stderr, { write: err });
    for (const name of SETTINGS) delete process.env[name];
    Object.assign(process.env, before);
  }
}
const overApi = () => ({ POLYMODE_BASE_URL: `${server.url}/v1`, POLYMODE_API_KEY: admin });
const inDatabase = () => ({ DATABASE_URL: database.url });
const models = (apiKey: string) => new OpenAI({ apiKey, baseURL: `${server.url}/v1`, maxRetries: 0 }).models.list();

describe('the first key', () => {
  it('is made in the database, and is the one of the installation: the API generates none beside it', async () => {
    expect(server.generatedKey).toBeNull();
    expect((await models(admin)).data.length).toBeGreaterThan(0);
  });
});

describe.each(['over the API', 'in the database'])('%s', (where) => {
  const run = async (...args: string[]): Promise<Ran> =>
    where === 'over the API' ? polymode(args, overApi()) : polymode([...args, '--local'], inDatabase());

  it('keys are created, listed and revoked', async () => {
    const made = await run(
      'keys',
      'create',
      'laptop',
      '--scope',
      'read',
      '--requests-per-minute',
      '50',
      '--tokens-per-minute',
      '70',
    );
    expect(made.code).toBe(0);
    // The key alone goes to standard output, so that a script can keep it.
    expect(made.stdout).toMatch(/^pmk-[\w-]{32}\n$/);
    const key = made.stdout.trim();
    const id = /^(key_\w+), scope read/.exec(made.stderr)![1]!;
    expect((await verifyApiKey(db, key))?.tokensPerMinute).toBe(70);
    const response = await models(key).asResponse();
    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('50');
    const listed = await run('keys', 'list');
    expect(listed.stdout.split('\n')).toContain([id, `${key.slice(0, 8)}…`, 'read', 'laptop'].join('\t'));
    expect(listed.stdout).not.toContain(key);
    const revoked = await run('keys', 'revoke', id);
    expect([revoked.code, revoked.stdout]).toEqual([0, `${id} is revoked.\n`]);
    await expect(models(key)).rejects.toMatchObject({ status: 401 });
    expect((await run('keys', 'list')).stdout).not.toContain(id);
  });

  it('projects are created and listed, with keys of their own', async () => {
    const { id } = JSON.parse((await run('projects', 'create', 'research', '--json')).stdout) as { id: string };
    const made = await run('keys', 'create', 'r', '--project', id, '--json');
    const { value } = JSON.parse(made.stdout) as { value: string };
    const response = await models(value).asResponse();
    expect(response.headers.get('openai-project')).toBe(id);
    expect((await run('projects', 'list')).stdout).toContain(`${id}\tactive\tresearch\n`);
  });

  it('an archived project is no more listed, and its keys are refused', async () => {
    const { id } = JSON.parse((await run('projects', 'create', 'research', '--json')).stdout) as { id: string };
    expect((await run('projects', 'archive', id)).stdout).toBe(`${id}\tarchived\tresearch\n`);
    expect((await run('projects', 'list')).stdout).not.toContain(id);
    expect((await run('projects', 'list', '--all')).stdout).toContain(`${id}\tarchived\tresearch\n`);
    const late = await run('keys', 'create', 'late', '--project', id);
    expect([late.code, late.stdout]).toEqual([1, '']);
    expect(late.stderr).toMatch(/is archived/);
  });

  it('what is not there ends with a sentence, not a trace', async () => {
    for (const args of [
      ['keys', 'revoke', 'key_none'],
      ['keys', 'list', '--project', 'proj_none'],
      ['projects', 'archive', 'proj_none'],
    ]) {
      const { code, stderr } = await run(...args);
      expect(code).toBe(1);
      expect(stderr).toMatch(/No such (API key|project)/);
      expect(stderr).not.toMatch(/\n\s+at /);
    }
  });
});

describe('a call that is wrong', () => {
  it('ends its process with 2, and one that fails with 1', async () => {
    const [wrong, failed] = await Promise.all([
      spawned(['keys', 'create'], {}),
      spawned(['projects', 'list'], { ...overApi(), POLYMODE_API_KEY: 'pmk-wrong-wrong-wrong' }),
    ]);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('Usage: polymode keys')]);
    expect([failed.code, failed.stderr]).toEqual([1, expect.stringContaining('Incorrect API key')]);
  });

  it.each([
    [['keys'], 'Usage: polymode keys'],
    [['keys', 'create'], 'Usage: polymode keys'],
    [['keys', 'create', 'a', 'b'], 'Usage: polymode keys'],
    [['keys', 'create', 'a', '--scope', 'root'], '--scope'],
    [['keys', 'create', 'a', '--requests-per-minute', 'many'], '--requests-per-minute'],
    [['keys', 'create', 'a', '--tokens-per-minute', '0'], '--tokens-per-minute'],
    [['keys', 'list', '--what'], 'Usage: polymode keys'],
    [['keys', 'list'], 'POLYMODE_API_KEY is not set'],
    [['keys', 'list', '--local'], 'DATABASE_URL is not set'],
    [['projects', 'rename', 'a'], 'Usage: polymode projects'],
  ])('%j says how', async (args, said) => {
    const { code, stderr } = await polymode(args, {});
    expect(code).toBe(2);
    expect(stderr).toContain(said);
  });

  it('and an API that is away or refuses says so', async () => {
    const away = await polymode(['keys', 'list'], { ...overApi(), POLYMODE_BASE_URL: 'http://127.0.0.1:1/v1' });
    expect([away.code, away.stderr]).toEqual([1, expect.stringMatching(/^The API cannot be reached/)]);
    const wrong = await polymode(['keys', 'list'], { ...overApi(), POLYMODE_API_KEY: 'pmk-wrong-wrong-wrong' });
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining('Incorrect API key')]);
  });
});
