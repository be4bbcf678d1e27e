import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApi } from '../harness.js';
import { type ProtocolWorker, says, startProtocolWorker } from '../protocol-worker.js';
import { RawClient, type RawRequest, type RawResponse } from './client.js';
import { type ApiDocument, ApiDocument as Document, documentOfContracts, type Operation } from './document.js';
import { exampleRequest, requests } from './requests.js';
import { makeWorld, type World } from './world.js';

/** Of each operation; with them all there are more than 5,000. */
const RUNS = Number(process.env.POLYMODE_CONTRACT_RUNS ?? 115);
/** The same requests each time. fast-check prints it, with the path to the one that failed. */
const SEED = Number(process.env.POLYMODE_CONTRACT_SEED ?? 20261125);

const ERROR = { $ref: '#/components/schemas/Error' };
const operations = documentOfContracts().operations;
let world: World;
let document: ApiDocument;
let client: RawClient;
let worker: ProtocolWorker;
let sent = 0;

beforeAll(async () => {
  const api = await startTestApi({ wandb: true });
  // Completions are asked for here, not what they say.
  worker = await startProtocolWorker(api.db, says('one', ' answer'), { heartbeatAt: new Date(Date.now() + 3_600_000) });
  world = await makeWorld(api);
  document = new Document((await (await fetch(`${api.url}/openapi.json`)).json()) as ApiDocument['json']);
  client = new RawClient(api.url);
});
afterAll(async () => {
  client?.close();
  await worker?.stop();
  await world?.api.stop();
});

async function send(request: RawRequest): Promise<RawResponse> {
  sent++;
  const headers = { authorization: `Bearer ${world.api.key}`, ...request.headers };
  return client.send({ ...request, headers });
}

/** @throws Error that tells what the document has against the answer */
function requireDescribed({ id, method, responses }: Operation, request: RawRequest, response: RawResponse): void {
  const { status, headers, body } = response;
  const told = `${request.method} ${request.path} → ${status} ${body.subarray(0, 2000)}`;
  const against = (problem: string): Error => new Error(`${problem}\n${told}`);
  if (!headers['x-request-id']) throw against('The answer has no x-request-id.');
  if (status >= 500) throw against(`${id} failed.`);
  if (status >= 400) {
    if (request.method === 'HEAD') return;
    const error: unknown = JSON.parse(body.toString());
    const problem = document.problems(ERROR, error) ?? unlikeOpenAi(error);
    if (problem) throw against(`The error has another shape: ${problem}`);
    return;
  }
  // Another method at the same place is another operation, and HEAD and OPTIONS answer without a body.
  if (request.method !== method) return;
  const content = responses[status];
  if (!content) throw against(`The document does not say that ${id} answers ${status}.`);
  const type = headers['content-type']?.split(';')[0];
  if (type === undefined) {
    if (Object.keys(content).length > 0 || body.length > 0) throw against('The answer has no content type.');
    return;
  }
  const described = content[type];
  if (!described) throw against(`The document does not say that ${id} answers ${type}.`);
  if (type !== 'application/json') return;
  const problem = document.problems(described.schema, JSON.parse(body.toString()));
  if (problem) throw against(`The answer is against the document: ${problem}`);
}

/** Headers that ask for a part of an answer, or for none if it is as before; of those that come in parts. */
function partly({ headers }: RawResponse): Record<string, string>[] {
  if (headers['accept-ranges'] !== 'bytes' || headers.etag === undefined) return [];
  return [{ range: 'bytes=0-3' }, { 'if-none-match': headers.etag }, { range: 'bytes=99999-' }];
}

/** What the SDKs read, and nothing else. */
function unlikeOpenAi(body: unknown): string | null {
  const { error, ...beside } = body as { error: Record<string, unknown> };
  const keys = [...Object.keys(beside), ...Object.keys(error).sort()].join(' ');
  if (keys !== 'code message param type') return `it has ${keys}`;
  return error.message === '' ? 'it has no message' : null;
}

describe('answers as the document says', () => {
  it.each(operations.map((operation) => ({ name: operation.id, operation })))('$name', async ({ operation }) => {
    const example = world.examples[operation.id];
    if (!example) throw new Error(`world.ts has no example of ${operation.id}.`);
    const first = exampleRequest(operation, await example());
    const answer = await send(first);
    expect(answer.status, `${first.path}: ${answer.body}`).toBe(200);
    requireDescribed(operation, first, answer);
    for (const headers of partly(answer)) {
      const request = { ...first, headers };
      requireDescribed(operation, request, await send(request));
    }
    const ids = operation.id === 'archiveProject' ? { ...world.ids, ...world.expendable } : world.ids;
    const arbitrary = requests(document, operation, ids, await example());
    await fc.assert(
      fc.asyncProperty(arbitrary, async (request) => requireDescribed(operation, request, await send(request))),
      { seed: SEED, numRuns: RUNS, endOnFailure: true },
    );
  });

  it('to more than 5,000 requests', () => {
    expect(sent).toBeGreaterThan(5000);
  });
});
