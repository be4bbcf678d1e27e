import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { succeedJob } from '@polymode/db';
import type OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tarDigest } from '../src/tar-download.js';
import {
  errorOf,
  jobBody,
  leaveCheckpoint,
  refusal,
  startTestApi,
  type TestApi,
  uploadRows,
  voxelRow,
} from './harness.js';

let api: TestApi;
let job: OpenAI.FineTuning.FineTuningJob;
const ids: string[] = [];
// Sizes around tar's block of 512 bytes, and one of several read pieces.
const files = {
  'model/config.json': Buffer.from('{"model_type":"llama"}'),
  'model/model.safetensors': randomBytes(300_001),
  'state/empty.bin': Buffer.alloc(0),
  'state/optimizer.bin': randomBytes(1024),
  'state/rng.bin': randomBytes(511),
};

beforeAll(async () => {
  api = await startTestApi();
  const { jobs } = api.client.fineTuning;
  job = await jobs.create(jobBody(await uploadRows(api.client, voxelRow('1010')), { suffix: 'demo' }));
  for (const step of [2, 4, 6]) ids.unshift(await leaveCheckpoint(api, job.id, step, files));
});
afterAll(() => api?.stop());

const get = (path: string, init: RequestInit = {}) =>
  fetch(`${api.url}/v1/fine_tuning/jobs/${job.id}/checkpoints${path}`, {
    ...init,
    headers: { authorization: `Bearer ${api.key}`, ...init.headers },
  });

describe('checkpoints', () => {
  it('are listed newest first, a page at a time, without repeats', async () => {
    const seen: OpenAI.FineTuning.Jobs.FineTuningJobCheckpoint[] = [];
    for await (const checkpoint of api.client.fineTuning.jobs.checkpoints.list(job.id, { limit: 1 }))
      seen.push(checkpoint);
    expect(seen.map((checkpoint) => checkpoint.id)).toEqual(ids);
    expect(seen.map((checkpoint) => checkpoint.step_number)).toEqual([6, 4, 2]);
    expect(seen[0]).toMatchObject({
      object: 'fine_tuning.job.checkpoint',
      fine_tuning_job_id: job.id,
      fine_tuned_model_checkpoint: `ft:polymode-tiny:acme:demo:${job.id.slice(-8)}:ckpt-step-6`,
      metrics: { step: 6, train_reward_mean: 0.5 },
    });
  });

  it('list their files with sizes and digests', async () => {
    const list = (await (await get(`/${ids[0]}/files`)).json()) as { data: unknown[]; has_more: boolean };
    expect(list.has_more).toBe(false);
    expect(list.data).toEqual(
      Object.entries(files).map(([path, data]) => ({
        id: path,
        object: 'fine_tuning.job.checkpoint.file',
        path,
        bytes: data.length,
        sha256: createHash('sha256').update(data).digest('hex'),
      })),
    );
  });

  it('give each file by itself', async () => {
    for (const [path, data] of Object.entries(files)) {
      const response = await get(`/${ids[0]}/files/${path}`);
      expect(response.headers.get('content-length')).toBe(String(data.length));
      expect(response.headers.get('etag')).toBe(`"${createHash('sha256').update(data).digest('hex')}"`);
      expect(Buffer.from(await response.arrayBuffer()).equals(data)).toBe(true);
    }
    const encoded = await get(`/${ids[0]}/files/model%2Fconfig.json`);
    expect([encoded.status, encoded.headers.get('content-type')]).toEqual([200, 'application/json']);
  });

  it('give all files as a tar with the same bytes, every time', async () => {
    const response = await get(`/${ids[0]}/download`);
    expect(response.headers.get('content-type')).toBe('application/x-tar');
    expect(response.headers.get('content-disposition')).toContain(`${job.id}-step-6.tar`);
    const tar = Buffer.from(await response.arrayBuffer());
    expect(response.headers.get('content-length')).toBe(String(tar.length));
    expect(Buffer.from(await (await get(`/${ids[0]}/download`)).arrayBuffer()).equals(tar)).toBe(true);

    const dir = await mkdtemp(join(tmpdir(), 'polymode-test-tar-'));
    try {
      await mkdir(join(dir, 'out'));
      await writeFile(join(dir, 'checkpoint.tar'), tar);
      await promisify(execFile)('tar', ['xf', join(dir, 'checkpoint.tar'), '-C', join(dir, 'out')]);
      for (const [path, data] of Object.entries(files)) {
        expect((await readFile(join(dir, 'out', path))).equals(data), path).toBe(true);
      }
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
    const head = await get(`/${ids[0]}/download`, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(tar.length)]);
  });

  it('give any part of the tar, so that a broken download goes on', async () => {
    const whole = await get(`/${ids[0]}/download`);
    const etag = whole.headers.get('etag')!;
    const tar = Buffer.from(await whole.arrayBuffer());
    const part = async (range: string, headers: Record<string, string> = {}) => {
      const response = await get(`/${ids[0]}/download`, { headers: { range, ...headers } });
      return { response, bytes: Buffer.from(await response.arrayBuffer()) };
    };
    for (const [start, end] of [
      [0, 0],
      [0, 511],
      [500, 1700],
      [tar.length - 10, tar.length - 1],
    ] as const) {
      const { response, bytes } = await part(`bytes=${start}-${end}`, { 'if-range': etag });
      expect([response.status, response.headers.get('content-range')]).toEqual([
        206,
        `bytes ${start}-${end}/${tar.length}`,
      ]);
      expect(bytes.equals(tar.subarray(start, end + 1))).toBe(true);
    }
    expect((await part('bytes=1000-')).bytes.equals(tar.subarray(1000))).toBe(true);
    expect((await part(`bytes=${tar.length}-`)).response.status).toBe(416);
    // Another checkpoint's bytes do not continue this one's.
    expect((await part('bytes=1000-', { 'if-range': '"other"' })).bytes.equals(tar)).toBe(true);
    expect((await get(`/${ids[0]}/download`, { headers: { 'if-none-match': etag } })).status).toBe(304);
    const file = { path: 'a', bytes: 1, sha256: 'x', storageKey: 'k' };
    const tags = [[file], [{ ...file, sha256: 'y' }], [{ ...file, path: 'b' }], [file, file]].map(tarDigest);
    expect(new Set(tags).size).toBe(tags.length);
  });

  it('cut the download where a file is missing, instead of ending it well', async () => {
    const id = await leaveCheckpoint(api, job.id, 8, {
      'model/a.bin': randomBytes(100),
      'model/b.bin': randomBytes(100),
    });
    await api.storage.delete(`checkpoints/${job.id}/step-8/model/b.bin`);
    await expect(get(`/${id}/download`).then((response) => response.arrayBuffer())).rejects.toThrow();
    expect(api.logs.find((line) => line.msg === 'answer was cut')).toMatchObject({ jobId: job.id, level: 'error' });
    expect((await get(`/${id}/files/model/a.bin`)).status).toBe(200);
    expect((await get(`/${id}/files/model/b.bin`)).status).toBe(500);
  });

  it('survive readers that leave in the middle', async () => {
    const id = await leaveCheckpoint(api, job.id, 10, { 'model/large.bin': randomBytes(20_000_000) });
    const leaving = new AbortController();
    const response = await get(`/${id}/download`, { signal: leaving.signal });
    await response.body?.getReader().read();
    leaving.abort();
    expect((await get(`/${id}/files`)).status).toBe(200);
  });

  it('that are kept only to resume from stay hidden', async () => {
    const hidden = await leaveCheckpoint(api, job.id, 9, { 'state/rng.bin': randomBytes(8) }, false);
    expect((await get(`/${hidden}/files`)).status).toBe(404);
    const { data } = await api.client.fineTuning.jobs.checkpoints.list(job.id);
    expect(data.map((checkpoint) => checkpoint.id)).not.toContain(hidden);
  });

  it('and their files that do not exist are 404s', async () => {
    for (const [path, code] of [
      ['/ftckpt_nope/files', 'checkpoint_not_found'],
      ['/ftckpt_nope/download', 'checkpoint_not_found'],
      [`/${ids[0]}/files/model/nope.bin`, 'checkpoint_file_not_found'],
      [`/${ids[0]}/files/..%2F..%2Fetc%2Fpasswd`, 'checkpoint_file_not_found'],
    ] as const) {
      const response = await get(path);
      expect([response.status, (await errorOf(response)).code], path).toEqual([404, code]);
    }
  });
});

describe('models', () => {
  it('are base models, fine-tuned models and checkpoints, found by names with slashes and colons', async () => {
    const tuned = `ft:polymode-tiny:acme:demo:${job.id.slice(-8)}`;
    await succeedJob(api.db, job.id, 'test-worker', { fineTunedModel: tuned, trainedTokens: 1, resultFiles: [] }, []);
    const found: string[] = [];
    for await (const model of api.client.models.list()) found.push(model.id);
    expect(found).toEqual(
      expect.arrayContaining([
        'polymode-tiny',
        'Qwen/Qwen3-0.6B',
        tuned,
        `${tuned}:ckpt-step-6`,
        `${tuned}:ckpt-step-2`,
      ]),
    );
    expect(new Set(found).size).toBe(found.length);
    for (const id of found) expect(await api.client.models.retrieve(id)).toMatchObject({ id, object: 'model' });
    const raw = await fetch(`${api.url}/v1/models/Qwen/Qwen3-0.6B`, {
      headers: { authorization: `Bearer ${api.key}` },
    });
    expect(raw.status).toBe(200);
    const error = await refusal(api.client.models.retrieve(`ft:Qwen/x:${'y'.repeat(200)}:ckpt-step-10`));
    expect(error).toMatchObject({ status: 404, param: 'model', code: 'model_not_found' });
  });
});
