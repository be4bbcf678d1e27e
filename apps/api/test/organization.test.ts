import { createApiKey, ensureFirstKey, revokeApiKey } from '@polymode/db';
import OpenAI, { AuthenticationError, PermissionDeniedError, RateLimitError } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { duration } from '../src/duration.js';
import { refusal, startTestApi, type TestApi, uploadRows, voxelRow } from './harness.js';

let api: TestApi;
let admin: OpenAI;
beforeAll(async () => {
  api = await startTestApi({ requestsPerMinute: 500 });
  admin = new OpenAI({ apiKey: 'none', adminAPIKey: api.key, baseURL: `${api.url}/v1`, maxRetries: 0 });
});
afterAll(() => api?.stop());

interface Created {
  id: string;
  value: string;
  scope: string;
  redacted_value: string;
}
const projects = () => admin.admin.organization.projects;
// The SDK makes keys for service accounts only.
const newKey = (projectId: string, body: object, client = api.client) =>
  client.post<Created>(`/organization/projects/${projectId}/api_keys`, { body });
const using = (apiKey: string, change: object = {}) =>
  new OpenAI({ apiKey, adminAPIKey: apiKey, baseURL: `${api.url}/v1`, maxRetries: 0, ...change });

describe('projects', () => {
  it('are made, listed, renamed and archived by the SDK', async () => {
    const made = await projects().create({ name: ' Research ' });
    expect(made).toMatchObject({
      object: 'organization.project',
      name: 'Research',
      status: 'active',
      archived_at: null,
    });
    const second = await projects().create({ name: 'Second' });
    const seen: string[] = [];
    for await (const one of projects().list({ limit: 1 })) seen.push(one.id);
    expect(seen).toEqual([second.id, made.id, api.projectId]);
    expect((await projects().update(made.id, { name: 'Science' })).name).toBe('Science');
    expect(await projects().retrieve(made.id)).toMatchObject({ name: 'Science' });
    const archived = await projects().archive(made.id);
    expect(archived).toMatchObject({ status: 'archived', archived_at: expect.any(Number) });
    expect(await projects().archive(made.id)).toEqual(archived);
    const ids = async (include_archived: boolean) =>
      (await projects().list({ include_archived })).data.map(({ id }) => id);
    expect(await ids(false)).not.toContain(made.id);
    expect(await ids(true)).toContain(made.id);
    expect(await refusal(newKey(made.id, { name: 'late' }))).toMatchObject({ code: 'project_archived' });
  });

  it('refuse their keys once they are archived', async () => {
    const { id } = await projects().create({ name: 'short-lived' });
    const { value } = await newKey(id, { name: 'k' });
    await using(value).models.list();
    await projects().archive(id);
    expect(await refusal(using(value).models.list())).toBeInstanceOf(AuthenticationError);
    const there = using(api.key, { project: id });
    expect(await refusal(there.models.list())).toMatchObject({ status: 400, code: 'project_archived' });
  });

  it('cannot be archived with a key of their own, wherever that key acts', async () => {
    const { id } = await projects().create({ name: 'elsewhere' });
    for (const client of [using(api.key), using(api.key, { project: id })]) {
      expect(await refusal(client.admin.organization.projects.archive(api.projectId))).toMatchObject({
        status: 400,
        code: 'project_in_use',
      });
    }
    expect((await using(api.key, { project: id }).admin.organization.projects.archive(id)).status).toBe('archived');
  });

  it('hold what an admin key makes there by OpenAI-Project; other keys stay where they belong', async () => {
    const { id } = await projects().create({ name: 'there' });
    const file = await uploadRows(using(api.key, { project: id }), voxelRow('1010'));
    expect(await refusal(api.client.files.retrieve(file))).toMatchObject({ status: 404 });
    const { value } = await newKey(id, { name: 'own', scope: 'write' });
    expect(await using(value).files.retrieve(file)).toMatchObject({ id: file });
    expect(await using(value, { project: api.projectId }).files.retrieve(file)).toMatchObject({ id: file });
    // Left over from another service.
    const stray = await using(value, { project: 'proj_unknown', organization: 'org-unknown' })
      .models.list()
      .asResponse();
    expect([stray.headers.get('openai-project'), stray.headers.get('openai-organization')]).toEqual([id, 'acme']);
  });
});

describe('keys', () => {
  it('are shown once, listed without what they are, and revoked', async () => {
    const { id } = await projects().create({ name: 'keys' });
    const first = await newKey(id, { name: 'first' });
    expect(first).toMatchObject({
      object: 'organization.project.api_key',
      scope: 'write',
      value: expect.stringMatching(/^pmk-/),
      requests_per_minute: null,
      tokens_per_minute: null,
    });
    const second = await newKey(id, {
      name: 'second',
      scope: 'read',
      requests_per_minute: 7,
      tokens_per_minute: 9,
    });
    const listed = [];
    for await (const one of projects().apiKeys.list(id, { limit: 1 })) listed.push(one);
    expect(listed.map((one) => one.id)).toEqual([first.id, second.id]);
    expect(JSON.stringify(listed)).not.toContain(first.value);
    expect(first.value.startsWith(first.redacted_value.slice(0, 8))).toBe(true);
    expect(await projects().apiKeys.retrieve(second.id, { project_id: id })).toMatchObject({
      name: 'second',
      scope: 'read',
      requests_per_minute: 7,
      tokens_per_minute: 9,
    });
    const deleted = await projects().apiKeys.delete(first.id, { project_id: id });
    expect(deleted).toMatchObject({ id: first.id, deleted: true });
    expect(await refusal(using(first.value).models.list())).toMatchObject({ status: 401, code: 'invalid_api_key' });
    expect(await refusal(projects().apiKeys.retrieve(first.id, { project_id: id }))).toMatchObject({ status: 404 });
    expect((await projects().apiKeys.list(id)).data.map((one) => one.id)).toEqual([second.id]);
    // Again is harmless.
    await projects().apiKeys.delete(first.id, { project_id: id });
  });

  it('do no more than their scope allows, and are refused with what they would need', async () => {
    const { value } = await newKey(api.projectId, { name: 'reader', scope: 'read' });
    const reader = using(value);
    await reader.models.list();
    for (const call of [
      () => reader.fineTuning.jobs.cancel('ftjob-none'),
      () => reader.files.delete('file-none'),
      () => reader.admin.organization.projects.list(),
    ]) {
      const error = await refusal(call());
      expect(error).toBeInstanceOf(PermissionDeniedError);
      expect(error).toMatchObject({ code: 'insufficient_permissions', message: expect.stringContaining("'read'") });
    }
    const { value: writes } = await newKey(api.projectId, { name: 'writer', scope: 'write' });
    expect(await refusal(newKey(api.projectId, { name: 'more', scope: 'admin' }, using(writes)))).toMatchObject({
      status: 403,
    });
  });

  it('cannot revoke themselves, and have names, scopes and limits that make sense', async () => {
    const own = (await api.db.apiKey.findFirstOrThrow({ where: { projectId: api.projectId, name: 'test' } })).id;
    expect(await refusal(projects().apiKeys.delete(own, { project_id: api.projectId }))).toMatchObject({
      status: 400,
      code: 'key_in_use',
    });
    for (const [body, param] of [
      [{}, 'name'],
      [{ name: ' ' }, 'name'],
      [{ name: 'a\0b' }, 'name'],
      [{ name: 'a', scope: 'root' }, 'scope'],
      [{ name: 'a', requests_per_minute: 0 }, 'requests_per_minute'],
      [{ name: 'a', tokens_per_minute: 0 }, 'tokens_per_minute'],
      [{ name: 'a', key: 'mine' }, 'key'],
    ] as const) {
      expect(await refusal(newKey(api.projectId, body))).toMatchObject({ status: 400, param });
    }
  });

  it('are there from the first start: one is generated, or the operator names it, and a revoked one stays revoked', async () => {
    // There are keys, so none is generated.
    expect(await ensureFirstKey(api.db, { organizationId: 'acme' })).toBeNull();
    const key = 'pmk-operators-own-key';
    expect(await ensureFirstKey(api.db, { organizationId: 'acme', environmentKey: key })).toBeNull();
    await using(key).admin.organization.projects.list();
    const row = await api.db.apiKey.findFirstOrThrow({ where: { name: 'environment' } });
    await revokeApiKey(api.db, row.projectId, row.id, 'cli');
    await ensureFirstKey(api.db, { organizationId: 'acme', environmentKey: key });
    expect(await refusal(using(key).models.list())).toMatchObject({ status: 401 });
  });
});

describe('the audit log', () => {
  it('tells who changed what about keys and projects, newest first, and never a key', async () => {
    const { id } = await projects().create({ name: 'audited' });
    const key = await newKey(id, { name: 'audited key' });
    await projects().update(id, { name: 'audited twice' });
    await projects().apiKeys.delete(key.id, { project_id: id });
    await projects().archive(id);
    const logs = [];
    for await (const one of admin.admin.organization.auditLogs.list({ project_ids: [id], limit: 2 })) logs.push(one);
    expect(logs.map(({ type }) => type)).toEqual([
      'project.archived',
      'api_key.deleted',
      'project.updated',
      'api_key.created',
      'project.created',
    ]);
    for (const log of logs) {
      expect(log).toMatchObject({
        id: expect.stringMatching(/^audit_log-/),
        project: { id },
        actor: { type: 'api_key', api_key: { id: expect.stringMatching(/^key_/) } },
      });
    }
    expect(logs[3]).toMatchObject({ 'api_key.created': { id: key.id, data: { name: 'audited key', scope: 'write' } } });
    expect(logs[2]).toMatchObject({ 'project.updated': { id, changes_requested: { name: 'audited twice' } } });
    expect(JSON.stringify(logs)).not.toContain(key.value);
    const some = await admin.admin.organization.auditLogs.list({
      event_types: ['project.created', 'project.archived'],
      project_ids: [id],
    });
    expect(some.data.map(({ type }) => type)).toEqual(['project.archived', 'project.created']);
  });

  it('is searched by time, key and what was changed, in both directions', async () => {
    const search = async (query: OpenAI.Admin.Organization.AuditLogListParams) => {
      const { data, has_more } = await admin.admin.organization.auditLogs.list(query);
      return { ids: data.map(({ id }) => id), has_more };
    };
    const actor = await newKey(api.projectId, { name: 'actor', scope: 'admin' });
    const { id } = await using(actor.value).admin.organization.projects.create({ name: 'searched' });
    await projects().update(id, { name: 'searched twice' });
    await using(actor.value).admin.organization.projects.update(id, { name: 'searched thrice' });
    const { ids: all } = await search({ project_ids: [id] });
    expect(all).toHaveLength(3);
    expect((await search({ actor_ids: [actor.id] })).ids).toEqual([all[0], all[2]]);
    expect((await search({ resource_ids: [id, 'proj_none'] })).ids).toEqual(all);
    expect((await search({ resource_ids: [actor.id] })).ids).toHaveLength(1);

    expect(await search({ project_ids: [id], before: all[2]!, limit: 1 })).toEqual({ ids: [all[1]], has_more: true });
    expect(await search({ project_ids: [id], before: all[1]! })).toEqual({ ids: [all[0]], has_more: false });
    expect((await search({ project_ids: [id], after: all[0]!, before: all[2]! })).ids).toEqual([all[1]]);
    const error = await refusal(search({ before: 'audit_log-none' }));
    expect(error).toMatchObject({ status: 400, param: 'before' });

    const last = (await admin.admin.organization.auditLogs.list({ limit: 1 })).data[0]!.effective_at;
    const within = { project_ids: [id] };
    expect((await search({ ...within, effective_at: { gt: last } })).ids).toEqual([]);
    expect((await search({ ...within, effective_at: { gte: last + 1 } })).ids).toEqual([]);
    expect((await search({ ...within, effective_at: { lte: last } })).ids).toEqual(all);
    expect((await search({ ...within, effective_at: { lt: last + 1, gt: last - 600 } })).ids).toEqual(all);
    expect((await search({ ...within, effective_at: { lt: last - 600 } })).ids).toEqual([]);
    const far = await refusal(search({ effective_at: { gt: 1e15 } }));
    expect(far).toMatchObject({ status: 400, param: 'effective_at.gt' });
  });
});

describe('rate limits', () => {
  it('are counted for each key, told in the headers of OpenAI, and refused with when to come back', async () => {
    const { value } = await newKey(api.projectId, { name: 'slow', requests_per_minute: 2 });
    const ask = () => using(value).models.list().asResponse();
    const first = await ask();
    expect(first.headers.get('x-ratelimit-limit-requests')).toBe('2');
    expect(first.headers.get('x-ratelimit-remaining-requests')).toBe('1');
    expect(first.headers.get('x-ratelimit-reset-requests')).toMatch(/^\d+(m\d+)?s$/);
    expect((await ask()).headers.get('x-ratelimit-remaining-requests')).toBe('0');
    const error = await refusal(using(value).models.list());
    expect(error).toBeInstanceOf(RateLimitError);
    expect(error).toMatchObject({
      status: 429,
      code: 'rate_limit_exceeded',
      type: 'requests',
      message: expect.stringContaining('2 requests'),
    });
    const wait = Number(error.headers?.get('retry-after'));
    expect(wait).toBeGreaterThanOrEqual(1);
    expect(wait).toBeLessThanOrEqual(60);
    expect(error.headers?.get('x-ratelimit-remaining-requests')).toBe('0');
    // The other keys are as free as before.
    const { key } = await createApiKey(api.db, { projectId: api.projectId, name: 'free', scope: 'read' }, 'cli');
    const free = await using(key).models.list().asResponse();
    expect(free.headers.get('x-ratelimit-limit-requests')).toBe('500');
    expect(free.headers.get('x-ratelimit-remaining-requests')).toBe('499');
  });

  it('are told as OpenAI tells them', () => {
    expect([0.15, 0.9999, 1, 12, 59.2, 60, 360, 3601].map(duration)).toEqual([
      '150ms',
      '1000ms',
      '1s',
      '12s',
      '1m0s',
      '1m0s',
      '6m0s',
      '60m1s',
    ]);
  });
});
