import { operations } from '@polymode/contracts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestApi, type TestApi } from './harness.js';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.stop());

it('describes every operation at /openapi.json, and wants no key for it', async () => {
  const response = await fetch(`${api.url}/openapi.json`);
  expect(response.headers.get('content-type')).toContain('application/json');
  const { openapi, paths } = (await response.json()) as {
    openapi: string;
    paths: Record<string, Record<string, { operationId: string }>>;
  };
  expect(openapi).toBe('3.1.0');
  const described = Object.values(paths).flatMap((methods) => Object.values(methods).map((one) => one.operationId));
  expect(described.sort()).toEqual(Object.keys(operations).sort());
});

it('shows them at /docs, from this server alone', async () => {
  const page = await fetch(`${api.url}/docs`);
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
  const html = await page.text();
  const parts = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url!);
  expect(parts.length).toBeGreaterThan(4);
  for (const part of parts) {
    expect(part).toMatch(/^\/docs\//);
    const response = await fetch(`${api.url}${part}`);
    expect([part, response.status]).toEqual([part, 200]);
    // The initializer is what says where the document, and a validator of it, is.
    if (part.endsWith('initializer.js')) expect(await response.text()).toMatch(/validatorUrl: (null|undefined)/);
    else await response.body?.cancel();
  }
});
