import { acquireLease, markRunning, recordStep, releaseLease, succeedJob } from '@polymode/db';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jobBody, refusal, startTestApi, type TestApi, uploadRows, voxelRow } from './harness.js';

let api: TestApi;
let training: string;
beforeAll(async () => {
  api = await startTestApi();
  training = await uploadRows(api.client, voxelRow('1010'));
});
afterAll(() => api?.stop());

const jobs = () => api.client.fineTuning.jobs;
const newJob = async (change: object = {}) => (await jobs().create(jobBody(training, change))).id;
const running = async () => {
  const id = await newJob();
  await acquireLease(api.db, id, 'worker', 600_000);
  await markRunning(api.db, id, 'worker', []);
  return id;
};
const succeeded = async () => {
  const id = await running();
  await succeedJob(api.db, id, 'worker', { fineTunedModel: `ft:${id}`, trainedTokens: 5, resultFiles: [] }, []);
  return id;
};
const post = (id: string, what: string, init: RequestInit) =>
  fetch(`${api.url}/v1/fine_tuning/jobs/${id}/${what}`, {
    method: 'POST',
    ...init,
    headers: { authorization: `Bearer ${api.key}`, ...init.headers },
  });
const messages = async (id: string) => (await jobs().listEvents(id)).data.map(({ message }) => message);

describe('pausing and resuming', () => {
  it('a queued job makes it paused and queued again, as often as asked', async () => {
    const id = await newJob();
    expect(await jobs().pause(id)).toMatchObject({ id, status: 'paused', finished_at: null });
    expect((await jobs().pause(id)).status).toBe('paused');
    expect(await acquireLease(api.db, id, 'worker', 60_000)).toBeNull();
    expect((await jobs().resume(id)).status).toBe('queued');
    expect((await jobs().resume(id)).status).toBe('queued');
    expect(await messages(id)).toEqual(
      expect.arrayContaining(['The job was resumed', expect.stringMatching(/paused/)]),
    );
    await jobs().pause(id);
    await jobs().resume(id);
    expect((await messages(id)).filter((message) => message === 'The job was resumed')).toHaveLength(2);
  });

  it('a running job lets its worker know at its next step, and takes it up where it stood', async () => {
    const id = await running();
    const step = (n: number) =>
      recordStep(api.db, { jobId: id, owner: 'worker', step: n, metrics: { step: n }, events: [] });
    expect(await step(1)).toBe('running');
    expect((await jobs().pause(id)).status).toBe('paused');
    expect(await step(2)).toBe('paused');
    // While the worker holds it still, it simply goes on.
    expect((await jobs().resume(id)).status).toBe('running');
    expect(await step(3)).toBe('running');
    await jobs().pause(id);
    await releaseLease(api.db, id, 'worker');
    expect((await jobs().resume(id)).status).toBe('queued');
    expect(await acquireLease(api.db, id, 'another', 60_000)).not.toBeNull();
  });

  it('works with an empty body under any content type, as both SDKs and curl send it', async () => {
    const contentType = { 'content-type': 'application/json' };
    const all: Record<string, string>[] = [{}, contentType, { ...contentType, 'content-length': '0' }];
    for (const headers of all) {
      const id = await newJob();
      for (const [what, status] of [
        ['pause', 'paused'],
        ['resume', 'queued'],
        ['cancel', 'cancelled'],
      ] as const) {
        const response = await post(id, what, { headers });
        expect([response.status, ((await response.json()) as { status: string }).status]).toEqual([200, status]);
      }
    }
  });

  it('a paused job can be cancelled', async () => {
    const id = await newJob();
    await jobs().pause(id);
    expect(await jobs().cancel(id)).toMatchObject({ status: 'cancelled', finished_at: expect.any(Number) });
  });
});

describe('what comes at the wrong time', () => {
  it('is refused with the state, and not tried again by the SDK', async () => {
    const ended = await succeeded();
    const cancelled = await newJob();
    await jobs().cancel(cancelled);
    let requests = 0;
    const retrying = new OpenAI({
      apiKey: api.key,
      baseURL: `${api.url}/v1`,
      maxRetries: 3,
      fetch: (...args) => {
        requests++;
        return fetch(...args);
      },
    }).fineTuning.jobs;
    const calls: [() => PromiseLike<unknown>, string][] = [
      [() => retrying.pause(ended), 'succeeded'],
      [() => retrying.resume(ended), 'succeeded'],
      [() => retrying.cancel(ended), 'succeeded'],
      [() => retrying.pause(cancelled), 'cancelled'],
      [() => retrying.resume(cancelled), 'cancelled'],
    ];
    for (const [call, state] of calls) {
      requests = 0;
      const error = await refusal(call());
      expect(error).toMatchObject({ param: 'fine_tune_id', message: expect.stringContaining(state) });
      expect([400, 409]).toContain(error.status);
      expect(error.headers?.get('x-should-retry')).toBe('false');
      expect(requests).toBe(1);
    }
    for (const call of [() => retrying.pause('ftjob-none'), () => retrying.resume('ftjob-none')]) {
      expect(await refusal(call())).toMatchObject({ status: 404, code: 'fine_tune_not_found' });
    }
  });

  it('is no file that a job needs', async () => {
    const file = await uploadRows(api.client, voxelRow('1010'));
    const job = await jobs().create(jobBody(file));
    const error = await refusal(api.client.files.delete(file));
    expect(error).toMatchObject({ status: 409, code: 'file_in_use' });
    expect(error.headers?.get('x-should-retry')).toBe('false');
    await jobs().cancel(job.id);
    expect((await api.client.files.delete(file)).deleted).toBe(true);
  });
});

describe('jobs by metadata', () => {
  it('are those that carry all the pairs, whatever the names are', async () => {
    const of = async (metadata: object | null) => newJob({ metadata });
    const [both, one, other, none, empty] = [
      await of({ team: 'red', 'a.b': '1' }),
      await of({ team: 'red' }),
      await of({ team: 'blue', '0': 'x', toString: 'y' }),
      await of(null),
      await of({}),
    ];
    const found = async (metadata: Record<string, string> | null) => {
      const ids: string[] = [];
      for await (const job of jobs().list({ metadata, limit: 1 })) ids.push(job.id);
      return ids;
    };
    expect(await found({ team: 'red' })).toEqual([one, both]);
    expect(await found({ team: 'red', 'a.b': '1' })).toEqual([both]);
    expect(await found({ '0': 'x' })).toEqual([other]);
    expect(await found({ toString: 'y' })).toEqual([other]);
    expect(await found({ team: 'green' })).toEqual([]);
    const without = await found(null);
    expect(without).toContain(none);
    expect(without).not.toContain(empty);
    expect(without).not.toContain(one);
    const curl = await fetch(`${api.url}/v1/fine_tuning/jobs?metadata=null&limit=100`, {
      headers: { authorization: `Bearer ${api.key}` },
    });
    expect(((await curl.json()) as { data: { id: string }[] }).data.map(({ id }) => id)).toEqual(without);
    expect(await refusal(jobs().list({ metadata: 'x' as never }))).toMatchObject({ status: 400, param: 'metadata' });
  });
});
