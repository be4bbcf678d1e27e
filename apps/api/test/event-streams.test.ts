import { request as httpRequest } from 'node:http';
import { text } from 'node:stream/consumers';
import { appendEvents, cancelJob, listEvents } from '@polymode/db';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { errorOf, jobBody, startTestApi, type TestApi, uploadRows, voxelRow } from './harness.js';

let api: TestApi;
let training: string;
beforeAll(async () => {
  api = await startTestApi();
  training = await uploadRows(api.client, voxelRow('1010'));
});
afterAll(() => api?.stop());

const textOf = (query: unknown): string => (typeof query === 'string' ? query : (query as { text: string }).text);

const newJob = async () => (await api.client.fineTuning.jobs.create(jobBody(training))).id;
const say = (jobId: string, ...numbers: number[]) =>
  appendEvents(
    api.db,
    jobId,
    numbers.map((n) => ({ dedupeKey: `n:${n}`, message: `event ${n}` })),
  );
const end = (jobId: string) =>
  cancelJob(api.db, api.projectId, jobId, [{ dedupeKey: 'cancelled', message: 'The job was cancelled' }]);

const open = (jobId: string, init: RequestInit = {}, query = '', base = api.url) =>
  fetch(`${base}/v1/fine_tuning/jobs/${jobId}/events?stream=true${query}`, {
    ...init,
    headers: { authorization: `Bearer ${api.key}`, ...init.headers },
  });

/** What a stream said: ids and messages, and whether it ended as it should. */
function heard(stream: string): { ids: string[]; messages: string[]; done: boolean } {
  const blocks = stream.split('\n\n').filter((block) => block !== '' && !block.startsWith(':'));
  const events = blocks
    .filter((block) => block !== 'data: [DONE]')
    .map((block) => {
      const [id, data, ...more] = block.split('\n');
      expect(more).toEqual([]);
      const event = JSON.parse(data!.slice('data: '.length)) as { id: string; message: string; object: string };
      expect([event.object, id]).toEqual(['fine_tuning.job.event', `id: ${event.id}`]);
      return event;
    });
  return {
    ids: events.map(({ id }) => id),
    messages: events.map(({ message }) => message),
    done: stream.endsWith('data: [DONE]\n\n'),
  };
}

/** Reads until enough was heard, and leaves. */
async function read(response: Response, until: (said: ReturnType<typeof heard>) => boolean): Promise<string> {
  let said = '';
  const decoder = new TextDecoder();
  for await (const piece of response.body!) {
    said += decoder.decode(piece, { stream: true });
    // A block may be cut off.
    if (until(heard(said.slice(0, said.lastIndexOf('\n\n') + 2)))) break;
  }
  return said.slice(0, said.lastIndexOf('\n\n') + 2);
}

/** All events of the job, oldest first. */
const recorded = async (jobId: string) =>
  (await listEvents(api.db, jobId, { limit: 100_000 })).data.reverse().map(({ id }) => id);

describe('a stream of events', () => {
  it('tells what was and what comes, oldest first, and ends with [DONE] when the job has ended', async () => {
    const id = await newJob();
    const response = await open(id);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(response.headers.get('cache-control')).toBe('no-cache');
    expect(response.headers.get('x-request-id')).toMatch(/^req_/);
    const said = response.text();
    await say(id, 1, 2);
    await say(id, 3);
    await end(id);
    const { messages, done } = heard(await said);
    expect(messages.slice(-4)).toEqual(['event 1', 'event 2', 'event 3', 'The job was cancelled']);
    expect(messages[0]).toBe(`Created fine-tuning job: ${id}`);
    expect(done).toBe(true);
    // Who comes later hears the same.
    expect(heard(await (await open(id)).text())).toEqual({ ...heard(await said) });
  });

  it('goes on after Last-Event-ID, or after `after`, with nothing lost and nothing twice', async () => {
    const id = await newJob();
    await say(id, 1, 2, 3, 4);
    const first = heard(await read(await open(id), ({ ids }) => ids.length >= 5));
    const last = first.ids[4]!;
    await say(id, 5);
    await end(id);
    const rest = heard(await (await open(id, { headers: { 'last-event-id': last } })).text());
    expect([...first.ids.slice(0, 5), ...rest.ids]).toEqual(await recorded(id));
    expect(heard(await (await open(id, {}, `&after=${last}`)).text())).toEqual(rest);
    // The header is newer than the URL that a browser keeps asking for.
    const both = await open(id, { headers: { 'last-event-id': rest.ids.at(-1)! } }, `&after=${last}`);
    expect(heard(await both.text())).toEqual({ ids: [], messages: [], done: true });
  });

  it('refuses to go on after an event that the job does not have', async () => {
    const [id, other] = [await newJob(), await newJob()];
    const foreign = (await recorded(other))[0]!;
    for (const after of ['ftevent-none', foreign]) {
      const response = await open(id, { headers: { 'last-event-id': after } });
      expect(response.status).toBe(400);
      expect(await errorOf(response)).toMatchObject({ param: 'after', code: 'invalid_after' });
    }
    expect((await open('ftjob-none')).status).toBe(404);
    expect((await open(id, {}, '&stream=yes')).status).toBe(400);
  });

  it('answers HEAD with its headers alone', async () => {
    const response = await open(await newJob(), { method: 'HEAD' });
    expect([response.status, response.headers.get('content-type'), await response.text()]).toEqual([
      200,
      'text/event-stream; charset=utf-8',
      '',
    ]);
  });

  it('carries a job with more events than one look reads', async () => {
    const id = await newJob();
    await api.db.$executeRaw`
      INSERT INTO fine_tuning_events (id, job_id, dedupe_key, message)
      SELECT 'ftevent-many' || n, ${id}, 'n:' || n, 'event ' || n FROM generate_series(1, 12000) n`;
    await end(id);
    const { ids, done } = heard(await (await open(id)).text());
    expect(ids).toEqual(await recorded(id));
    expect(done).toBe(true);
  });
});

describe('many streams', () => {
  it('each hear every event of their jobs once, in order, while writers write and readers come back', async () => {
    const jobs = await Promise.all(Array.from({ length: 4 }, newJob));
    let written = false;
    const writers = jobs.map(async (id, j) => {
      for (let n = 0; n < 20; n++) await say(id, 1000 * j + 2 * n, 1000 * j + 2 * n + 1);
      await end(id);
    });
    const everything = Promise.all(writers).then(() => {
      written = true;
    });
    const readers = Array.from({ length: 24 }, async (_, r) => {
      const id = jobs[r % jobs.length]!;
      const ids: string[] = [];
      // Every third leaves after a few events, as a broken line does, and comes back for the rest.
      for (let patience = r % 3 === 0 ? 3 + r : Number.POSITIVE_INFINITY; ; patience *= 2) {
        const headers: Record<string, string> = ids.length > 0 ? { 'last-event-id': ids.at(-1)! } : {};
        const part = heard(await read(await open(id, { headers }), (said) => said.done || said.ids.length >= patience));
        ids.push(...part.ids);
        if (part.done) return { id, ids };
      }
    });
    const results = await Promise.all(readers);
    await everything;
    expect(written).toBe(true);
    for (const { id, ids } of results) expect(ids).toEqual(await recorded(id));
  });

  it('cost nothing once their readers have left', async () => {
    const id = await newJob();
    // Whoever asks PostgreSQL asks through this.
    const queries = vi.spyOn(pg.Client.prototype, 'query');
    const looks = (): number =>
      queries.mock.calls.filter(([query]) => textOf(query).includes('fine_tuning_events')).length;
    const other = await startTestApi({ db: api.db, storage: api.storage });
    try {
      const gone = new AbortController();
      const streams = await Promise.all(
        Array.from({ length: 20 }, () => open(id, { signal: gone.signal }, '', other.url)),
      );
      await Promise.all(streams.map((stream) => stream.body!.getReader().read()));
      expect(looks()).toBeGreaterThan(0);
      gone.abort();
      // A look may be under way; after that nobody is left to look for. Streams look twice a second.
      await expect
        .poll(
          async () => {
            const before = looks();
            await new Promise((resolve) => setTimeout(resolve, 1200));
            return looks() - before;
          },
          { timeout: 20_000, interval: 10 },
        )
        .toBe(0);
    } finally {
      queries.mockRestore();
      await other.stop();
    }
  });

  it('end when the server closes, without [DONE], so that readers come back', async () => {
    const other = await startTestApi();
    let stopped = false;
    try {
      const file = await uploadRows(other.client, voxelRow('1010'));
      const job = await other.client.fineTuning.jobs.create(jobBody(file));
      const stream = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
        const path = `${other.url}/v1/fine_tuning/jobs/${job.id}/events?stream=true`;
        httpRequest(path, { headers: { authorization: `Bearer ${other.key}` } }, resolve)
          .on('error', reject)
          .end();
      });
      const said = text(stream);
      await other.stop();
      stopped = true;
      expect(heard(await said)).toMatchObject({ done: false });
    } finally {
      if (!stopped) await other.stop();
    }
  });
});
