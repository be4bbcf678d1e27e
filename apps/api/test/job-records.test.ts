import { acquireLease, markRunning, recordStep } from '@polymode/db';
import { parse } from 'csv-parse/sync';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorOf, jobBody, startTestApi, type TestApi, uploadRows, voxelRow } from './harness.js';

const STEPS = 25;
const PER_STEP = 4;

let api: TestApi;
let job: string;
beforeAll(async () => {
  api = await startTestApi();
  job = (await api.client.fineTuning.jobs.create(jobBody(await uploadRows(api.client, voxelRow('1010'))))).id;
  await acquireLease(api.db, job, 'worker', 600_000);
  await markRunning(api.db, job, 'worker', []);
  for (let step = 1; step <= STEPS; step++) {
    await recordStep(api.db, {
      jobId: job,
      owner: 'worker',
      step,
      metrics: {
        step,
        train_mean_reward: step / 100,
        grpo: { kl: -step },
        ...(step % 5 === 0 ? { valid: [step] } : {}),
      },
      events: [],
      samples: Array.from({ length: PER_STEP }, (_, i) => ({
        row: i % 2,
        text: i === 3 ? 'a "quoted", text\nof two lines' : `answer ${step}.${i}`,
        reward: i === 2 ? null : i / 4,
        outcome: i === 2 ? null : `o${i}`,
        advantage: -0.5 + i,
        tokens: 3 + i,
        finish: i === 0 ? 'length' : 'stop',
      })),
    });
  }
});
afterAll(() => api?.stop());

const get = (path: string, method = 'GET') =>
  fetch(`${api.url}/v1/fine_tuning/jobs/${job}/${path}`, { method, headers: { authorization: `Bearer ${api.key}` } });
interface Page {
  data: { id: string; step: number; data: Record<string, unknown> }[];
  has_more: boolean;
  first_id: string | null;
  last_id: string | null;
}
const page = async (path: string) => (await (await get(path)).json()) as Page;

/** All pages of a list. */
async function everything(path: string): Promise<Page['data']> {
  const all: Page['data'] = [];
  for (let after = ''; ; ) {
    const { data, has_more, last_id } = await page(`${path}${after}`);
    all.push(...data);
    if (!has_more) return all;
    after = `&after=${last_id}`;
  }
}

describe("a job's metrics", () => {
  it('come in order of their steps, a page at a time, each once', async () => {
    const first = await page('metrics?limit=10');
    expect(first).toMatchObject({ object: 'list', has_more: true, first_id: '1', last_id: '10' });
    expect(first.data[4]).toMatchObject({
      id: '5',
      object: 'fine_tuning.job.metrics',
      step: 5,
      data: { step: 5, train_mean_reward: 0.05, grpo: { kl: -5 }, valid: [5] },
    });
    const steps = (await everything('metrics?limit=7')).map(({ step }) => step);
    expect(steps).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1));
  });

  it('can be thinned out, over pages too', async () => {
    const steps = (await everything('metrics?limit=2&every_nth_step=6')).map(({ step }) => step);
    expect(steps).toEqual([1, 7, 13, 19, 25]);
  });

  it('come as CSV, with a column for each number of any row', async () => {
    const response = await get('metrics?format=csv&limit=5');
    expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect(response.headers.get('x-has-more')).toBe('true');
    const rows = parse(await response.text(), { columns: true }) as Record<string, string>[];
    expect(rows).toHaveLength(5);
    // The database keeps the numbers of a step in an order of its own.
    expect(Object.keys(rows[0]!).slice(0, 2)).toEqual(['step', 'created_at']);
    expect(Object.keys(rows[0]!).slice(2).sort()).toEqual(['grpo.kl', 'train_mean_reward', 'valid.0']);
    expect(rows[0]).toMatchObject({ step: '1', 'grpo.kl': '-1', 'valid.0': '' });
    expect(rows[4]).toMatchObject({ step: '5', train_mean_reward: '0.05', 'valid.0': '5' });
    expect((await get('metrics?format=csv&after=20')).headers.get('x-has-more')).toBe('false');
  });

  it('refuse what is no cursor, format or number', async () => {
    for (const [query, param] of [
      ['after=abc', 'after'],
      ['after=-1', 'after'],
      ['after=99999999999', 'after'],
      ['format=xml', 'format'],
      ['limit=0', 'limit'],
      ['limit=1001', 'limit'],
      ['every_nth_step=0', 'every_nth_step'],
    ]) {
      const response = await get(`metrics?${query}`);
      expect([query, response.status, (await errorOf(response)).param]).toEqual([query, 400, param]);
    }
  });
});

describe("a job's samples", () => {
  it('come in the order in which they were drawn, a page at a time, each once', async () => {
    const all = await everything('samples?limit=7');
    const ids = Array.from({ length: STEPS * PER_STEP }, (_, i) => `${Math.floor(i / PER_STEP) + 1}-${i % PER_STEP}`);
    expect(all.map(({ id }) => id)).toEqual(ids);
    expect(all[2]).toEqual({
      id: '1-2',
      object: 'fine_tuning.job.sample',
      step: 1,
      index: 2,
      row: 0,
      text: 'answer 1.2',
      reward: null,
      outcome: null,
      advantage: 1.5,
      completion_tokens: 5,
      finish_reason: 'stop',
    });
  });

  it('can be of one step, or of every n-th', async () => {
    expect((await everything('samples?step=3')).map(({ id }) => id)).toEqual(['3-0', '3-1', '3-2', '3-3']);
    const steps = (await everything('samples?every_nth_step=10&limit=3')).map(({ step }) => step);
    expect([...new Set(steps)]).toEqual([1, 11, 21]);
    expect(steps).toHaveLength(3 * PER_STEP);
  });

  it('come as CSV that survives quotes and line breaks', async () => {
    const rows = parse(await (await get('samples?format=csv&step=2')).text(), { columns: true }) as Record<
      string,
      string
    >[];
    expect(rows.map(({ text }) => text)).toEqual([
      'answer 2.0',
      'answer 2.1',
      'answer 2.2',
      'a "quoted", text\nof two lines',
    ]);
    expect(rows[2]).toMatchObject({ reward: '', outcome: '', advantage: '1.5' });
  });

  it('refuse a cursor that is none, and answer HEAD', async () => {
    expect((await get('samples?after=1')).status).toBe(400);
    expect((await get('samples?after=1-x')).status).toBe(400);
    const head = await get('samples?format=csv', 'HEAD');
    expect([head.status, await head.text()]).toEqual([200, '']);
  });
});
