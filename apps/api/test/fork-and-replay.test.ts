import type OpenAI from 'openai';
import { BadRequestError, NotFoundError, toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  jobBody,
  jsonl,
  leaveCheckpoint,
  refusal,
  startTestApi,
  type TestApi,
  uploadRows,
  voxelRow,
} from './harness.js';

type Job = OpenAI.FineTuning.FineTuningJob;

let api: TestApi;
let training: string;
beforeAll(async () => {
  api = await startTestApi();
  training = await uploadRows(api.client, ...['1010', '0110', '1111', '0001'].map(voxelRow));
});
afterAll(() => api?.stop());

const jobs = () => api.client.fineTuning.jobs;
const settings = (job: Job) =>
  (job.method!.reinforcement as unknown as { hyperparameters: Record<string, unknown> }).hyperparameters;

describe('a fork', () => {
  const fork = (id: string, body?: object) =>
    api.client.post<Job>(`/fine_tuning/jobs/${id}/fork`, body === undefined ? {} : { body });

  /** A job with two checkpoints. */
  async function parent(change: object = {}, hyperparameters: object = { trainable: 'lora', lora: { rank: 4 } }) {
    const job = await jobs().create(
      jobBody(training, { suffix: 'first', metadata: { a: 'b' }, seed: 1, ...change }, hyperparameters),
    );
    const files = { 'state/state.json': Buffer.from('{}') };
    const early = await leaveCheckpoint(api, job.id, 2, files);
    const late = await leaveCheckpoint(api, job.id, 4, files);
    await leaveCheckpoint(api, job.id, 5, files, false);
    const checkpoints = (await jobs().checkpoints.list(job.id)).data;
    return {
      job,
      early,
      late,
      name: (id: string) => checkpoints.find((one) => one.id === id)!.fine_tuned_model_checkpoint,
    };
  }

  it('starts from the last checkpoint with the settings of its parent', async () => {
    const { job, late, name } = await parent();
    const forked = await fork(job.id);
    expect(forked).toMatchObject({
      status: 'queued',
      model: name(late),
      training_file: training,
      metadata: { a: 'b' },
      user_provided_suffix: 'first',
    });
    expect(forked.id).not.toBe(job.id);
    expect(settings(forked)).toEqual(settings(job));
    expect((await api.db.fineTuningJob.findUniqueOrThrow({ where: { id: forked.id } })).startCheckpointId).toBe(late);
    expect(await jobs().retrieve(job.id)).toMatchObject({ id: job.id });
  });

  it('starts from the checkpoint that is named by id, by name or by step', async () => {
    const { job, early, name } = await parent();
    for (const checkpoint of [early, name(early), 2]) {
      expect((await fork(job.id, { checkpoint })).model).toBe(name(early));
    }
  });

  it('derives anew what hangs on a changed hyperparameter, and keeps the rest', async () => {
    const { job } = await parent({}, { group_size: 6, temperature: 0.7 });
    expect(settings(job)).toMatchObject({ n_epochs: 3, max_steps: 3 });
    const other = await uploadRows(api.client, voxelRow('1010'), voxelRow('0110'));
    const forked = await fork(job.id, {
      hyperparameters: { n_epochs: 6, group_size: 9 },
      training_file: other,
      suffix: 'second',
      seed: 5,
      metadata: { c: 'd' },
    });
    expect(settings(forked)).toMatchObject({ n_epochs: 6, group_size: 9, temperature: 0.7, ips: { epsilon: 1 / 9 } });
    expect(settings(forked).max_steps).toBe(6 * Math.ceil(2 / Number(settings(forked).batch_size)));
    expect(forked).toMatchObject({
      training_file: other,
      user_provided_suffix: 'second',
      seed: 5,
      metadata: { c: 'd' },
    });
  });

  it('drops what is null of a file, a suffix or metadata', async () => {
    const validation_file = await uploadRows(api.client, voxelRow('1001'));
    const { job } = await parent({ validation_file });
    expect((await fork(job.id)).validation_file).toBe(validation_file);
    expect(await fork(job.id, { validation_file: null, suffix: null, metadata: null })).toMatchObject({
      validation_file: null,
      user_provided_suffix: null,
      metadata: null,
    });
  });

  it('names what is wrong in the words of its own request', async () => {
    const { job } = await parent();
    const refused = async (body: object) => refusal(fork(job.id, body));
    expect(await refused({ hyperparameters: { group_size: 1 } })).toMatchObject({
      status: 400,
      param: 'hyperparameters.group_size',
      message: expect.stringContaining("'hyperparameters.group_size'"),
    });
    expect(await refused({ hyperparameters: { groupsize: 4 } })).toMatchObject({ param: 'hyperparameters.groupsize' });
    expect(await refused({ hyperparameters: { lora: { rank: 8 } } })).toMatchObject({ param: 'hyperparameters.lora' });
    expect(await refused({ training_file: 'file-none' })).toMatchObject({ status: 400, param: 'training_file' });
    expect(await refused({ model: 'polymode-tiny' })).toMatchObject({ param: 'model', code: 'unknown_parameter' });
    for (const checkpoint of ['ftckpt_none', 3, 5]) {
      const error = await refused({ checkpoint });
      expect(error).toBeInstanceOf(NotFoundError);
      expect(error).toMatchObject({ param: 'checkpoint', code: 'checkpoint_not_found' });
    }
    const bare = await jobs().create(jobBody(training));
    expect(await refusal(fork(bare.id))).toMatchObject({ status: 400, code: 'checkpoint_not_found' });
    const foreign = await parent();
    expect(await refused({ checkpoint: foreign.late })).toMatchObject({ status: 404 });
  });
});

describe('an Idempotency-Key', () => {
  const key = (name: string) => ({ headers: { 'Idempotency-Key': name } });

  it('makes one job of a request that is sent again, and of many at once', async () => {
    const body = jobBody(training, { seed: null });
    const first = await jobs().create(body, key('k1'));
    expect(await jobs().create(body, key('k1'))).toEqual(first);
    const many = await Promise.all(Array.from({ length: 6 }, () => jobs().create(body, key('k2'))));
    expect(new Set(many.map(({ id }) => id)).size).toBe(1);
    expect(new Set(many.map(({ seed }) => seed)).size).toBe(1);
    expect(many[0]!.id).not.toBe(first.id);
    const events = (await jobs().listEvents(many[0]!.id)).data;
    expect(events.filter(({ message }) => message.startsWith('Created'))).toHaveLength(1);
  });

  it('is refused for another request, and works after a refusal', async () => {
    const body = jobBody(training, {}, { group_size: 1 });
    expect(await refusal(jobs().create(body, key('k3')))).toBeInstanceOf(BadRequestError);
    const job = await jobs().create(jobBody(training), key('k3'));
    const error = await refusal(jobs().create(jobBody(training, { suffix: 'other' }), key('k3')));
    expect(error).toMatchObject({ status: 400, param: 'Idempotency-Key', code: 'idempotency_key_reused' });
    expect(error.message).toContain('another request');
    expect(await refusal(api.client.post(`/fine_tuning/jobs/${job.id}/fork`, key('k3')))).toMatchObject({
      status: 400,
    });
    expect(await refusal(jobs().create(jobBody(training), key('a b')))).toMatchObject({
      code: 'invalid_idempotency_key',
    });
    expect(await refusal(jobs().create(jobBody(training), key('x'.repeat(256))))).toMatchObject({ status: 400 });
  });

  it('answers the job though its file is gone by now', async () => {
    const file = await uploadRows(api.client, voxelRow('1010'));
    const job = await jobs().create(jobBody(file), key('k4'));
    await jobs().cancel(job.id);
    await api.client.files.delete(file);
    expect(await jobs().create(jobBody(file), key('k4'))).toMatchObject({ id: job.id, status: 'cancelled' });
  });

  it('makes one file and one upload, and keeps one copy of the bytes', async () => {
    const send = async (text: string, name: string) =>
      api.client.files.create({ file: await toFile(Buffer.from(text), 'a.jsonl'), purpose: 'fine-tune' }, key(name));
    const rows = jsonl(voxelRow('1010'));
    const [one, two] = [await send(rows, 'k5'), await send(rows, 'k5')];
    expect(two).toEqual(one);
    const keys: string[] = [];
    for await (const stored of api.storage.list('files')) keys.push(stored);
    expect(keys).toHaveLength(await api.db.file.count({ where: { deletedAt: null } }));
    expect(await refusal(send(jsonl(voxelRow('0110')), 'k5'))).toMatchObject({ code: 'idempotency_key_reused' });
    const upload = { bytes: 9, filename: 'a.bin', mime_type: 'text/plain', purpose: 'user_data' as const };
    const begun = await api.client.uploads.create(upload, key('k6'));
    expect((await api.client.uploads.create(upload, key('k6'))).id).toBe(begun.id);
    expect(await refusal(api.client.uploads.create({ ...upload, bytes: 8 }, key('k6')))).toMatchObject({
      code: 'idempotency_key_reused',
    });
  });
});
