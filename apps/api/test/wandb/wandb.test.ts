import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseConfig } from '@polymode/api';
import {
  acquireLease,
  cancelJob,
  claimWandbRuns,
  failJob,
  markRunning,
  recordStep,
  settleWandbRun,
  succeedJob,
} from '@polymode/db';
import { createLogger } from '@polymode/telemetry';
import type OpenAI from 'openai';
import { BadRequestError } from 'openai';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startWandb, type WandbDelivery } from '../../src/wandb/delivery.js';
import { runUrl } from '../../src/wandb/settings.js';
import { jobBody, leaveCheckpoint, refusal, startTestApi, type TestApi, uploadRows, voxelRow } from '../harness.js';
import { type StoredRun, startWandbServer, type WandbServer } from './server.js';

type Job = OpenAI.FineTuning.FineTuningJob;

const KEY = 'wandb-key-of-a-test';
const wandb = (project: string, change: object = {}) => ({ type: 'wandb' as const, wandb: { project, ...change } });

let api: TestApi;
let training: string;
let server: WandbServer;
let stop: (() => Promise<void>) | undefined;
const logs: string[] = [];
const senders: ChildProcess[] = [];

beforeAll(async () => {
  api = await startTestApi({ wandb: true });
  training = await uploadRows(api.client, ...['1010', '0110', '1111', '0001'].map(voxelRow));
});
beforeEach(async () => {
  await api.db.wandbRun.deleteMany();
  server = await startWandbServer(KEY);
  logs.length = 0;
});
afterEach(async () => {
  for (const sender of senders.splice(0)) sender.kill('SIGKILL');
  await stop?.();
  stop = undefined;
  await server.stop();
});
afterAll(() => api?.stop());

const jobs = () => api.client.fineTuning.jobs;
const create = (integrations: unknown, change: object = {}) =>
  jobs().create(jobBody(training, { integrations, ...change }));
const deliver = (change: Partial<WandbDelivery> = {}): void => {
  const destination = { write: (line: string) => void logs.push(line) };
  stop = startWandb({
    db: api.db,
    logger: createLogger({ name: 'test', destination }),
    settings: { baseUrl: server.url, apiKey: KEY, entity: null },
    intervalMs: 10,
    batchMs: 20,
    timeoutMs: 2000,
    retryAfter: () => 10,
    ...change,
  });
};

const begin = async (id: string): Promise<void> => {
  await acquireLease(api.db, id, 'worker', 600_000);
  await markRunning(api.db, id, 'worker', []);
};
const step = (jobId: string, step: number) =>
  recordStep(api.db, {
    jobId,
    owner: 'worker',
    step,
    metrics: { step, train_loss: 1 / step, valid_loss: null, scores: { graders: [{ name: 'g', mean: step }] } },
    events: [],
  });
const steps = async (id: string, first: number, last: number): Promise<void> => {
  for (let at = first; at <= last; at++) await step(id, at);
};
const succeed = (id: string) =>
  succeedJob(api.db, id, 'worker', { fineTunedModel: `ft:${id}`, trainedTokens: 1, resultFiles: [] }, []);
const running = async (integrations: unknown = [wandb('p')], change: object = {}): Promise<string> => {
  const { id } = await create(integrations, change);
  await begin(id);
  return id;
};

const run = (id: string, project = 'p', entity = 'own-team'): StoredRun | undefined =>
  server.runs.get(`${entity}/${project}/${id}`);
const ended = (id: string) => expect.poll(() => run(id)?.exitCode, { timeout: 30_000 });
const settled = (id: string) =>
  expect.poll(() => api.db.wandbRun.count({ where: { jobId: id, nextAttemptAt: { not: null } } }), { timeout: 30_000 });
const told = async (id: string) =>
  (await jobs().listEvents(id, { limit: 100 })).data.filter(({ message }) => message.startsWith('Weights'));
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);
const stepsOf = (id: string) => run(id)?.lines.map(({ _step }) => _step);

describe('a job with integrations', () => {
  it('is made as OpenAI has them, and shows them wherever it is shown', async () => {
    const integrations = [
      wandb('p', { name: 'n', entity: 'e', tags: ['a'] }),
      wandb('q', { name: null, entity: null }),
    ];
    const shown = [
      wandb('p', { name: 'n', entity: 'e', tags: ['a'] }),
      wandb('q', { name: null, entity: null, tags: [] }),
    ];
    const job = await create(integrations);
    expect(job.integrations).toEqual(shown);
    expect((await jobs().retrieve(job.id)).integrations).toEqual(shown);
    expect((await jobs().list({ limit: 1 })).data[0]!.integrations).toEqual(shown);
    for (const none of [undefined, null, []]) expect((await create(none)).integrations).toEqual([]);
    const document = (await (await fetch(`${api.url}/openapi.json`)).json()) as object;
    expect(JSON.stringify(document)).toContain('"const":"wandb"');
  });

  it('hands them on to its forks, which may have others or none', async () => {
    const job = await create([wandb('p')]);
    await leaveCheckpoint(api, job.id, 1, { 'state/state.json': Buffer.from('{}') });
    const fork = (body: object) => api.client.post<Job>(`/fine_tuning/jobs/${job.id}/fork`, { body });
    expect((await fork({})).integrations).toEqual(job.integrations);
    expect((await fork({ integrations: [wandb('q')] })).integrations).toMatchObject([wandb('q')]);
    expect((await fork({ integrations: [] })).integrations).toEqual([]);
  });

  it('is refused where the operator has set no key, and nothing else is', async () => {
    const without = await startTestApi();
    try {
      const file = await uploadRows(without.client, voxelRow('1010'));
      const error = await refusal(without.client.fineTuning.jobs.create(jobBody(file, { integrations: [wandb('p')] })));
      expect(error).toBeInstanceOf(BadRequestError);
      expect(error).toMatchObject({ param: 'integrations', code: 'wandb_not_configured' });
      expect(error.message).toMatch(/WANDB_API_KEY/);
      const job = await without.client.fineTuning.jobs.create(jobBody(file, { integrations: [] }));
      expect(job.integrations).toEqual([]);
    } finally {
      await without.stop();
    }
  });

  it('reads what the operator sets, and says what is wrong with it without saying it', () => {
    const config = (env: Record<string, string>) => parseConfig({ DATABASE_URL: 'postgres://h/d', ...env }).wandb;
    expect(config({})).toBeNull();
    expect(config({ WANDB_BASE_URL: 'https://wandb.example.com' })).toBeNull();
    expect(config({ WANDB_API_KEY: 'k', WANDB_ENTITY: '' })).toEqual({
      baseUrl: 'https://api.wandb.ai',
      apiKey: 'k',
      entity: null,
    });
    expect(config({ WANDB_API_KEY: 'k', WANDB_BASE_URL: 'http://[::1]:8080/w/', WANDB_ENTITY: 'e' })).toEqual({
      baseUrl: 'http://[::1]:8080/w',
      apiKey: 'k',
      entity: 'e',
    });
    for (const url of ['api.wandb.ai', 'ftp://h', 'https://user:secret@h']) {
      expect(() => config({ WANDB_API_KEY: 'k', WANDB_BASE_URL: url })).toThrow(/^WANDB_BASE_URL is no address/);
    }
  });
});

describe('a run', () => {
  it('has the settings of its job, every step, and how it ended', async () => {
    deliver();
    const { id } = await create([wandb('p', { name: 'my run', tags: ['mine'] })], {
      seed: 5,
      suffix: 's',
      metadata: { a: 'b' },
      validation_file: training,
    });
    await sleep(100);
    expect(server.received).toEqual([]);
    await begin(id);
    await expect.poll(() => run(id)?.displayName, { timeout: 30_000 }).toBe('my run');
    await steps(id, 1, 3);
    await expect.poll(() => stepsOf(id), { timeout: 30_000 }).toEqual([1, 2, 3]);
    expect(run(id)?.exitCode).toBeUndefined();
    await steps(id, 4, 5);
    await succeed(id);
    await ended(id).toBe(0);

    const { tags, config, lines, sent, summary } = run(id)!;
    expect(tags).toEqual(['polymode/finetune', 'polymode/polymode-tiny', `polymode/${id}`, 'mine']);
    const job = await jobs().retrieve(id);
    expect(config).toEqual({
      job_id: id,
      model: 'polymode-tiny',
      base_model: 'polymode-tiny',
      training_file: training,
      validation_file: training,
      suffix: 's',
      seed: 5,
      method: 'reinforcement',
      hyperparameters: job.method!.reinforcement!.hyperparameters,
      metadata: { a: 'b' },
    });
    expect(sent).toEqual([1, 1, 1, 1, 1]);
    const metrics = (await api.client.get(`/fine_tuning/jobs/${id}/metrics`)) as {
      data: { step: number; created_at: number; data: Record<string, unknown> }[];
    };
    for (const [i, { data, created_at }] of metrics.data.entries()) {
      const { _step, _timestamp, _runtime, ...figures } = lines[i] as Record<string, number>;
      expect([_step, Math.floor(_timestamp!), _runtime! >= 0 && _runtime! < 60]).toEqual([i + 1, created_at, true]);
      expect(figures).toEqual({
        step: data.step,
        train_loss: data.train_loss,
        scores: { graders: { 0: { name: 'g', mean: i + 1 } } },
      });
    }
    expect(summary).toMatchObject({ ...lines[4], status: 'succeeded', fine_tuned_model: `ft:${id}` });
    await settled(id).toBe(0);
    expect(await told(id)).toMatchObject([
      { level: 'info', message: `Weights & Biases run created: ${server.url}/own-team/p/runs/${id}` },
    ]);
  });

  it('of a job that failed or was cancelled says so; one that never began has none', async () => {
    const failed = await running();
    await step(failed, 1);
    const error = { code: 'x', message: 'y', param: null };
    await failJob(api.db, failed, 'worker', error, []);
    const cancelled = await running();
    await cancelJob(api.db, api.projectId, cancelled, []);
    const never = (await create([wandb('p')])).id;
    await cancelJob(api.db, api.projectId, never, []);
    deliver();
    await ended(failed).toBe(1);
    await ended(cancelled).toBe(255);
    await settled(never).toBe(0);
    expect(run(failed)!.summary).toMatchObject({ _step: 1, status: 'failed', error });
    expect(run(cancelled)!.summary).toEqual({ status: 'cancelled' });
    expect([...server.runs.keys()].sort()).toEqual([failed, cancelled].map((id) => `own-team/p/${id}`).sort());
  });

  it("is one for each integration, also in one project, of the entity that is named, set or the key's own", async () => {
    const id = await running([wandb('p'), wandb('p', { name: 'again' }), wandb('q r', { entity: 'a team' })]);
    await step(id, 1);
    await succeed(id);
    deliver({ settings: { baseUrl: server.url, apiKey: KEY, entity: 'set' } });
    await settled(id).toBe(0);
    const [first, second, third] = [run(id, 'p', 'set'), run(`${id}-2`, 'p', 'set'), run(`${id}-3`, 'q r', 'a team')];
    expect([first, second, third].map((one) => [one?.displayName, one?.sent, one?.exitCode])).toEqual([
      [id, [1], 0],
      ['again', [1], 0],
      [id, [1], 0],
    ]);
    expect((await told(id)).map(({ message }) => message).sort()[0]).toContain('/a%20team/q%20r/runs/');
  });

  it('of thousands of steps takes a request for every 500', async () => {
    const id = await running();
    await api.db.$executeRaw`
      INSERT INTO step_metrics (job_id, step, metrics)
      SELECT ${id}, n, jsonb_build_object('train_loss', 1.0 / n) FROM generate_series(1, 4100) n`;
    await succeed(id);
    deliver();
    await ended(id).toBe(0);
    expect(stepsOf(id)).toEqual(upTo(4100));
    expect(new Set(run(id)!.sent)).toEqual(new Set([1]));
    expect(server.received).toHaveLength(1 + 9);
    expect(server.wrong).toEqual([]);
  });

  it('of large steps is told them in requests of four MiB or so', async () => {
    const id = await running();
    await api.db.$executeRaw`
      INSERT INTO step_metrics (job_id, step, metrics)
      SELECT ${id}, n, jsonb_build_object('text', repeat('x', 100000)) FROM generate_series(1, 100) n`;
    await succeed(id);
    deliver();
    await ended(id).toBe(0);
    expect(stepsOf(id)).toEqual(upTo(100));
    expect(new Set(run(id)!.sent)).toEqual(new Set([1]));
    expect(server.received).toHaveLength(1 + 3);
    expect(run(id)!.summary).toMatchObject({ _step: 100 });
  });

  it('that has nothing to say is said to be alive', async () => {
    const id = await running();
    deliver();
    await expect.poll(() => server.received.length, { timeout: 30_000 }).toBe(2);
    await sleep(200);
    expect(server.received).toHaveLength(2);
    await api.db.wandbRun.updateMany({ where: { jobId: id }, data: { sentAt: new Date(Date.now() - 31_000) } });
    await expect.poll(() => server.received.length, { timeout: 30_000 }).toBe(3);
    expect(server.received[2]!.body).toEqual({});
  });

  it('is looked at where its server has its pages', () => {
    const at = { entity: 'e', project: 'p' };
    expect(runUrl('https://api.wandb.ai', at, 'r')).toBe('https://wandb.ai/e/p/runs/r');
    expect(runUrl('https://api.example.com', at, 'r')).toBe('https://app.example.com/e/p/runs/r');
    expect(runUrl('http://wandb.internal:8080', at, 'r')).toBe('http://wandb.internal:8080/e/p/runs/r');
  });
});

describe('a server that', () => {
  it('fails, is not there, says nothing or breaks off gets every line once it is well, and no event tells of it', async () => {
    const id = await running();
    await steps(id, 1, 3);
    server.mishaps.push(500, 'cut', 429, 'cut after', 'silence', 503, 'cut after', 'cut');
    deliver({ timeoutMs: 200 });
    await expect.poll(() => stepsOf(id), { timeout: 30_000 }).toEqual([1, 2, 3]);
    await server.stop();
    await steps(id, 4, 6);
    await expect
      .poll(async () => (await api.db.wandbRun.findFirstOrThrow({ where: { jobId: id } })).lastError, {
        timeout: 30_000,
      })
      .toMatch(/ECONNREFUSED/);
    await succeed(id);
    await server.start();
    await ended(id).toBe(0);
    expect(stepsOf(id)).toEqual(upTo(6));
    expect(server.wrong).toEqual([]);
    expect((await told(id)).map(({ level }) => level)).toEqual(['info']);
  });

  it('does not take the key is told of once, and has everything when it takes one', async () => {
    const id = await running();
    await step(id, 1);
    deliver({ settings: { baseUrl: server.url, apiKey: 'another-secret-key', entity: null } });
    await expect.poll(() => server.received.length, { timeout: 30_000 }).toBeGreaterThan(3);
    await stop!();
    const [event, ...more] = await told(id);
    expect([event?.level, more]).toEqual(['warn', []]);
    expect(event?.message).toMatch(/with the key in WANDB_API_KEY: it answered 401: nobody is 'api:\[redacted\]'/);
    expect(JSON.stringify([event, logs])).not.toContain('another-secret-key');
    deliver();
    await step(id, 2);
    await succeed(id);
    await ended(id).toBe(0);
    expect(stepsOf(id)).toEqual([1, 2]);
    expect((await told(id)).map(({ level }) => level)).toEqual(['info', 'warn']);
  });

  it('knows no such team is told of as well, and asked again', async () => {
    const id = await running([wandb('p', { entity: 'later' })]);
    server.mishaps.push('no such entity', 'no such entity');
    deliver();
    await expect.poll(() => run(id, 'p', 'later'), { timeout: 30_000 }).toBeDefined();
    const message = (await told(id)).find(({ level }) => level === 'warn')?.message;
    expect(message).toMatch(/it answered: entity later not found; they follow once it does$/);
  });

  it('refuses the run, or is away for too long, is given up on with one warning, and the job is not', async () => {
    const refused = await running();
    server.mishaps.push(404);
    deliver({ retryAfter: (attempts) => (attempts < 3 ? 1 : null) });
    await settled(refused).toBe(0);
    await server.stop();
    const away = await running();
    await step(away, 1);
    await settled(away).toBe(0);
    await server.start();
    for (const [id, why] of [
      [refused, /given up on .* it answered 404: /],
      [away, /given up on .* it cannot be reached: ECONNREFUSED/],
    ] as const) {
      await succeed(id);
      const [event, ...more] = await told(id);
      expect([event?.level, more]).toEqual(['warn', []]);
      expect(event?.message).toMatch(why);
      expect((await jobs().retrieve(id)).status).toBe('succeeded');
    }
    await sleep(100);
    expect(server.runs.size).toBe(0);
  });

  it('redirects is not followed: the key goes nowhere else', async () => {
    const id = await running();
    server.mishaps.push(307, 302, 301);
    deliver();
    await expect.poll(() => server.received.length, { timeout: 30_000 }).toBe(5);
    expect(new Set(server.received.map(({ path }) => path.replace(id, 'id')))).toEqual(
      new Set(['/graphql', '/files/own-team/p/id/file_stream']),
    );
  });
});

describe('whoever sends', () => {
  it('does not matter: several share the runs, and each line comes once', async () => {
    const others = [1, 2, 3].map(() =>
      startWandb({
        db: api.db,
        logger: createLogger({ name: 'test', level: 'silent' }),
        settings: { baseUrl: server.url, apiKey: KEY, entity: null },
        intervalMs: 5,
        batchMs: 5,
      }),
    );
    try {
      const ids = [await running(), await running(), await running()];
      for (const n of upTo(20)) for (const id of ids) await step(id, n);
      for (const id of ids) await succeed(id);
      for (const id of ids) {
        await ended(id).toBe(0);
        expect(stepsOf(id)).toEqual(upTo(20));
        expect(run(id)!.sent).toEqual(Array(20).fill(1));
      }
    } finally {
      for (const end of others) await end();
    }
  });

  it('and was taken for dead changes nothing when it comes back', async () => {
    const id = await running();
    const [old] = await claimWandbRuns(api.db, 8, 1);
    await sleep(20);
    const [taken] = await claimWandbRuns(api.db, 8, 60_000);
    expect([old?.jobId, taken?.jobId, taken?.attempts]).toEqual([id, id, 2]);
    await settleWandbRun(api.db, taken!, { sentStep: 7, error: null, nextInMs: 60_000 });
    await settleWandbRun(api.db, old!, { sentStep: 2, error: null, nextInMs: null });
    const row = await api.db.wandbRun.findFirstOrThrow({ where: { jobId: id } });
    expect([row.sentStep, row.attempts, row.nextAttemptAt !== null]).toEqual([7, 0, true]);
  });

  it('may be killed at any instant: the run is the same', { timeout: 180_000 }, async () => {
    const id = await running();
    const script = fileURLToPath(new URL('sender.mjs', import.meta.url));
    const start = async (): Promise<ChildProcess> => {
      const child = spawn(process.execPath, [script, api.databaseUrl, server.url, KEY], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      senders.push(child);
      await once(child.stdout!, 'data');
      return child;
    };
    let random = 2601;
    const next = (): number => {
      random = (random * 1103515245 + 12345) % 2 ** 31;
      return random / 2 ** 31;
    };
    let at = 0;
    for (let kill = 1; kill <= 12; kill++) {
      const child = await start();
      // Of the requests to come some fail, so that kills also find it between attempts.
      if (kill % 3 === 0) server.mishaps.push('cut after', 500);
      const before = server.received.length;
      const until = at + 4 + Math.floor(next() * 6);
      while (at < until) {
        await step(id, ++at);
        await sleep(next() * 20);
      }
      // One that was killed holds its claim for a while.
      await expect.poll(() => server.received.length, { timeout: 30_000 }).toBeGreaterThan(before);
      await sleep(next() * 40);
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await succeed(id);
    await start();
    await ended(id).toBe(0);
    await settled(id).toBe(0);
    expect(stepsOf(id)).toEqual(upTo(at));
    expect(server.wrong).toEqual([]);
    expect((await told(id)).map(({ level }) => level)).toEqual(['info']);
  });
});

describe('what is sent', () => {
  const reference = JSON.parse(readFileSync(new URL('../fixtures/wandb/reference.json', import.meta.url), 'utf8')) as {
    auth: [string, string];
    mutation: { path: string; variables: Record<string, string>; input: Record<string, string> };
    upsert: Record<string, unknown>;
    path: string;
    keys: string[];
    history: Record<string, unknown>[];
    summary: { offset: number; lines: Record<string, unknown>[] };
    endings: Record<'finished' | 'failed' | 'interrupted', { complete: boolean; exitcode: number }>;
  };

  it('is what the wandb package sends of such a run', async () => {
    const { upsert, mutation } = reference;
    const id = await running([
      wandb(upsert.project as string, { entity: upsert.entity, name: upsert.displayName, tags: upsert.tags }),
    ]);
    // The same figures as its script logs.
    for (const n of upTo(3)) {
      const metrics = { loss: 1 / n, grpo: { kl: 0.5 * n } };
      await recordStep(api.db, { jobId: id, owner: 'worker', step: n, metrics, events: [] });
    }
    await succeed(id);
    const key = reference.auth[1].replace('api:', '');
    await server.stop();
    server = await startWandbServer(key);
    deliver({ settings: { baseUrl: server.url, apiKey: key, entity: null } });
    await settled(id).toBe(0);
    const [first, second, ...more] = server.received;
    expect(more).toEqual([]);

    expect(first!.path).toBe(mutation.path);
    for (const { headers } of server.received) {
      const [scheme, credentials] = headers.authorization!.split(' ');
      expect([scheme, Buffer.from(credentials!, 'base64').toString()]).toEqual(reference.auth);
      expect(headers['content-type']).toBe('application/json');
    }
    const { query, variables } = first!.body;
    const declared = Object.fromEntries(
      [...query!.matchAll(/\$(\w+): ([\w![\]]+)/g)].map(([, name, type]) => [name, type]),
    );
    const input = Object.fromEntries(
      [
        ...query!
          .split('input:')[1]!
          .split('}')[0]!
          .matchAll(/(\w+):\s*\$(\w+)/g),
      ].map(([, field, name]) => [field, name]),
    );
    expect(mutation.variables).toMatchObject(declared);
    expect(mutation.input).toMatchObject(input);
    expect(Object.keys(variables!).sort()).toEqual(Object.keys(declared).sort());
    expect(Object.values(input).sort()).toEqual(Object.keys(declared).sort());
    // All that it says is said, of this job: the id, our tags and its settings differ.
    expect(Object.keys(upsert).sort()).toEqual(Object.keys(variables!).sort());
    const { config, tags, name, ...named } = variables!;
    expect(upsert).toMatchObject(named);
    expect(name).toBe(id);
    expect(tags).toEqual(expect.arrayContaining(upsert.tags as string[]));
    for (const setting of Object.values(JSON.parse(config as string) as Record<string, object>)) {
      expect(Object.keys(setting)).toEqual(['value']);
    }

    expect(second!.path).toBe(reference.path.replace('ftjob-1', id));
    const { files, ...rest } = second!.body;
    expect(rest).toEqual(reference.endings.finished);
    expect(reference.keys).toEqual(expect.arrayContaining(Object.keys(second!.body)));
    const kinds = (line: string) => {
      const { _timestamp, _runtime, ...values } = JSON.parse(line) as Record<string, unknown>;
      return { ...values, _timestamp: typeof _timestamp, _runtime: typeof _runtime };
    };
    const history = files!['wandb-history.jsonl']!;
    expect([history.offset, history.content.map(kinds)]).toEqual([0, reference.history]);
    const summary = files!['wandb-summary.json']!;
    expect([summary.offset, summary.content.length]).toEqual([reference.summary.offset, 1]);
    expect(kinds(summary.content[0]!)).toMatchObject(reference.summary.lines[0]!);
  });

  it('ends a run that failed or was cancelled as the package ends one that failed or was interrupted', async () => {
    const ending = async (end: (id: string) => Promise<unknown>) => {
      const id = await running();
      await end(id);
      await settled(id).toBe(0);
      const { complete, exitcode } = server.received.at(-1)!.body;
      return { complete, exitcode };
    };
    deliver();
    const { failed, interrupted } = reference.endings;
    const error = { code: 'x', message: 'y', param: null };
    expect(await ending((id) => failJob(api.db, id, 'worker', error, []))).toEqual(failed);
    expect(await ending((id) => cancelJob(api.db, api.projectId, id, []))).toEqual(interrupted);
  });
});
