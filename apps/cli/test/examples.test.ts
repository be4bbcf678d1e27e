import { execFile, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Stack, startStack } from '@polymode/cli';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const dataDir = mkdtempSync(join(tmpdir(), 'polymode-examples-'));
let stack: Stack;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  const aliases = { POLYMODE_MODEL_ALIASES: 'gpt-4o-mini*=polymode-tiny' };
  stack = await startStack({ dataDir, port: 0, env: { POLYMODE_THREADS: '1', ...aliases } });
  env = { ...process.env, OPENAI_BASE_URL: stack.baseURL, OPENAI_API_KEY: stack.apiKey ?? '' };
});
afterAll(async () => {
  await stack?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

const script = (name: string): string => fileURLToPath(new URL(`../examples/${name}.mjs`, import.meta.url));

/** What an example prints. @throws when it fails */
async function run(name: string, more: NodeJS.ProcessEnv = {}): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [script(name)], { env: { ...env, ...more } });
  return stdout;
}

describe('examples', { timeout: 180_000 }, () => {
  it('supervised: trains and prints its results', async () => {
    // A name of OpenAI's, as in code that was not changed.
    const output = await run('supervised', { OPENAI_MODEL: 'gpt-4o-mini-2024-07-18' });
    expect(output).toMatch(/^Created ftjob-\w+\nCreated fine-tuning job/);
    expect(output).toMatch(/Step 4\/4: training loss=/);
    expect(output).toMatch(/^Model ft:polymode-tiny:polymode:parity:\w{8}\nstep,train_loss/m);
  });

  it('reinforcement: a multi grader is tried and trained on', async () => {
    const output = await run('reinforcement');
    expect(output).toMatch(/^A right answer earns 1: \{"exact":1,"close":1\}\n/);
    expect(output).toMatch(/^ft:polymode-tiny:\S+:ckpt-step-\d+ \{.*"valid_reward_mean":/m);
  });

  it('polling: ends with the job', async () => {
    const output = await run('polling');
    expect(output).toMatch(/^The first job succeeded\nThe second job cancelled\nftjob-\w+ cancelled\n/);
  });

  it('webhook receiver: takes what is signed and refuses what was changed', async () => {
    const secret = `whsec_${Buffer.from('a secret of the test').toString('base64')}`;
    const child = spawn(process.execPath, [script('webhook-receiver')], {
      env: { ...env, OPENAI_WEBHOOK_SECRET: secret, PORT: '0' },
    });
    try {
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      const url = /http:\S+/.exec((await lines.next()).value as string)?.[0] ?? '';
      const seconds = Math.floor(Date.now() / 1000);
      const event = {
        id: 'evt_1',
        object: 'event',
        type: 'fine_tuning.job.succeeded',
        created_at: seconds,
        data: { id: 'ftjob-1' },
      };
      const body = JSON.stringify(event);
      const digest = createHmac('sha256', 'a secret of the test').update(`evt_1.${seconds}.${body}`).digest('base64');
      const headers = {
        'webhook-id': 'evt_1',
        'webhook-timestamp': String(seconds),
        'webhook-signature': `v1,${digest}`,
      };
      expect((await fetch(url, { method: 'POST', headers, body })).status).toBe(204);
      expect((await lines.next()).value).toBe('fine_tuning.job.succeeded ftjob-1');
      expect((await fetch(url, { method: 'POST', headers, body: `${body} ` })).status).toBe(400);
      expect((await lines.next()).value).toMatch(/^refused: /);
    } finally {
      child.kill();
    }
  });

  it('chat: answers whole as it streams', async () => {
    const [whole, streamed] = (await run('chat', { OPENAI_MODEL: 'gpt-4o-mini' })).trim().split('\nstreamed: ');
    expect(whole).toMatch(/^gpt-4o-mini: .* \(\d+ tokens\)$/s);
    expect(whole).toContain(streamed);
  });
});
