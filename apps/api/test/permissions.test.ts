import { createApiKey, createProject, succeedJob } from '@polymode/db';
import OpenAI, { BadRequestError, NotFoundError } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jobBody, leaveCheckpoint, refusal, startTestApi, type TestApi, uploadRows, voxelRow } from './harness.js';

let api: TestApi;
let checkpoint: string;
let fineTuned: string;
let jobId: string;
let projects: string[];
let other: OpenAI;
let permissions: OpenAI['fineTuning']['checkpoints']['permissions'];

/** The SDK sends these with its admin key alone. */
const withAdmin = (apiKey: string, adminAPIKey: string | null) =>
  new OpenAI({ apiKey, adminAPIKey, baseURL: `${api.url}/v1`, maxRetries: 0 });

beforeAll(async () => {
  api = await startTestApi();
  const { db } = api;
  const job = await api.client.fineTuning.jobs.create(jobBody(await uploadRows(api.client, voxelRow('1010'))));
  jobId = job.id;
  await leaveCheckpoint(api, job.id, 1, { 'state/state.json': Buffer.from('{}') });
  fineTuned = `ft:polymode-tiny:acme:demo:${job.id.slice(-8)}`;
  await succeedJob(db, job.id, 'test-worker', { fineTunedModel: fineTuned, trainedTokens: 1, resultFiles: [] }, []);
  checkpoint = (await api.client.fineTuning.jobs.checkpoints.list(job.id)).data[0]!.fine_tuned_model_checkpoint;
  const made = await Promise.all(['B', 'C', 'D', 'E', 'F'].map((name) => createProject(db, 'acme', name, 'cli')));
  projects = made.map(({ id }) => id);
  const { key } = await createApiKey(db, { projectId: projects[0]!, name: 'b', scope: 'write' }, 'cli');
  other = new OpenAI({ apiKey: key, baseURL: `${api.url}/v1`, maxRetries: 0 });
  const readOnly = await createApiKey(db, { projectId: api.projectId, name: 'reads', scope: 'read' }, 'cli');
  permissions = withAdmin(readOnly.key, api.key).fineTuning.checkpoints.permissions;
});
afterAll(() => api?.stop());

describe('permissions of a checkpoint', () => {
  it('are given, listed a page at a time without repeats, and taken back', async () => {
    const given: string[] = [];
    for await (const one of permissions.create(checkpoint, { project_ids: projects })) {
      expect(one).toMatchObject({ object: 'checkpoint.permission', id: expect.stringMatching(/^cp_/) });
      given.push(one.id);
    }
    expect(given).toHaveLength(projects.length);
    const seen: string[] = [];
    for await (const one of permissions.list(checkpoint, { limit: 2 })) seen.push(one.project_id);
    expect(seen).toEqual([...projects].reverse());
    const ascending: string[] = [];
    for await (const one of permissions.list(checkpoint, { limit: 2, order: 'ascending' })) ascending.push(one.id);
    expect(ascending).toEqual(given);
    const one = await permissions.list(checkpoint, { project_id: projects[3]! });
    expect(one.data.map(({ project_id }) => project_id)).toEqual([projects[3]]);
    // The name that the SDK had before.
    const page = await permissions.retrieve(checkpoint, { limit: 2 });
    expect(page).toMatchObject({ has_more: true, first_id: given.at(-1), last_id: given.at(-2) });
    const gone = await permissions.delete(given[4]!, { fine_tuned_model_checkpoint: checkpoint });
    expect(gone).toEqual({ id: given[4], object: 'checkpoint.permission', deleted: true });
    expect(await refusal(permissions.delete(given[4]!, { fine_tuned_model_checkpoint: checkpoint }))).toMatchObject({
      status: 404,
      code: 'permission_not_found',
    });
    expect((await permissions.list(checkpoint)).data.map(({ id }) => id)).not.toContain(given[4]);
  });

  it('stay as they are when they are given again', async () => {
    const before = (await permissions.list(checkpoint, { limit: 100 })).data;
    const [again] = (await permissions.create(checkpoint, { project_ids: [projects[0]!, projects[0]!] })).data;
    expect(before).toContainEqual(again);
    expect((await permissions.list(checkpoint, { limit: 100 })).data).toEqual(before);
  });

  it('are refused for projects, checkpoints and cursors that do not exist', async () => {
    const wrong = await refusal(permissions.create(checkpoint, { project_ids: [projects[0]!, 'proj_none'] }));
    expect(wrong).toBeInstanceOf(BadRequestError);
    expect(wrong).toMatchObject({ param: 'project_ids[1]', code: 'project_not_found' });
    const none = await refusal(permissions.create('ft:none:ckpt-step-1', { project_ids: [projects[0]!] }));
    expect(none).toBeInstanceOf(NotFoundError);
    expect(none).toMatchObject({ code: 'checkpoint_not_found' });
    expect(await refusal(permissions.list(checkpoint, { after: 'cp_none' }))).toMatchObject({
      status: 400,
      param: 'after',
    });
    expect(await refusal(permissions.create(checkpoint, { project_ids: [] }))).toMatchObject({ param: 'project_ids' });
    const reads = withAdmin(api.key, null).fineTuning.checkpoints.permissions;
    // Without an admin key the SDK does not even ask.
    await expect((async () => reads.list(checkpoint))()).rejects.toThrow(/admin/i);
  });

  it('let another project see the checkpoint and train from it, until they are taken back', async () => {
    const training = await uploadRows(other, voxelRow('1010'));
    const train = () => other.fineTuning.jobs.create(jobBody(training, { model: checkpoint }));
    const [permission] = (await permissions.create(checkpoint, { project_ids: [projects[0]!] })).data;
    expect(await other.models.retrieve(checkpoint)).toMatchObject({ id: checkpoint, owned_by: 'acme' });
    expect((await other.models.list()).data.map(({ id }) => id)).toContain(checkpoint);
    const job = await train();
    expect(job).toMatchObject({ status: 'queued', model: checkpoint });
    // Only the checkpoint is shared: neither its job nor the model by its other name, and it is not theirs to delete.
    expect(await refusal(other.fineTuning.jobs.retrieve(jobId))).toMatchObject({ status: 404 });
    expect(await refusal(other.models.retrieve(fineTuned))).toMatchObject({ status: 404 });
    expect(await refusal(other.models.delete(checkpoint))).toMatchObject({ status: 403, code: 'model_not_deletable' });
    // Nor can its owner, while somebody trains from it.
    expect(await refusal(api.client.models.delete(checkpoint))).toMatchObject({ status: 409, code: 'model_in_use' });
    await permissions.delete(permission!.id, { fine_tuned_model_checkpoint: checkpoint });
    expect(await refusal(other.models.retrieve(checkpoint))).toMatchObject({ status: 404 });
    expect(await refusal(train())).toMatchObject({ status: 400, param: 'model', code: 'model_not_found' });
    // What was begun goes on.
    expect(await other.fineTuning.jobs.retrieve(job.id)).toMatchObject({ status: 'queued' });
  });

  it('are on record, with who gave them', async () => {
    const rows = await api.db.auditEvent.findMany({ where: { type: { startsWith: 'checkpoint.permission' } } });
    const types = rows.map(({ type }) => type);
    expect(types.filter((type) => type === 'checkpoint.permission.created').length).toBe(projects.length + 0);
    expect(types.filter((type) => type === 'checkpoint.permission.deleted').length).toBe(2);
    for (const row of rows)
      expect(row).toMatchObject({ actor: expect.stringMatching(/^key_/), projectId: api.projectId });
  });
});
