import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { acquireLease, cancelJob, claimDeliveries, failJob, markRunning, succeedJob } from '@polymode/db';
import { createLogger } from '@polymode/telemetry';
import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { deleteDeliveries } from '../src/housekeeping.js';
import { startWebhooks, type WebhookSettings } from '../src/webhook-delivery.js';
import { errorOf, jobBody, startTestApi, type TestApi, uploadRows, voxelRow } from './harness.js';

let api: TestApi;
let training: string;
let receiver: Server;
let url: string;
/** What the receiver got, in order. */
let received: { headers: IncomingMessage['headers']; body: string }[];
/** Statuses that it answers next; 200 when there are none. */
let answers: number[];
let stop: (() => Promise<void>) | undefined;

beforeAll(async () => {
  api = await startTestApi({ webhookAllow: ['127.0.0.1'] });
  training = await uploadRows(api.client, voxelRow('1010'));
  receiver = createServer(async (request, response) => {
    received.push({ headers: request.headers, body: await text(request) });
    response.writeHead(answers.shift() ?? 200).end();
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
});
beforeEach(async () => {
  received = [];
  answers = [];
  await api.db.webhookEndpoint.deleteMany();
});
afterEach(async () => {
  await stop?.();
  stop = undefined;
});
afterAll(async () => {
  receiver?.close();
  await api?.stop();
});

const call = (method: string, path: string, body?: unknown) =>
  fetch(`${api.url}/v1/webhook_endpoints${path}`, {
    method,
    headers: { authorization: `Bearer ${api.key}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

interface Endpoint {
  id: string;
  url: string;
  secret: string;
  events: string[];
}
const listen = async (events?: string[]): Promise<Endpoint> =>
  (await (await call('POST', '', { url, ...(events ? { events } : {}) })).json()) as Endpoint;

const deliver = (change: Partial<WebhookSettings> = {}): void => {
  const logger = createLogger({ name: 'test', level: 'silent' });
  stop = startWebhooks({ db: api.db, logger, allow: ['127.0.0.1'], intervalMs: 20, retryAfter: () => 0, ...change });
};

const newJob = async () => (await api.client.fineTuning.jobs.create(jobBody(training))).id;
const cancelled = async () => {
  const id = await newJob();
  await cancelJob(api.db, api.projectId, id, []);
  return id;
};
const ending = async (how: (id: string) => Promise<unknown>) => {
  const id = await newJob();
  await acquireLease(api.db, id, 'worker', 60_000);
  await markRunning(api.db, id, 'worker', []);
  await how(id);
  return id;
};
const unwrap = ({ body, headers }: (typeof received)[number], secret: string) =>
  new OpenAI({ apiKey: 'none', webhookSecret: secret }).webhooks.unwrap(body, headers as Record<string, string>);

describe('a webhook', () => {
  it('is verified by the SDK, for each way a job can end', async () => {
    const { secret } = await listen();
    deliver();
    const ended = {
      'fine_tuning.job.succeeded': await ending((id) =>
        succeedJob(api.db, id, 'worker', { fineTunedModel: `ft:${id}`, trainedTokens: 1, resultFiles: [] }, []),
      ),
      'fine_tuning.job.failed': await ending((id) =>
        failJob(api.db, id, 'worker', { code: 'x', message: 'y', param: null }, []),
      ),
      'fine_tuning.job.cancelled': await cancelled(),
    };
    await expect.poll(() => received.length, { timeout: 20_000 }).toBe(3);
    for (const one of received) {
      const event = await unwrap(one, secret);
      expect(event.object).toBe('event');
      expect(event.id).toMatch(/^evt_/);
      expect(one.headers['webhook-id']).toBe(event.id);
      expect(one.headers['content-type']).toBe('application/json');
      expect(event.created_at).toBeGreaterThan(1_700_000_000);
      expect(ended[event.type as keyof typeof ended]).toBe((event.data as { id: string }).id);
    }
    expect(new Set(received.map(({ body }) => (JSON.parse(body) as { type: string }).type)).size).toBe(3);
  });

  it('that was tampered with, is signed by another, or is old, is refused by the SDK', async () => {
    const { secret } = await listen();
    deliver();
    const id = await cancelled();
    await expect.poll(() => received.length, { timeout: 20_000 }).toBe(1);
    const [one] = received as [(typeof received)[number]];
    const invalid = OpenAI.InvalidWebhookSignatureError;
    await expect(unwrap({ ...one, body: one.body.replace(id, `${id}x`) }, secret)).rejects.toThrow(invalid);
    await expect(unwrap(one, `whsec_${Buffer.alloc(24).toString('base64')}`)).rejects.toThrow(invalid);
    const old = { ...one.headers, 'webhook-timestamp': String(Number(one.headers['webhook-timestamp']) - 3600) };
    await expect(unwrap({ ...one, headers: old }, secret)).rejects.toThrow(invalid);
    expect(await unwrap(one, secret)).toMatchObject({ data: { id } });
  });

  it('tells only what its endpoint asked for', async () => {
    await listen(['fine_tuning.job.failed']);
    deliver();
    await cancelled();
    const failed = await ending((id) => failJob(api.db, id, 'worker', { code: 'x', message: 'y', param: null }, []));
    await expect.poll(() => received.length, { timeout: 20_000 }).toBe(1);
    expect(JSON.parse(received[0]!.body)).toMatchObject({ type: 'fine_tuning.job.failed', data: { id: failed } });
  });

  it('is sent again, under the same id, until it is answered with 2xx, waiting ever longer', async () => {
    await listen();
    answers = [500, 302, 404];
    const attempts: number[] = [];
    deliver({
      retryAfter: (after) => {
        attempts.push(after);
        return 1;
      },
    });
    await cancelled();
    await expect.poll(() => received.length, { timeout: 20_000 }).toBe(4);
    expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expect(attempts).toEqual([1, 2, 3]);
    await expect
      .poll(async () => (await api.db.webhookDelivery.findFirstOrThrow()).deliveredAt, { timeout: 20_000 })
      .not.toBeNull();
  });

  it('is given up after the last attempt, and says why it failed', async () => {
    await listen();
    answers = [503, 503];
    deliver({ retryAfter: (after) => (after < 2 ? 1 : null) });
    await cancelled();
    await expect
      .poll(() => api.db.webhookDelivery.findFirst({ where: { nextAttemptAt: null } }), { timeout: 20_000 })
      .toMatchObject({ attempts: 2, deliveredAt: null, lastError: 'answered 503' });
    expect(received.length).toBe(2);
  });

  it('is delivered though nobody was there to do it, and though whoever took it on died', async () => {
    const { secret } = await listen();
    const id = await cancelled();
    // A deliverer that dies after its claim, before it could send.
    expect(await claimDeliveries(api.db, 8, 300)).toHaveLength(1);
    expect(await claimDeliveries(api.db, 8, 300)).toEqual([]);
    deliver();
    await expect.poll(() => received.length, { timeout: 20_000 }).toBe(1);
    expect(await unwrap(received[0]!, secret)).toMatchObject({ data: { id } });
  });

  it('is forgotten a month after it was delivered, and never while it is still to be', async () => {
    await listen();
    deliver();
    await cancelled();
    await expect
      .poll(() => api.db.webhookDelivery.count({ where: { deliveredAt: { not: null } } }), { timeout: 20_000 })
      .toBe(1);
    const created = async (daysAgo: number) =>
      api.db.webhookDelivery.updateMany({ data: { createdAt: new Date(Date.now() - daysAgo * 86_400_000) } });
    await created(29);
    expect(await deleteDeliveries(api.db)).toEqual([]);
    await created(31);
    await api.db.webhookDelivery.updateMany({ data: { nextAttemptAt: new Date(Date.now() + 3_600_000) } });
    expect(await deleteDeliveries(api.db)).toEqual([]);
    await api.db.webhookDelivery.updateMany({ data: { nextAttemptAt: null } });
    expect(await deleteDeliveries(api.db)).toEqual([expect.stringMatching(/^evt_/)]);
    expect(await api.db.webhookDelivery.count()).toBe(0);
  });

  it('goes once where several processes deliver', async () => {
    await listen();
    const others = [1, 2, 3].map(() =>
      startWebhooks({
        db: api.db,
        logger: createLogger({ name: 'test', level: 'silent' }),
        allow: ['127.0.0.1'],
        intervalMs: 10,
      }),
    );
    try {
      const ids = [];
      for (let i = 0; i < 6; i++) ids.push(await cancelled());
      await expect
        .poll(() => api.db.webhookDelivery.count({ where: { deliveredAt: { not: null } } }), { timeout: 20_000 })
        .toBe(6);
      const told = received.map(({ body }) => (JSON.parse(body) as { data: { id: string } }).data.id);
      expect(told.sort()).toEqual(ids.sort());
    } finally {
      for (const end of others) await end();
    }
  });

  it('never reaches a private address that is not allowed', async () => {
    await listen();
    deliver({ allow: [], retryAfter: () => null });
    await cancelled();
    await expect
      .poll(() => api.db.webhookDelivery.findFirst({ where: { nextAttemptAt: null } }), { timeout: 20_000 })
      .toMatchObject({ attempts: 1, deliveredAt: null, lastError: expect.stringContaining('127.0.0.1') });
    expect(received).toEqual([]);
  });
});

describe('webhook endpoints', () => {
  it('are made, listed, looked at and deleted; the secret is shown once, and changes are on record', async () => {
    const made = await listen(['fine_tuning.job.failed', 'fine_tuning.job.failed']);
    expect(made).toMatchObject({ object: 'webhook_endpoint', url, events: ['fine_tuning.job.failed'] });
    expect(made.secret).toMatch(/^whsec_[A-Za-z0-9+/]{32}$/);
    const all = await listen();
    expect(all.events).toHaveLength(3);
    const { secret: _, ...shown } = made;
    expect(await (await call('GET', `/${made.id}`)).json()).toEqual(shown);
    const page = (await (await call('GET', '?limit=1')).json()) as { data: Endpoint[]; has_more: boolean };
    expect([page.data.map(({ id }) => id), page.has_more]).toEqual([[made.id], true]);
    const next = (await (await call('GET', `?limit=1&after=${made.id}`)).json()) as typeof page;
    expect([next.data.map(({ id }) => id), next.has_more]).toEqual([[all.id], false]);
    expect(await (await call('DELETE', `/${made.id}`)).json()).toMatchObject({ id: made.id, deleted: true });
    expect((await call('DELETE', `/${made.id}`)).status).toBe(404);
    const rows = await api.db.auditEvent.findMany({ where: { type: { startsWith: 'webhook_endpoint' } } });
    const told = rows.filter(({ data }) => (data as { id: string }).id === made.id);
    expect(told.map(({ type }) => type).sort()).toEqual(['webhook_endpoint.created', 'webhook_endpoint.deleted']);
    expect(JSON.stringify(rows.map(({ data }) => data))).not.toContain(made.secret);
  });

  it('want a URL that can be reached', async () => {
    for (const wrong of [
      'ftp://example.com',
      'example.com',
      'http://10.0.0.1/hook',
      'http://[::1]/',
      'http://192.168.1.1/x',
    ]) {
      const response = await call('POST', '', { url: wrong });
      expect([wrong, response.status, (await errorOf(response)).param]).toEqual([wrong, 400, 'url']);
    }
    const events = await call('POST', '', { url, events: ['response.completed'] });
    expect([events.status, (await errorOf(events)).param]).toEqual([400, 'events[0]']);
  });
});
