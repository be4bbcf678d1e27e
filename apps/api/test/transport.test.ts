import { request as httpRequest } from 'node:http';
import { createConnection } from 'node:net';
import { createApiKey, revokeApiKey } from '@polymode/db';
import OpenAI, { AuthenticationError } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jobBody, jsonl, refusal, startTestApi, type TestApi, uploadRows, voxelRow } from './harness.js';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.stop());

const send = (method: string, path: string, init: RequestInit = {}) =>
  fetch(`${api.url}${path}`, { method, ...init, headers: { authorization: `Bearer ${api.key}`, ...init.headers } });

const json = { 'content-type': 'application/json' };

/** What every refusal has, whoever refuses. */
async function expectError(response: Response, status: number, error: object = {}): Promise<string> {
  const body = (await response.json()) as { error: { message: string } };
  expect([response.status, body]).toEqual([
    status,
    { error: { message: expect.any(String), type: expect.any(String), param: null, code: null, ...error } },
  ]);
  expect(response.headers.get('x-request-id')).toBeTruthy();
  return body.error.message;
}

describe('keys', () => {
  it('are needed, must be known, and can be revoked', async () => {
    const wrong = new OpenAI({ apiKey: 'pmk-wrong-wrong-wrong', baseURL: `${api.url}/v1`, maxRetries: 0 });
    for (const call of [
      () => wrong.fineTuning.jobs.list(),
      () => wrong.models.list(),
      () =>
        wrong.files.create({ file: new File([jsonl(voxelRow('1010')).repeat(5000)], 'a.jsonl'), purpose: 'fine-tune' }),
    ]) {
      const error = await refusal(call());
      expect(error).toBeInstanceOf(AuthenticationError);
      expect(error).toMatchObject({ status: 401, type: 'invalid_request_error', code: 'invalid_api_key', param: null });
      expect(error.requestID).toMatch(/^req_/);
    }
    const { key, record } = await createApiKey(
      api.db,
      { projectId: api.projectId, name: 'soon revoked', scope: 'read' },
      'cli',
    );
    const headers = { authorization: `Bearer ${key}` };
    expect((await send('GET', '/v1/models', { headers })).status).toBe(200);
    await revokeApiKey(api.db, api.projectId, record.id, 'cli');
    expect((await send('GET', '/v1/models', { headers })).status).toBe(401);
    const basic = { authorization: 'Basic abc' };
    await expectError(await send('GET', '/v1/models', { headers: basic }), 401, {
      type: 'invalid_request_error',
      code: 'invalid_api_key',
    });
  });

  it('are not wanted for health', async () => {
    expect(await (await fetch(`${api.url}/healthz`)).json()).toEqual({ status: 'ok' });
    expect(await (await fetch(`${api.url}/readyz`)).json()).toEqual({ status: 'ready' });
  });
});

describe('every refusal has the shape of the API', () => {
  const type = 'invalid_request_error';

  it('for unknown paths and methods', async () => {
    await expectError(await send('GET', '/v1/nope'), 404, { type, code: 'unknown_url' });
    const response = await send('PUT', '/v1/fine_tuning/jobs/ftjob-1');
    expect(response.headers.get('allow')).toBe('GET, HEAD, OPTIONS');
    await expectError(response, 405, { type, code: 'method_not_supported' });
    await expectError(await send('PUT', '/v1/models/a%2Fb'), 405, { type, code: 'method_not_supported' });
  });

  it('for bodies that are broken, of another type, missing or too large', async () => {
    const path = '/v1/fine_tuning/jobs';
    await expectError(await send('POST', path, { headers: json, body: '{"model":' }), 400, {
      type,
      code: 'invalid_json',
    });
    await expectError(await send('POST', path, { headers: json, body: '{"__proto__": 1}' }), 400, {
      type,
      code: 'invalid_json',
    });
    await expectError(await send('POST', path, { headers: json, body: '[]' }), 400, { type, code: 'invalid_type' });
    await expectError(await send('POST', path, { headers: json }), 400, { type, code: 'missing_required_parameter' });
    await expectError(await send('POST', path), 400, { type, code: 'missing_required_parameter' });
    await expectError(await send('POST', path, { body: 'model=x', headers: { 'content-type': 'text/plain' } }), 415, {
      type,
      param: 'content-type',
      code: 'unsupported_media_type',
    });
    const large = JSON.stringify({ grader: {}, model_sample: 'x'.repeat(9 * 1024 * 1024) });
    const response = await send('POST', '/v1/fine_tuning/alpha/graders/run', { headers: json, body: large });
    await expectError(response, 413, { type, code: 'request_too_large' });
  });

  it('for URLs that are broken', async () => {
    await expectError(await send('GET', '/v1/files/%zz'), 400, { type, code: 'invalid_url' });
    await expectError(await send('GET', '/v1/files/a%00b'), 400, { type, code: 'invalid_url' });
    await expectError(await send('GET', '/v1/fine_tuning/jobs?limit=1&limit=2'), 400, {
      type,
      param: 'limit',
      code: 'invalid_type',
    });
    await expectError(await send('GET', `/v1/files/${'x'.repeat(2000)}`), 404, { type, code: 'unknown_url' });
  });

  it('for what is not HTTP', async () => {
    const { hostname, port } = new URL(api.url);
    const answer = await new Promise<string>((resolve, reject) => {
      let text = '';
      const socket = createConnection(Number(port), hostname, () => socket.write('NONSENSE\r\n\r\n'));
      socket.on('data', (data) => {
        text += data;
      });
      socket.on('end', () => resolve(text));
      socket.on('error', reject);
    });
    expect(answer).toMatch(/^HTTP\/1\.1 400 .*\r\nx-request-id: req_[0-9a-f]{32}\r\n/s);
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '').error).toMatchObject({ type, code: expect.any(String) });
  });
});

describe('the transport', () => {
  it('gives every answer a request id, and keeps one that the client made', async () => {
    expect((await send('GET', '/v1/models')).headers.get('x-request-id')).toMatch(/^req_[0-9a-f]{32}$/);
    const own = { 'x-request-id': 'trace-1' };
    expect((await send('GET', '/v1/models', { headers: own })).headers.get('x-request-id')).toBe('trace-1');
    const forged = { 'x-request-id': 'a b' };
    expect((await send('GET', '/v1/models', { headers: forged })).headers.get('x-request-id')).toMatch(/^req_/);
  });

  it('answers requests that expect something as others', async () => {
    const status = await new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${api.key}`, expect: 'something' };
      httpRequest(`${api.url}/v1/models`, { headers }, (response) => {
        response.resume();
        resolve([response.statusCode, response.headers['x-request-id']]);
      })
        .on('error', reject)
        .end();
    });
    expect(status).toEqual([200, expect.stringMatching(/^req_/)]);
  });

  it('answers HEAD and OPTIONS', async () => {
    const head = await send('HEAD', '/v1/models');
    expect([head.status, await head.text()]).toEqual([200, '']);
    const options = await fetch(`${api.url}/v1/files`, { method: 'OPTIONS' });
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'GET, HEAD, OPTIONS, POST']);
  });

  it('lets pages of any origin call it, with any header, and read what SDKs read', async () => {
    const origin = { origin: 'https://dashboard.example' };
    const preflight = await fetch(`${api.url}/v1/models/ft%3Aa`, {
      method: 'OPTIONS',
      headers: {
        ...origin,
        'access-control-request-method': 'DELETE',
        'access-control-request-headers': 'authorization,x-stainless-retry-count',
      },
    });
    expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([204, '*']);
    expect(preflight.headers.get('access-control-allow-methods')).toContain('DELETE');
    expect(preflight.headers.get('access-control-allow-headers')).toBe('authorization,x-stainless-retry-count');
    for (const path of ['/v1/models', '/v1/nope', '/v1/files/file-none']) {
      const response = await send('GET', path, { headers: origin });
      expect(response.headers.get('access-control-allow-origin')).toBe('*');
      expect(response.headers.get('access-control-expose-headers')).toContain('x-request-id');
    }
    expect((await send('GET', '/v1/models')).headers.get('access-control-allow-origin')).toBeNull();
  });

  it('closes at once though clients hold connections that they never used', async () => {
    const other = await startTestApi();
    const { hostname, port } = new URL(other.url);
    const socket = createConnection(Number(port), hostname);
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    // The server knows of it when it has served another that came later.
    await fetch(`${other.url}/healthz`);
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => {});
    await other.stop();
    await closed;
  });

  it('logs request and job ids, and no keys', async () => {
    const id = await uploadRows(api.client, voxelRow('1010'));
    const job = await api.client.fineTuning.jobs.create(jobBody(id));
    const lineOf = (response: Response) =>
      api.logs.find((one) => one.requestId === response.headers.get('x-request-id'));
    const cancelled = await api.client.fineTuning.jobs.cancel(job.id).asResponse();
    expect(lineOf(cancelled)).toMatchObject({ jobId: job.id, method: 'POST', status: 200, msg: 'request' });
    // A read is worth a line when it failed.
    expect(lineOf(await api.client.fineTuning.jobs.retrieve(job.id).asResponse())).toBeUndefined();
    expect(lineOf(await send('GET', '/v1/fine_tuning/jobs/ftjob-none'))).toMatchObject({ method: 'GET', status: 404 });
    expect(JSON.stringify(api.logs)).not.toContain(api.key);
    expect(JSON.stringify(api.logs)).not.toContain('pmk-wrong');
  });

  it('survives clients that leave in the middle of an upload, and keeps nothing of it', async () => {
    await new Promise<void>((resolve) => {
      const request = httpRequest(`${api.url}/v1/files`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${api.key}`,
          'content-type': 'multipart/form-data; boundary=x',
          'content-length': 100_000,
        },
      });
      request.on('error', () => {});
      request.on('close', resolve);
      request.write('--x\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n{"a":', () =>
        setTimeout(() => request.destroy(), 50),
      );
    });
    expect((await send('GET', '/healthz')).status).toBe(200);
    const { data } = await api.client.files.list();
    const kept: string[] = [];
    for await (const key of api.storage.list('files')) kept.push(key);
    const rows = await api.db.file.findMany({ where: { id: { in: data.map((file) => file.id) } } });
    expect(kept.sort()).toEqual(rows.map((row) => row.storageKey).sort());
  });
});
