import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deleteFile } from '@polymode/db';
import { BadRequestError, ConflictError, NotFoundError, toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorOf, jobBody, jsonl, refusal, startTestApi, type TestApi, uploadRows, voxelRow } from './harness.js';

let api: TestApi;
let dir: string;
beforeAll(async () => {
  api = await startTestApi();
  dir = await mkdtemp(join(tmpdir(), 'polymode-test-upload-'));
});
afterAll(async () => {
  await api?.stop();
  await rm(dir, { recursive: true, force: true });
});

const upload = (content: string | Buffer, filename = 'rows.jsonl', purpose = 'fine-tune') =>
  toFile(Buffer.from(content), filename).then((file) =>
    api.client.files.create({ file, purpose: purpose as 'fine-tune' }),
  );

/** Names of everything in storage, to see that refused uploads leave nothing. */
const storedKeys = async () => {
  const keys: string[] = [];
  for await (const key of api.storage.list('')) keys.push(key);
  return keys;
};

describe('uploads', () => {
  it('stores a buffer and gives the same bytes back', async () => {
    const content = jsonl(voxelRow('1010'));
    const file = await upload(content, 'größe 1.jsonl');
    expect(file).toMatchObject({
      object: 'file',
      bytes: Buffer.byteLength(content),
      filename: 'größe 1.jsonl',
      purpose: 'fine-tune',
      status: 'processed',
    });
    expect(file.id).toMatch(/^file-[0-9A-Za-z]{24}$/);
    expect(file).not.toHaveProperty('expires_at');
    expect(await api.client.files.retrieve(file.id)).toEqual(file);
    expect(await api.client.files.waitForProcessing(file.id)).toEqual(file);

    const response = await api.client.files.content(file.id);
    expect(response.headers.get('content-length')).toBe(String(file.bytes));
    expect(await response.text()).toBe(content);
  });

  it('takes a file that is streamed without a known length', async () => {
    const path = join(dir, 'streamed.jsonl');
    const content = jsonl(...Array.from({ length: 2000 }, () => voxelRow('0110')));
    await writeFile(path, content);
    const file = await api.client.files.create({ file: createReadStream(path), purpose: 'fine-tune' });
    expect(file).toMatchObject({ filename: 'streamed.jsonl', bytes: Buffer.byteLength(content) });

    const boundary = 'xyz';
    const form = [
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="chunked.jsonl"\r\n\r\n`,
      content,
      `\r\n--${boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--${boundary}--\r\n`,
    ];
    const chunked = await fetch(`${api.url}/v1/files`, {
      method: 'POST',
      headers: { authorization: `Bearer ${api.key}`, 'content-type': `multipart/form-data; boundary=${boundary}` },
      body: new ReadableStream({
        start(controller) {
          for (const piece of form) controller.enqueue(new TextEncoder().encode(piece));
          controller.close();
        },
      }),
      duplex: 'half',
    } as RequestInit);
    expect(await chunked.json()).toMatchObject({ filename: 'chunked.jsonl', bytes: Buffer.byteLength(content) });
  });

  it('expires when asked to', async () => {
    const file = await toFile(Buffer.from(jsonl(voxelRow('1000'))), 'rows.jsonl');
    const expires = { anchor: 'created_at' as const, seconds: 3600 };
    const created = await api.client.files.create({ file, purpose: 'fine-tune', expires_after: expires });
    expect(Math.abs((created.expires_at ?? 0) - created.created_at - 3600)).toBeLessThanOrEqual(2);
    const late = api.client.files.create({ file, purpose: 'fine-tune', expires_after: { ...expires, seconds: 60 } });
    expect(await refusal(late)).toMatchObject({ status: 400, param: 'expires_after.seconds' });
  });

  it('reports every bad line of malformed JSONL, and stores nothing', async () => {
    const before = await storedKeys();
    const content = Buffer.concat([
      Buffer.from(`${jsonl(voxelRow('1010'))}{"messages": [\n\n[1, 2]\n"text"\nplain\n`),
      Buffer.from([0x7b, 0xff, 0x7d, 0x0a]),
      Buffer.from(jsonl(voxelRow('0000'))),
    ]);
    const error = await refusal(upload(content));
    expect(error).toBeInstanceOf(BadRequestError);
    expect(error).toMatchObject({ param: 'file', code: 'invalid_jsonl', type: 'invalid_request_error' });
    expect(error.message).toContain('5 invalid lines:');
    expect([...error.message.matchAll(/^Line (\d+) (is not (?:\w+ ?)*\w)/gm)].map((found) => found.slice(1))).toEqual([
      ['2', 'is not JSON'],
      ['4', 'is not a JSON object'],
      ['5', 'is not a JSON object'],
      ['6', 'is not JSON'],
      ['7', 'is not UTF'],
    ]);
    expect(await storedKeys()).toEqual(before);
  });

  it('lists a hundred bad lines and counts the rest', async () => {
    const error = await refusal(upload('x\n'.repeat(150)));
    expect(error.message).toContain('150 invalid lines:');
    expect(error.message.match(/^Line \d+/gm)).toHaveLength(100);
    expect(error.message).toContain('and 50 more lines');
  });

  it.each([
    ['rows.json', 'fine-tune', '{}', 'file', 'invalid_file_format'],
    ['rows.jsonl', 'fine-tune', '', 'file', 'invalid_jsonl'],
    ['rows.jsonl', 'training', '{}', 'purpose', 'invalid_value'],
  ])('refuses %s with purpose %s and content %j', async (filename, purpose, content, param, code) => {
    const before = await storedKeys();
    expect(await refusal(upload(content, filename, purpose))).toMatchObject({ status: 400, param, code });
    expect(await storedKeys()).toEqual(before);
  });

  it('keeps other purposes as they are', async () => {
    expect(await upload('not json at all', 'notes.txt', 'user_data')).toMatchObject({ purpose: 'user_data' });
  });

  it('refuses forms without a file, with another name for it, or that are no forms', async () => {
    const post = async (body: RequestInit['body'], headers: Record<string, string> = {}) => {
      const response = await fetch(`${api.url}/v1/files`, {
        method: 'POST',
        headers: { authorization: `Bearer ${api.key}`, ...headers },
        body,
      });
      return { status: response.status, ...(await errorOf(response)) };
    };
    const without = new FormData();
    without.set('purpose', 'fine-tune');
    expect(await post(without)).toMatchObject({ status: 400, param: 'file', code: 'missing_required_parameter' });
    const renamed = new FormData();
    renamed.set('purpose', 'fine-tune');
    renamed.set('data', new Blob(['{}']), 'rows.jsonl');
    expect(await post(renamed)).toMatchObject({ status: 400, param: 'data' });
    const unnamed = new FormData();
    unnamed.set('file', new Blob(['{}']), 'rows.jsonl');
    expect(await post(unnamed)).toMatchObject({ status: 400, param: 'purpose', code: 'missing_required_parameter' });
    expect(await post('{}', { 'content-type': 'application/json' })).toMatchObject({ status: 415 });
    const broken = { 'content-type': 'multipart/form-data; boundary=xyz' };
    expect(
      await post('--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n{', broken),
    ).toMatchObject({ status: 400, code: 'invalid_multipart' });
    expect(await post('{}', { 'content-type': 'multipart/form-data' })).toMatchObject({ status: 400 });
    expect((await readdir(api.storageDir, { recursive: true })).filter((name) => name.includes('tmp'))).toEqual([]);
  });

  it('refuses an oversized upload with 413 while the client is still sending, and stores nothing', async () => {
    const before = await storedKeys();
    const line = `${JSON.stringify({ ...voxelRow('1010'), padding: 'x'.repeat(1000) })}\n`;
    const error = await refusal(upload(line.repeat(1500)));
    expect(error).toMatchObject({ status: 413, param: 'file', code: 'file_too_large', type: 'invalid_request_error' });
    expect(error.message).toContain('1048576 bytes');
    expect(error.requestID).toBeTruthy();
    expect(await storedKeys()).toEqual(before);
  });

  it('does not keep the connection of a client that goes on sending far beyond the limit', async () => {
    const own = await startTestApi({ maxUploadBytes: 1000 });
    const file = new File([Buffer.alloc(30_000_000, 'x')], 'rows.jsonl');
    const error = await refusal(own.client.files.create({ file, purpose: 'fine-tune' }));
    expect(error.status).toBe(413);
    // Ends only when no connection is left; a stuck one would hold it for more than a minute.
    const stopping = Date.now();
    await own.stop();
    expect(Date.now() - stopping).toBeLessThan(30_000);
  });
});

describe('stored files', () => {
  it('are listed newest first, a page at a time, without repeats', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.unshift((await upload('x', `page-${i}`, 'vision')).id);
    const seen: string[] = [];
    for await (const file of api.client.files.list({ purpose: 'vision', limit: 2 })) seen.push(file.id);
    expect(seen).toEqual(ids);
    const upward: string[] = [];
    for await (const file of api.client.files.list({ purpose: 'vision', limit: 2, order: 'asc' })) upward.push(file.id);
    expect(upward).toEqual([...ids].reverse());
    const page = await api.client.files.list({ purpose: 'vision', limit: 2 }).asResponse();
    expect(await page.json()).toMatchObject({ has_more: true, first_id: ids[0], last_id: ids[1] });
    expect(await refusal(api.client.files.list({ after: 'file-nope' }))).toMatchObject({ status: 400, param: 'after' });
  });

  it('are gone after deletion, bytes too', async () => {
    const file = await upload('bytes', 'gone', 'vision');
    expect(await api.client.files.delete(file.id)).toEqual({ id: file.id, object: 'file', deleted: true });
    expect(await api.storage.stat(`files/${file.id}`)).toBeNull();
    for (const call of ['retrieve', 'content', 'delete'] as const) {
      const error = await refusal(api.client.files[call](file.id));
      expect(error).toBeInstanceOf(NotFoundError);
      expect(error).toMatchObject({ param: 'id', code: null });
      expect(error.message).toContain(`No such File object: ${file.id}`);
    }
  });

  it('cannot be deleted under a job that needs them', async () => {
    const id = await uploadRows(api.client, voxelRow('1010'));
    const job = await api.client.fineTuning.jobs.create(jobBody(id));
    const error = await refusal(api.client.files.delete(id));
    expect(error).toBeInstanceOf(ConflictError);
    expect(error).toMatchObject({ code: 'file_in_use' });
    expect(error.headers?.get('x-should-retry')).toBe('false');
    expect(error.message).toContain(job.id);
    await api.client.fineTuning.jobs.cancel(job.id);
    expect(await api.client.files.delete(id)).toMatchObject({ deleted: true });
  });

  it('send parts, tags and heads', async () => {
    const file = await upload('0123456789', 'digits.bin', 'user_data');
    const get = (method: string, headers: Record<string, string>) =>
      fetch(`${api.url}/v1/files/${file.id}/content`, {
        method,
        headers: { authorization: `Bearer ${api.key}`, ...headers },
      });
    const part = await get('GET', { range: 'bytes=2-4' });
    expect([part.status, part.headers.get('content-range'), await part.text()]).toEqual([206, 'bytes 2-4/10', '234']);
    expect(await (await get('GET', { range: 'bytes=-3' })).text()).toBe('789');
    expect(await (await get('GET', { range: 'bytes=8-' })).text()).toBe('89');
    expect((await get('GET', { range: 'bytes=10-' })).status).toBe(416);
    const head = await get('HEAD', {});
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '10', '']);
    const etag = head.headers.get('etag') ?? '';
    expect(etag).toMatch(/^"[0-9a-f]{64}"$/);
    expect((await get('GET', { 'if-none-match': etag })).status).toBe(304);
  });

  it('that were deleted behind a job leave it readable', async () => {
    const id = await uploadRows(api.client, voxelRow('1010'));
    const job = await api.client.fineTuning.jobs.create(jobBody(id));
    await api.client.fineTuning.jobs.cancel(job.id);
    await deleteFile(api.db, api.projectId, id);
    expect(await api.client.fineTuning.jobs.retrieve(job.id)).toMatchObject({ training_file: id });
  });
});
