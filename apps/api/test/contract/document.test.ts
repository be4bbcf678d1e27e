import diagnostics from 'node:diagnostics_channel';
import { buildApp } from '@polymode/api';
import { connectDatabase, disconnectDatabase } from '@polymode/db';
import { openStorage } from '@polymode/storage';
import { createLogger } from '@polymode/telemetry';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { FastifyInstance, RouteOptions } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiDocument, type JsonSchema } from './document.js';

const routes: RouteOptions[] = [];
let app: FastifyInstance;
let served: ApiDocument;
const db = connectDatabase('postgres://nobody@127.0.0.1:1/none');

beforeAll(async () => {
  // Fastify announces each server that is made, before it has a route.
  const watch = (message: unknown): void => {
    (message as { fastify: FastifyInstance }).fastify.addHook('onRoute', (route) => void routes.push(route));
  };
  diagnostics.subscribe('fastify.initialization', watch);
  app = await buildApp({
    db,
    storage: openStorage({ dir: '.' }),
    queue: { enqueue: async () => true, enqueueNew: async () => {} },
    logger: createLogger({ name: 'api', level: 'silent' }),
    listBaseModels: () => [],
    parameterCount: async () => undefined,
    specialTokens: async () => [],
    graderServices: {},
  });
  diagnostics.unsubscribe('fastify.initialization', watch);
  await app.ready();
  served = new ApiDocument((await app.inject('/openapi.json')).json());
});
afterAll(async () => {
  await app?.close();
  await disconnectDatabase(db);
});

/** A method and a path whose names are left out. */
const place = (method: string, path: string): string => `${method} ${path.replace(/:\w+|\*|\{\w+\}/g, '{}')}`;

describe('the OpenAPI document', () => {
  it('is valid OpenAPI 3.1', async () => {
    const validator = new Validator();
    const result = await validator.validate(served.json as Record<string, unknown>);
    expect(result.errors ?? []).toEqual([]);
    expect([result.valid, validator.version]).toEqual([true, '3.1']);
  });

  it('has schemas of JSON Schema 2020-12, without a keyword that is none', () => {
    const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, allErrors: true });
    addFormats.default(ajv);
    ajv.addVocabulary(['paths', 'components', 'openapi', 'info', 'servers', 'security', 'tags', 'jsonSchemaDialect']);
    const { schemas } = served.json.components as { schemas: Record<string, JsonSchema> };
    ajv.addSchema({ ...served.json, $id: 'document' }, 'document', undefined, false);
    for (const name of Object.keys(schemas)) {
      expect(() => ajv.compile({ $ref: `document#/components/schemas/${name}` }), name).not.toThrow();
    }
  });

  it('describes everything that is served, and nothing else', () => {
    const documented = served.operations.map(({ method, path }) => place(method, `/v1${path}`));
    const found = routes.flatMap(({ method, url }) => [method].flat().map((one) => place(one, url)));
    // HEAD comes with every GET. What needs no key is about the service, not of it.
    const open = [...new Set(found.filter((one) => !one.includes(' /v1')))];
    expect(open.filter((one) => !/^(GET|HEAD) \/(healthz|readyz|openapi\.json|docs\b.*)$/.test(one))).toEqual([]);
    const operations = found.filter((one) => one.includes(' /v1') && !one.startsWith('HEAD '));
    expect([...documented].sort()).toEqual([...operations].sort());
    expect(new Set(documented).size).toBe(documented.length);
    expect(documented.length).toBeGreaterThan(40);
  });

  it('names each operation once, and every name in its path', () => {
    const ids = served.operations.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { id, path, parameters } of served.operations) {
      const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect(
        parameters.filter((one) => one.in === 'path').map(({ name }) => name),
        id,
      ).toEqual(names);
    }
  });
});
