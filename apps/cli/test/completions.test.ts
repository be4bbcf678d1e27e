import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Stack, startStack } from '@polymode/cli';
import { connectDatabase, createApiKey, createProject, type Database, disconnectDatabase } from '@polymode/db';
import OpenAI, { APIError, BadRequestError, NotFoundError, toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const model = 'polymode-tiny';
const KEY = 'pmk-completions-of-a-real-worker';
const dataDir = mkdtempSync(join(tmpdir(), 'polymode-completions-'));
let stack: Stack;
let client: OpenAI;
let db: Database;

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

beforeAll(async () => {
  const port = await freePort();
  stack = await startStack({
    dataDir,
    port,
    apiKey: KEY,
    // Graders ask the service itself.
    env: { POLYMODE_THREADS: '1', POLYMODE_JUDGE_BASE_URL: `http://127.0.0.1:${port}/v1`, POLYMODE_JUDGE_API_KEY: KEY },
  });
  client = new OpenAI({ baseURL: stack.baseURL, apiKey: KEY, maxRetries: 0 });
  db = connectDatabase(stack.databaseUrl, { maxConnections: 1 });
  // The API is there before its first worker is.
  while ((await db.inferenceWorker.count()) === 0) await sleep(20);
});

afterAll(async () => {
  if (db) await disconnectDatabase(db);
  await stack?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

it('x', async () => {
  const messages = [{ role: 'user' as const, content: 'grid 2 max_height 2 top 1010' }];
  console.log(JSON.stringify(await client.chat.completions.create({ model, messages, n: 2, seed: 1, max_tokens: 12, logprobs: true, top_logprobs: 2 }), null, 1).slice(0,3000));
  console.log(JSON.stringify(await client.completions.create({ model, prompt: ['Hello é 🙂', 'b'], echo: true, logprobs: 2, max_tokens: 2 })));
  console.log(JSON.stringify(await client.completions.create({ model, prompt: 'Hello é', echo: true, logprobs: 2, max_tokens: 0 })));
  for await (const c of await client.chat.completions.create({ model, messages, stream:true, seed: 1, max_tokens: 12, stream_options:{include_usage:true} })) console.log(JSON.stringify(c));
});
