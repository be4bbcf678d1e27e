import { type OperationSpec, operations } from '@polymode/contracts';
import { createApiKey, createProject, ensureDefaultProject, type KeyScope } from '@polymode/db';
import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  errorOf,
  jobBody,
  leaveCheckpoint,
  startTestApi,
  type TestApi,
  uploadRows,
  voxelGrader,
  voxelRow,
} from './harness.js';
import { type ProtocolWorker, says, startProtocolWorker } from './protocol-worker.js';

// Everything of one project, asked for with keys of another: it does not exist.

type OperationId = keyof typeof operations;

/** Ids of project A by the names that paths give them. */
interface Ids {
  file_id: string;
  upload_id: string;
  part_id: string;
  fine_tuning_job_id: string;
  checkpoint_id: string;
  path: string;
  fine_tuned_model_checkpoint: string;
  permission_id: string;
  model: string;
  project_id: string;
  api_key_id: string;
  webhook_endpoint_id: string;
}

interface Case {
  /**
   * What another's key sees. `hidden`: 404, for the path, or a completion's body, names something of project A. `absent`: a list without it. `none`: it
   * names nothing that is there already. A status: how the body's mention of something of A is refused.
   */
  sees: 'hidden' | 'absent' | 'none' | 400;
  /** Whose key asks: of another project, or, for what is the organization's, of another organization. @defaultValue 'project' */
  from?: 'project' | 'organization';
  body?: (ids: Ids) => unknown;
  form?: () => FormData;
  query?: string;
}

const file = (): Blob => new Blob(['{"a": 1}\n']);
const form = (fields: Record<string, string | Blob>) => () => {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') data.append(name, value);
    else data.append(name, value, 'rows.jsonl');
  }
  return data;
};

/** A new operation needs a case here: say what a stranger's key sees of it. */
const CASES: Record<OperationId, Case> = {
  createFile: { sees: 'none', form: form({ purpose: 'user_data', file: file() }) },
  listFiles: { sees: 'absent' },
  retrieveFile: { sees: 'hidden' },
  deleteFile: { sees: 'hidden' },
  retrieveFileContent: { sees: 'hidden' },
  createUpload: {
    sees: 'none',
    body: () => ({ bytes: 1, filename: 'a.bin', mime_type: 'text/plain', purpose: 'user_data' }),
  },
  createUploadPart: { sees: 'hidden', form: form({ data: file() }) },
  completeUpload: { sees: 'hidden', body: ({ part_id }) => ({ part_ids: [part_id] }) },
  cancelUpload: { sees: 'hidden' },
  createFineTuningJob: { sees: 400, body: ({ file_id }) => jobBody(file_id) },
  listFineTuningJobs: { sees: 'absent' },
  retrieveFineTuningJob: { sees: 'hidden' },
  cancelFineTuningJob: { sees: 'hidden' },
  pauseFineTuningJob: { sees: 'hidden' },
  resumeFineTuningJob: { sees: 'hidden' },
  forkFineTuningJob: { sees: 'hidden', body: ({ checkpoint_id }) => ({ checkpoint: checkpoint_id }) },
  listFineTuningEvents: { sees: 'hidden', query: '?limit=3' },
  listFineTuningMetrics: { sees: 'hidden' },
  listFineTuningSamples: { sees: 'hidden', query: '?format=csv' },
  listFineTuningCheckpoints: { sees: 'hidden' },
  listCheckpointFiles: { sees: 'hidden' },
  retrieveCheckpointFile: { sees: 'hidden' },
  downloadCheckpoint: { sees: 'hidden' },
  listCheckpointPermissions: { sees: 'hidden' },
  createCheckpointPermissions: { sees: 'hidden', body: ({ project_id }) => ({ project_ids: [project_id] }) },
  deleteCheckpointPermission: { sees: 'hidden' },
  runGrader: {
    sees: 'none',
    body: () => ({ grader: voxelGrader, model_sample: '[]', item: { grid: 2, max_height: 2, top: '1010' } }),
  },
  validateGrader: { sees: 'none', body: () => ({ grader: voxelGrader }) },
  createChatCompletion: {
    sees: 'hidden',
    body: ({ model }) => ({ model, messages: [{ role: 'user', content: 'Hi' }] }),
  },
  createCompletion: { sees: 'hidden', body: ({ model }) => ({ model, prompt: 'a' }) },
  listModels: { sees: 'absent' },
  retrieveModel: { sees: 'hidden' },
  deleteModel: { sees: 'hidden' },
  createProject: { sees: 'none', body: () => ({ name: 'another' }) },
  listProjects: { sees: 'absent', from: 'organization' },
  retrieveProject: { sees: 'hidden', from: 'organization' },
  updateProject: { sees: 'hidden', from: 'organization', body: () => ({ name: 'mine now' }) },
  archiveProject: { sees: 'hidden', from: 'organization' },
  createApiKey: { sees: 'hidden', from: 'organization', body: () => ({ name: 'mine now' }) },
  listApiKeys: { sees: 'hidden', from: 'organization' },
  retrieveApiKey: { sees: 'hidden', from: 'organization' },
  deleteApiKey: { sees: 'hidden', from: 'organization' },
  listAuditLogs: { sees: 'absent', from: 'organization' },
  createWebhookEndpoint: { sees: 'none', body: () => ({ url: 'https://example.com/hook' }) },
  listWebhookEndpoints: { sees: 'absent' },
  retrieveWebhookEndpoint: { sees: 'hidden' },
  deleteWebhookEndpoint: { sees: 'hidden' },
};

let api: TestApi;
let worker: ProtocolWorker;
let ids: Ids;
/** Admin keys: of project A, of project B in the same organization, of another organization. */
let keys: { own: string; project: string; organization: string };
const scoped: Partial<Record<KeyScope, string>> = {};

beforeAll(async () => {
  api = await startTestApi();
  const { db, client } = api;
  // For completions: it is asked who may have them, not what they say.
  worker = await startProtocolWorker(db, says('yes'), { heartbeatAt: new Date(Date.now() + 3_600_000) });
  const fileId = await uploadRows(client, voxelRow('1010'));
  const upload = await client.uploads.create({
    bytes: 9,
    filename: 'a.bin',
    mime_type: 'text/plain',
    purpose: 'user_data',
  });
  const part = await client.uploads.parts.create(upload.id, { data: await toFile(Buffer.from('123456789'), 'part') });
  const job = await client.fineTuning.jobs.create(jobBody(fileId));
  const checkpointId = await leaveCheckpoint(api, job.id, 1, { 'merged/config.json': Buffer.from('{}') });
  const [checkpoint] = (await client.fineTuning.jobs.checkpoints.list(job.id)).data;
  const projectA = await createProject(db, 'acme', 'A', 'cli');
  const name = checkpoint!.fine_tuned_model_checkpoint;
  const granting = new OpenAI({ apiKey: api.key, adminAPIKey: api.key, baseURL: `${api.url}/v1`, maxRetries: 0 });
  const permissions = await granting.fineTuning.checkpoints.permissions.create(name, { project_ids: [projectA.id] });
  const endpoint = (await (
    await fetch(`${api.url}/v1/webhook_endpoints`, {
      method: 'POST',
      headers: { authorization: `Bearer ${api.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ url: 'https://example.com/hook' }),
    })
  ).json()) as { id: string };
  const keyOfA = await createApiKey(db, { projectId: projectA.id, name: 'of A', scope: 'read' }, 'cli');
  ids = {
    file_id: fileId,
    upload_id: upload.id,
    part_id: part.id,
    fine_tuning_job_id: job.id,
    checkpoint_id: checkpointId,
    path: 'merged/config.json',
    fine_tuned_model_checkpoint: name,
    permission_id: permissions.data[0]!.id,
    model: name,
    project_id: projectA.id,
    api_key_id: keyOfA.record.id,
    webhook_endpoint_id: endpoint.id,
  };
  const projectB = await createProject(db, 'acme', 'B', 'cli');
  const rival = await ensureDefaultProject(db, 'rival');
  const admin = async (projectId: string) =>
    (await createApiKey(db, { projectId, name: 'admin', scope: 'admin' }, 'cli')).key;
  keys = { own: api.key, project: await admin(projectB.id), organization: await admin(rival.id) };
  for (const scope of ['read', 'write', 'admin'] as const) {
    scoped[scope] = (await createApiKey(db, { projectId: rival.id, name: scope, scope }, 'cli')).key;
  }
});
afterAll(async () => {
  await worker?.stop();
  await api?.stop();
});

function ask(id: OperationId, key: string | null, method: string = operations[id].method): Promise<Response> {
  const operation: OperationSpec = operations[id];
  const { body, form: fields, query = '' } = CASES[id];
  const path = operation.path.replace(/\{(\w+)(\*?)\}/g, (_, name: keyof Ids, rest) =>
    rest ? ids[name] : encodeURIComponent(ids[name]),
  );
  return fetch(`${api.url}/v1${path}${query}`, {
    method,
    headers: {
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body ? { 'content-type': 'application/json' } : {}),
    },
    ...(body ? { body: JSON.stringify(body(ids)) } : fields ? { body: fields() } : {}),
  });
}

const all = Object.keys(operations) as OperationId[];

it('has a case for every operation, and none for what is no operation', () => {
  expect(Object.keys(CASES).sort()).toEqual([...all].sort());
  // What a path names is somebody's, so it must be hidden from others.
  for (const id of all) {
    if (operations[id].path.includes('{')) expect([id, CASES[id].sees]).toEqual([id, 'hidden']);
  }
});

describe('what belongs to a project does not exist for another', () => {
  it.each(all.filter((id) => CASES[id].sees === 'hidden'))('%s', async (id) => {
    const key = keys[CASES[id].from ?? 'project'];
    const response = await ask(id, key);
    expect([response.status, await errorOf(response)]).toEqual([
      404,
      expect.objectContaining({ message: expect.any(String), type: 'invalid_request_error' }),
    ]);
    if (operations[id].method === 'GET') expect((await ask(id, key, 'HEAD')).status).toBe(404);
  });

  it.each(all.filter((id) => CASES[id].sees === 'absent'))('%s lists none of it', async (id) => {
    const text = async (key: string) => {
      const response = await ask(id, key);
      expect(response.status).toBe(200);
      return response.text();
    };
    const mentioned = (answer: string) => Object.values(ids).filter((one) => answer.includes(`"${one}"`));
    expect(mentioned(await text(keys[CASES[id].from ?? 'project']))).toEqual([]);
    expect(mentioned(await text(keys.own))).not.toEqual([]);
  });

  it.each(all.filter((id) => typeof CASES[id].sees === 'number'))('%s does not take it', async (id) => {
    const response = await ask(id, keys.project);
    expect(response.status).toBe(CASES[id].sees);
    expect((await errorOf(response)).code).toMatch(/_not_found$/);
  });

  it('neither files nor models of others serve a job, whichever field names them', async () => {
    const other = new OpenAI({ apiKey: keys.project, baseURL: `${api.url}/v1`, maxRetries: 0 });
    const own = await uploadRows(other, voxelRow('1010'));
    for (const [change, param] of [
      [{ validation_file: ids.file_id }, 'validation_file'],
      [{ model: ids.model }, 'model'],
    ] as const) {
      await expect(other.fineTuning.jobs.create(jobBody(own, change))).rejects.toMatchObject({ status: 400, param });
    }
    await expect(other.fineTuning.jobs.list({ after: ids.fine_tuning_job_id })).rejects.toMatchObject({
      status: 400,
      param: 'after',
    });
  });
});

describe('a key does what its scope allows', () => {
  const RANK = { read: 0, write: 1, admin: 2 };

  it.each(all)('%s', async (id) => {
    const { scope } = operations[id];
    const none = await ask(id, null);
    expect([none.status, (await errorOf(none)).code]).toEqual([401, 'invalid_api_key']);
    for (const lower of ['read', 'write'] as const) {
      if (RANK[lower] >= RANK[scope]) continue;
      const refused = await ask(id, scoped[lower]!);
      expect([lower, refused.status, (await errorOf(refused)).code]).toEqual([lower, 403, 'insufficient_permissions']);
    }
    const allowed = await ask(id, scoped[scope]!);
    await allowed.body?.cancel();
    expect([401, 403]).not.toContain(allowed.status);
  });
});

describe('its owner', () => {
  // Last, for some of it is gone or changed after that.
  const ends = (id: OperationId) => operations[id].method === 'DELETE' || id === 'archiveProject';

  it.each([...all.filter((id) => !ends(id)), ...all.filter(ends)])('finds it: %s', async (id) => {
    const response = await ask(id, keys.own);
    const text = await response.text();
    expect([response.status, text]).not.toEqual([404, expect.anything()]);
    expect(response.status).toBeLessThan(500);
  });
});
