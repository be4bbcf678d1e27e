import { createHash, randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { completeUpload } from '@polymode/db';
import { BadRequestError, NotFoundError, toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deleteUploadParts, orphanDeleter } from '../src/housekeeping.js';
import { jobBody, jsonl, refusal, startTestApi, type TestApi, voxelRow } from './harness.js';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.stop());

const begin = (bytes: number, change: object = {}) =>
  api.client.uploads.create({
    bytes,
    filename: 'big.bin',
    mime_type: 'application/octet-stream',
    purpose: 'user_data',
    ...change,
  });

const add = async (id: string, data: Uint8Array) =>
  (await api.client.uploads.parts.create(id, { data: await toFile(data, 'part') })).id;

const stored = async (prefix: string): Promise<string[]> => {
  const keys: string[] = [];
  for await (const key of api.storage.list(prefix)) keys.push(key);
  return keys;
};

/** As an hour later. */
const expire = (id: string) =>
  api.db.upload.update({ where: { id }, data: { expiresAt: new Date(Date.now() - 1000) } });

describe('an upload in parts', () => {
  it('becomes a file of its parts in the order of part_ids, however they came', async () => {
    const pieces = Array.from({ length: 6 }, (_, i) => randomBytes(10_000 + i));
    const whole = Buffer.concat(pieces);
    const upload = await begin(whole.length, { expires_after: { anchor: 'created_at', seconds: 7200 } });
    expect(upload).toMatchObject({ object: 'upload', status: 'pending', bytes: whole.length, purpose: 'user_data' });
    expect(upload.id).toMatch(/^upload_/);
    expect(upload.expires_at - upload.created_at).toBe(3600);
    expect(upload.file).toBeUndefined();
    const ids = await Promise.all(
      [...pieces.entries()].reverse().map(async ([i, data]) => [i, await add(upload.id, data)]),
    );
    const part_ids = ids.sort(([a], [b]) => Number(a) - Number(b)).map(([, id]) => String(id));
    const md5 = createHash('md5').update(whole).digest('hex');
    const done = await api.client.uploads.complete(upload.id, { part_ids, md5: md5.toUpperCase() });
    expect(done).toMatchObject({ id: upload.id, status: 'completed' });
    expect(done.file).toMatchObject({ object: 'file', bytes: whole.length, filename: 'big.bin', status: 'processed' });
    expect(done.file!.expires_at! - done.file!.created_at).toBe(7200);
    const content = await api.client.files.content(done.file!.id);
    expect(Buffer.from(await content.arrayBuffer()).equals(whole)).toBe(true);
  });

  it('takes the order from part_ids, not from the parts', async () => {
    const upload = await begin(4);
    const [first, second] = [await add(upload.id, Buffer.from('ab')), await add(upload.id, Buffer.from('cd'))];
    const { file } = await api.client.uploads.complete(upload.id, { part_ids: [second, first] });
    expect(await (await api.client.files.content(file!.id)).text()).toBe('cdab');
  });

  it('tells what a part is', async () => {
    const upload = await begin(2);
    const part = await api.client.uploads.parts.create(upload.id, { data: await toFile(Buffer.from('ab'), 'x') });
    expect(part).toEqual({
      id: expect.stringMatching(/^part_/),
      object: 'upload.part',
      created_at: expect.any(Number),
      upload_id: upload.id,
    });
  });

  it('that is completed twice, or twice at once, makes one file', async () => {
    const upload = await begin(3);
    const part_ids = [await add(upload.id, Buffer.from('abc'))];
    const both = await Promise.all([1, 2, 3].map(() => api.client.uploads.complete(upload.id, { part_ids })));
    const again = await api.client.uploads.complete(upload.id, { part_ids });
    const ids = new Set([...both, again].map(({ file }) => file!.id));
    expect(ids.size).toBe(1);
    expect(await api.db.file.count({ where: { bytes: 3n, filename: 'big.bin' } })).toBe(1);
  });

  it('is completed by no other number of bytes, no other md5, and no part that it does not have', async () => {
    const upload = await begin(6);
    const [a, b] = [await add(upload.id, Buffer.from('abc')), await add(upload.id, Buffer.from('def'))];
    const complete = (part_ids: string[], md5?: string) =>
      refusal(api.client.uploads.complete(upload.id, { part_ids, ...(md5 ? { md5 } : {}) }));
    const short = await complete([a]);
    expect(short).toBeInstanceOf(BadRequestError);
    expect(short).toMatchObject({
      param: 'part_ids',
      code: 'invalid_upload_size',
      message: expect.stringMatching(/3 bytes, and 6 were announced/),
    });
    expect(await complete([a, b], '0'.repeat(32))).toMatchObject({ param: 'md5', code: 'md5_mismatch' });
    expect(await complete([a, b], 'abc')).toMatchObject({ param: 'md5', code: 'invalid_value' });
    expect(await complete([a, 'part_none'])).toMatchObject({ param: 'part_ids[1]', code: 'part_not_found' });
    expect(await complete([a, a])).toMatchObject({ param: 'part_ids[1]', code: 'part_not_found' });
    expect(await complete([])).toMatchObject({ param: 'part_ids' });
    const other = await begin(3);
    const foreign = await add(other.id, Buffer.from('xyz'));
    expect(await complete([a, foreign])).toMatchObject({ param: 'part_ids[1]', code: 'part_not_found' });
    // None of that used it up, or left anything behind.
    const { file } = await api.client.uploads.complete(upload.id, { part_ids: [b, a] });
    const keys = await stored('files');
    const rows = await api.db.file.findMany({ where: { deletedAt: null } });
    expect(keys.sort()).toEqual(rows.map((row) => row.storageKey).sort());
    expect(rows.map((row) => row.id)).toContain(file!.id);
  });

  it('takes parts of up to 64 MB', async () => {
    const upload = await begin(64 * 1024 ** 2 + 1);
    const error = await refusal(add(upload.id, Buffer.alloc(64 * 1024 ** 2 + 1)));
    expect(error).toMatchObject({ status: 413, param: 'data', code: 'file_too_large' });
    expect(await stored(`uploads/${upload.id}`)).toEqual([]);
    expect(await add(upload.id, Buffer.alloc(64 * 1024 ** 2))).toMatch(/^part_/);
    expect(await refusal(begin(8 * 1024 ** 3 + 1))).toMatchObject({ status: 400, param: 'bytes' });
    expect(await refusal(add(upload.id, Buffer.alloc(0)))).toMatchObject({ status: 400, param: 'data' });
  });

  it('takes no more than parts that were sent again could explain', async () => {
    const upload = await begin(1000);
    for (let i = 0; i < 3; i++) await add(upload.id, Buffer.alloc(1000));
    expect(await refusal(add(upload.id, Buffer.alloc(1000)))).toMatchObject({ status: 400, code: 'upload_too_large' });
  });

  it('that is cancelled takes no parts, is not completed, and says not to try again', async () => {
    const upload = await begin(3);
    const part = await add(upload.id, Buffer.from('abc'));
    const cancelled = await api.client.uploads.cancel(upload.id);
    expect(cancelled).toMatchObject({ status: 'cancelled' });
    expect((await api.client.uploads.cancel(upload.id)).status).toBe('cancelled');
    for (const call of [
      () => add(upload.id, Buffer.from('abc')),
      () => api.client.uploads.complete(upload.id, { part_ids: [part] }),
    ]) {
      const error = await refusal(call());
      expect(error).toMatchObject({ status: 400, param: 'upload_id', code: 'upload_not_pending' });
      expect(error.headers?.get('x-should-retry')).toBe('false');
    }
  });

  it('that is completed cannot be cancelled; one that expired is over', async () => {
    const upload = await begin(3);
    const part_ids = [await add(upload.id, Buffer.from('abc'))];
    await api.client.uploads.complete(upload.id, { part_ids });
    expect(await refusal(api.client.uploads.cancel(upload.id))).toMatchObject({ code: 'upload_not_pending' });
    const late = await begin(3);
    const lateParts = [await add(late.id, Buffer.from('abc'))];
    await expire(late.id);
    for (const call of [
      () => api.client.uploads.complete(late.id, { part_ids: lateParts }),
      () => api.client.uploads.cancel(late.id),
      () => add(late.id, Buffer.from('abc')),
    ]) {
      expect(await refusal(call())).toMatchObject({ status: 400, message: expect.stringContaining('expired') });
    }
  });

  it('whose parts vanish while it is completed, because it was cancelled, says that', async () => {
    const upload = await begin(3);
    const part_ids = [await add(upload.id, Buffer.from('abc'))];
    // As when it is cancelled and the housekeeper runs between the look at the upload and the reading of its parts.
    const { get } = api.storage;
    api.storage.get = async (...args) => {
      api.storage.get = get;
      await api.client.uploads.cancel(upload.id);
      await deleteUploadParts(api.db, api.storage);
      return get(...args);
    };
    expect(await refusal(api.client.uploads.complete(upload.id, { part_ids }))).toMatchObject({
      code: 'upload_not_pending',
    });
  });

  it('does not exist by another id', async () => {
    for (const call of [
      () => api.client.uploads.complete('upload_none', { part_ids: ['part_none'] }),
      () => api.client.uploads.cancel('upload_none'),
      () => add('upload_none', Buffer.from('abc')),
    ]) {
      const error = await refusal(call());
      expect(error).toBeInstanceOf(NotFoundError);
      expect(error).toMatchObject({ code: 'upload_not_found', param: 'upload_id' });
    }
  });
});

describe('an upload for fine-tuning', () => {
  const rows = jsonl(voxelRow('1010'), voxelRow('0110'), voxelRow('1111'));

  it('is looked at when it is completed, lines that cross parts too, and serves a job', async () => {
    const bytes = Buffer.from(rows);
    const upload = await begin(bytes.length, { purpose: 'fine-tune', filename: 'rows.jsonl', mime_type: 'text/jsonl' });
    const cuts = [0, 37, 150, bytes.length];
    const part_ids: string[] = [];
    for (let i = 1; i < cuts.length; i++) part_ids.push(await add(upload.id, bytes.subarray(cuts[i - 1], cuts[i])));
    const { file } = await api.client.uploads.complete(upload.id, { part_ids });
    expect((await api.client.fineTuning.jobs.create(jobBody(file!.id))).training_file).toBe(file!.id);
  });

  it('names its wrong lines, and may be completed otherwise then', async () => {
    const [good, bad] = [Buffer.from(rows), Buffer.from('[1]\n{"a":\n')];
    const upload = await begin(good.length, { purpose: 'fine-tune', filename: 'rows.jsonl' });
    const wrong = await add(upload.id, Buffer.concat([bad, good]).subarray(0, good.length));
    const error = await refusal(api.client.uploads.complete(upload.id, { part_ids: [wrong] }));
    expect(error).toMatchObject({ status: 400, param: 'part_ids', code: 'invalid_jsonl' });
    expect(error.message).toMatch(/Line 1 .*\n.*Line 2 /);
    const right = await add(upload.id, good);
    expect((await api.client.uploads.complete(upload.id, { part_ids: [right] })).status).toBe('completed');
  });

  it('has a name that ends in .jsonl', async () => {
    expect(await refusal(begin(3, { purpose: 'fine-tune' }))).toMatchObject({
      status: 400,
      param: 'filename',
      code: 'invalid_file_format',
    });
  });
});

describe('bytes that nobody needs', () => {
  it('of parts go when their upload has ended, also those that a crash left without a row', async () => {
    const ended = await begin(3);
    await api.client.uploads.complete(ended.id, { part_ids: [await add(ended.id, Buffer.from('abc'))] });
    const expired = await begin(3);
    await add(expired.id, Buffer.from('abc'));
    await expire(expired.id);
    const pending = await begin(3);
    const part = await add(pending.id, Buffer.from('abc'));
    await api.storage.put('uploads/upload_unknown/part_unknown', Buffer.from('abc'));
    await api.storage.put(`uploads/${ended.id}/part_unknown`, Buffer.from('abc'));
    const deleted = await deleteUploadParts(api.db, api.storage);
    expect(deleted).toEqual(expect.arrayContaining([ended.id, expired.id, 'upload_unknown']));
    expect(deleted).not.toContain(pending.id);
    expect(await stored(`uploads/${ended.id}`)).toEqual([]);
    expect(await stored(`uploads/${expired.id}`)).toEqual([]);
    expect(await stored('uploads/upload_unknown')).toEqual([]);
    await api.storage.put(`uploads/${ended.id}/part_late`, Buffer.from('abc'));
    await deleteUploadParts(api.db, api.storage);
    expect(await stored(`uploads/${ended.id}`)).toEqual([]);
    expect((await api.client.uploads.complete(pending.id, { part_ids: [part] })).status).toBe('completed');
  });

  it('of files that were never written down go when they are old enough', async () => {
    const upload = await begin(3);
    const { file } = await api.client.uploads.complete(upload.id, {
      part_ids: [await add(upload.id, Buffer.from('abc'))],
    });
    const row = await api.db.file.findUniqueOrThrow({ where: { id: file!.id } });
    await api.storage.put('files/file-orphan', Buffer.from('abc'));
    const young = orphanDeleter();
    expect([await young(api.db, api.storage), await young(api.db, api.storage)]).toEqual([[], []]);
    const old = orphanDeleter(0);
    // Seen for the first time it may be on its way still.
    expect(await old(api.db, api.storage)).toEqual([]);
    expect(await old(api.db, api.storage)).toEqual(['files/file-orphan']);
    expect((await buffer(await api.storage.get(row.storageKey))).toString()).toBe('abc');
  });

  it('that a completion stored before it came too late are known to be needless', async () => {
    const upload = await begin(3);
    await api.client.uploads.cancel(upload.id);
    const { bytes, sha256, key: storageKey } = await api.storage.put('files/file-late', Buffer.from('abc'));
    const file = {
      id: 'file-late',
      projectId: api.projectId,
      filename: 'x',
      purpose: 'user_data',
      bytes,
      sha256,
      storageKey,
    };
    expect(await completeUpload(api.db, upload.id, file)).toBeNull();
    expect(await api.db.file.findUnique({ where: { id: 'file-late' } })).toBeNull();
    await api.storage.delete(storageKey);
  });
});
