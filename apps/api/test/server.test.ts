import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildApp, parseConfig } from '@polymode/api';
import { connectDatabase, createFile, disconnectDatabase, ensureDefaultProject } from '@polymode/db';
import { startTestDatabase, type TestDatabase } from '@polymode/db/testing';
import { openStorage } from '@polymode/storage';
import { createLogger } from '@polymode/telemetry';
import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

const server = fileURLToPath(new URL('../dist/server.js', import.meta.url));
let database: TestDatabase;
let dir: string;
const children: ChildProcess[] = [];
beforeAll(async () => {
  database = await startTestDatabase();
  dir = await mkdtemp(join(tmpdir(), 'polymode-test-server-'));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(async () => {
  await database?.stop();
  await rm(dir, { recursive: true, force: true });
});

interface Started {
  child: ChildProcess;
  url: string;
  output: { stdout: string; stderr: string };
}

/** The API as its own process; resolves when it serves. */
async function start(env: Record<string, string>, nodeOptions: string[] = []): Promise<Started> {
  const child = spawn(process.execPath, [...nodeOptions, server], {
    env: { PATH: process.env.PATH, POLYMODE_PORT: '0', POLYMODE_DATA_DIR: dir, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  children.push(child);
  const output = { stdout: '', stderr: '' };
  child.stderr?.on('data', (data) => {
    output.stderr += data;
  });
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.on('data', (data) => {
      output.stdout += data;
      const found = /"url":"([^"]+)"/.exec(output.stdout)?.[1];
      if (found) resolve(found);
    });
    child.on('exit', (code) => reject(new Error(`The server ended with ${code}: ${output.stdout}${output.stderr}`)));
  });
  return { child, url, output };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const ended = once(child, 'exit');
  child.kill(signal);
  return ((await ended) as [number | null])[0];
}

describe('the server process', () => {
  it('takes its first key from the environment, logs lines of JSON only, and ends on SIGTERM', async () => {
    const key = 'pmk-from-the-environment';
    const { child, url, output } = await start({ DATABASE_URL: database.url, POLYMODE_API_KEY: key });
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    const client = new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 });
    expect((await client.models.list()).data).toBeInstanceOf(Array);
    expect(await end(child, 'SIGTERM')).toBe(0);
    const lines = output.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.at(-1)).toMatchObject({ name: 'api', msg: 'api has stopped' });
    expect(output.stdout).not.toContain(key);
    expect(output.stderr).toBe('');
  });

  it('generates a first key, and shows it once', async () => {
    const url = await database.fresh();
    const first = await start({ DATABASE_URL: url });
    await expect.poll(() => first.output.stderr, { timeout: 10_000 }).toMatch(/^API key, shown only now: pmk-\S+\n$/);
    const key = /pmk-\S+/.exec(first.output.stderr)?.[0] ?? '';
    expect(first.output.stdout).not.toContain(key);
    const client = new OpenAI({ apiKey: key, baseURL: `${first.url}/v1`, maxRetries: 0 });
    await client.files.list();
    expect(await end(first.child, 'SIGINT')).toBe(0);
    const second = await start({ DATABASE_URL: url });
    expect(second.output.stderr).toBe('');
    expect(await end(second.child, 'SIGTERM')).toBe(0);
  });

  it('ends when the process that started it is gone', async () => {
    const { child } = await start({ DATABASE_URL: database.url, POLYMODE_API_KEY: 'pmk-from-the-environment' });
    const ended = once(child, 'exit');
    child.disconnect();
    expect(await ended).toEqual([0, null]);
  });

  it('lists base models of an extra folder', async () => {
    const model = join(dir, 'models', 'my-llama');
    await mkdir(model, { recursive: true });
    for (const name of ['config.json', 'model.safetensors']) await writeFile(join(model, name), '{}');
    const key = 'pmk-from-the-environment';
    const env = { DATABASE_URL: database.url, POLYMODE_API_KEY: key, POLYMODE_MODELS_DIR: join(dir, 'models') };
    const { child, url } = await start(env);
    const client = new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 });
    expect(await client.models.retrieve('my-llama')).toMatchObject({ id: 'my-llama', owned_by: 'polymode' });
    expect(await end(child, 'SIGTERM')).toBe(0);
  });

  it('never loads onnxruntime or transformers', async () => {
    // A loader hook writes down every module that is resolved; `require` is watched through Module._load.
    const seen = join(dir, 'modules.txt');
    const hooks = join(dir, 'hooks.mjs');
    const register = join(dir, 'register.mjs');
    await writeFile(
      hooks,
      `import { appendFileSync } from 'node:fs';
       export async function resolve(specifier, context, next) {
         const found = await next(specifier, context);
         appendFileSync(${JSON.stringify(seen)}, found.url + '\\n');
         return found;
       }`,
    );
    await writeFile(
      register,
      `import Module, { register } from 'node:module';
       import { appendFileSync } from 'node:fs';
       const load = Module._load;
       Module._load = function (request, ...rest) {
         appendFileSync(${JSON.stringify(seen)}, request + '\\n');
         return load.call(this, request, ...rest);
       };
       register(${JSON.stringify(pathToFileURL(hooks).href)});`,
    );
    const env = { DATABASE_URL: database.url, POLYMODE_API_KEY: 'pmk-from-the-environment' };
    const { child, url } = await start(env, ['--import', pathToFileURL(register).href]);
    const client = new OpenAI({ apiKey: env.POLYMODE_API_KEY, baseURL: `${url}/v1`, maxRetries: 0 });
    await client.models.list();
    await client.fineTuning.alpha.graders.run({
      grader: { type: 'string_check', name: 'n', input: 'a', reference: 'a', operation: 'eq' },
      model_sample: 'a',
    });
    await end(child, 'SIGTERM');
    const modules = (await readFile(seen, 'utf8')).split('\n');
    expect(modules.some((name) => name.includes('/fastify/'))).toBe(true);
    expect(modules.some((name) => name.includes('policy/dist/registry.js'))).toBe(true);
    const heavy = /onnxruntime|@huggingface|@rdkit|packages\/(autodiff|trainer|objectives)\/|policy\/dist\/index/;
    expect(modules.filter((name) => heavy.test(name))).toEqual([]);
  });

  it('deletes the bytes of expired files', async () => {
    const storage = openStorage({ dir: join(dir, 'storage') });
    const db = connectDatabase(database.url);
    const { id: projectId } = await ensureDefaultProject(db, 'polymode');
    const keep = (id: string, expiresAt: Date | null) =>
      storage
        .put(`files/${id}`, Buffer.from('bytes'))
        .then(({ key, bytes, sha256 }) =>
          createFile(db, { id, projectId, filename: id, purpose: 'vision', bytes, sha256, storageKey: key, expiresAt }),
        );
    await keep('file-expired', new Date(Date.now() - 1000));
    await keep('file-later', new Date(Date.now() + 3_600_000));
    await keep('file-forever', null);
    await disconnectDatabase(db);
    const { child } = await start({ DATABASE_URL: database.url, POLYMODE_API_KEY: 'pmk-from-the-environment' });
    await expect.poll(() => storage.stat('files/file-expired'), { timeout: 10_000 }).toBeNull();
    expect(await storage.stat('files/file-later')).toEqual({ bytes: 5 });
    expect(await storage.stat('files/file-forever')).toEqual({ bytes: 5 });
    expect(await end(child, 'SIGTERM')).toBe(0);
  });

  it('is healthy but not ready without its database', async () => {
    const db = connectDatabase('postgres://nobody@127.0.0.1:1/none');
    const app = await buildApp({
      db,
      storage: openStorage({ dir }),
      queue: { enqueue: async () => true, enqueueNew: async () => {} },
      logger: createLogger({ name: 'api', level: 'silent' }),
      listBaseModels: () => [],
      parameterCount: async () => undefined,
      specialTokens: async () => [],
      graderServices: {},
    });
    expect((await app.inject('/healthz')).statusCode).toBe(200);
    expect((await app.inject('/readyz')).statusCode).toBe(503);
    const failed = await app.inject({ url: '/v1/models', headers: { authorization: 'Bearer pmk-any' } });
    expect([failed.statusCode, failed.json().error.type]).toEqual([500, 'server_error']);
    expect(failed.json().error.message).toContain(failed.headers['x-request-id']);
    await app.close();
    await disconnectDatabase(db);
  });

  it('says what is wrong when it cannot start', async () => {
    await expect(start({ POLYMODE_PORT: 'http' })).rejects.toThrow(
      /ended with 1.*DATABASE_URL is not set.*POLYMODE_PORT is 'http'/s,
    );
  });
});

describe('parseConfig', () => {
  const DATABASE_URL = 'postgres://u:p@localhost/db';

  it('has defaults for all but the database', () => {
    expect(parseConfig({ DATABASE_URL, REDIS_URL: '', POLYMODE_DATA_DIR: '/data' })).toEqual({
      databaseUrl: DATABASE_URL,
      redisUrl: undefined,
      apiKey: undefined,
      host: '127.0.0.1',
      port: 8000,
      dataDir: '/data',
      modelDirs: ['/data/models'],
      modelAliases: {},
      organizationId: 'polymode',
      maxUploadBytes: 512 * 1024 * 1024,
      requestsPerMinute: 6000,
      tokensPerMinute: 0,
      graders: { endpointAllow: [] },
      wandb: null,
      logLevel: undefined,
    });
  });

  it.each([
    ['POLYMODE_PORT', '70000'],
    ['POLYMODE_ORGANIZATION', 'a:b'],
    ['POLYMODE_MAX_UPLOAD_BYTES', '1 GB'],
    ['POLYMODE_REQUESTS_PER_MINUTE', '-1'],
    ['POLYMODE_JUDGE_BASE_URL', 'my-judge'],
    ['POLYMODE_MODEL_ALIASES', 'gpt-4.1'],
  ])('refuses %s = %s', (name, value) => {
    expect(() => parseConfig({ DATABASE_URL, [name]: value })).toThrow(`${name} is '${value}'. Set `);
  });
});
