import { createServer } from 'node:net';
import { ChatCompletionChunk, CompletionChunk, type GenerateEvent } from '@polymode/contracts';
import { createApiKey } from '@polymode/db';
import OpenAI, {
  APIError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { errorOf, refusal, startTestApi, type TestApi } from './harness.js';
import { finished, type ProtocolWorker, promptRead, says, startProtocolWorker, text } from './protocol-worker.js';

let api: TestApi;
const workers: ProtocolWorker[] = [];
beforeAll(async () => {
  api = await startTestApi();
});
afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.stop();
  await api.db.inferenceWorker.deleteMany();
});
afterAll(() => api?.stop());

const worker = async (
  ...settings: Parameters<typeof startProtocolWorker> extends [unknown, ...infer Rest] ? Rest : []
) => {
  const one = await startProtocolWorker(api.db, ...settings);
  workers.push(one);
  return one;
};

const request = { model: 'polymode-tiny', messages: [{ role: 'user' as const, content: 'Hi' }] };
const chat = (change: Partial<OpenAI.ChatCompletionCreateParamsNonStreaming> = {}) =>
  api.client.chat.completions.create({ ...request, ...change });
const streamed = (change: Partial<OpenAI.ChatCompletionCreateParamsStreaming> = {}) =>
  api.client.chat.completions.create({ ...request, ...change, stream: true });

/** Something that is waited for. */
function moment(): { came: Promise<void>; come: () => void } {
  let come = (): void => {};
  const came = new Promise<void>((resolve) => {
    come = resolve;
  });
  return { came, come };
}

async function read(stream: AsyncIterable<OpenAI.ChatCompletionChunk>): Promise<{ text: string; error: unknown }> {
  let text = '';
  try {
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
  } catch (error) {
    return { text, error };
  }
  return { text, error: null };
}

describe('which worker answers', () => {
  it('says how to start one where none is alive', async () => {
    await worker(says('too late'), { heartbeatAt: new Date(Date.now() - 3_600_000) });
    const completion = () => api.client.completions.create({ model: 'polymode-tiny', prompt: 'a' });
    for (const call of [chat, streamed, completion]) {
      const error = await refusal(call());
      expect(error).toBeInstanceOf(InternalServerError);
      expect(error).toMatchObject({ status: 503, type: 'server_error', code: 'no_worker', param: null });
      expect(error.message).toMatch(/Start one: .*worker/);
    }
  });

  it('is the one that has the model, then the one with less to do', async () => {
    const started = moment();
    const free = moment();
    const slow = await worker(async (answer, asked) => {
      started.come();
      await free.came;
      await says('slow')(answer, asked);
    });
    const first = chat();
    await started.came;
    const idle = await worker(says('idle'));
    expect((await chat()).choices[0]?.message.content).toBe('idle');
    const loaded = await worker(says('loaded'), { models: ['polymode-tiny'] });
    expect((await chat()).choices[0]?.message.content).toBe('loaded');
    free.come();
    await first;
    expect([slow, idle, loaded].map(({ requests }) => requests.length)).toEqual([1, 1, 1]);
  });

  it.each<[string, Parameters<typeof startProtocolWorker>[1]]>([
    ['cuts the connection', (answer) => answer.cut()],
    ['ends without a word', (answer) => answer.end()],
    ['has no memory', (answer) => answer.refuse(503, { message: 'full', param: null, code: 'no_memory' })],
    ['has no such model', (answer) => answer.refuse(404, { message: 'not here', param: null, code: null })],
    ['knows another token', (answer) => answer.refuse(401, { message: 'who?', param: null, code: null })],
  ])('is the next when one %s', async (_, script) => {
    const failing = await worker(script, { models: ['polymode-tiny'] });
    const other = await worker(says('from the other'));
    expect((await chat()).choices[0]?.message.content).toBe('from the other');
    expect(await read(await streamed())).toEqual({ text: 'from the other', error: null });
    expect([failing.requests.length, other.requests.length]).toEqual([2, 2]);
  });

  it('is the next when nothing listens where one was', async () => {
    const port = await new Promise<number>((resolve) => {
      const server = createServer().listen(0, '127.0.0.1', () => {
        const { port } = server.address() as { port: number };
        server.close(() => resolve(port));
      });
    });
    const gone = { id: 'gone', url: `http://127.0.0.1:${port}`, token: 'x', models: ['polymode-tiny'] };
    await api.db.inferenceWorker.create({ data: gone });
    expect(await refusal(chat())).toMatchObject({ status: 503, code: 'no_worker' });
    await worker(says('still here'));
    expect((await chat()).choices[0]?.message.content).toBe('still here');
  });
});

describe('what a worker refuses', () => {
  it.each([
    [400, { message: 'too long', param: 'messages', code: 'context_length_exceeded' }, BadRequestError, 400],
    [404, { message: 'not here', param: null, code: null }, NotFoundError, 404],
    [503, { message: 'no memory for it now', param: null, code: 'no_memory' }, InternalServerError, 503],
    [500, { message: 'a secret of the house', param: null, code: null }, InternalServerError, 500],
  ])('with %i comes to the client as such', async (status, failure, kind, expected) => {
    await worker((answer) => answer.refuse(status, failure));
    for (const call of [chat, streamed]) {
      const error = await refusal(call());
      expect(error).toBeInstanceOf(kind);
      expect(error.status).toBe(expected);
      if (status === 400) expect(error).toMatchObject({ param: 'messages', code: 'context_length_exceeded' });
      if (status === 404) expect(error).toMatchObject({ param: 'model', code: 'model_not_found' });
      if (status === 500) expect(error.message).not.toContain('secret');
      else expect(error.message).toContain(failure.message);
    }
  });
});

describe('answers that break off', () => {
  const failing = (last: (answer: Parameters<Parameters<typeof startProtocolWorker>[1]>[0]) => Promise<void> | void) =>
    worker(async (answer) => {
      await answer.event(promptRead);
      await answer.event(text('half'));
      await last(answer);
    });

  it.each([
    ['an error', 'generation_failed', 500],
    ['a cut', 'worker_lost', 503],
    ['an end that is none', 'worker_lost', 503],
    ['nonsense', 'generation_failed', 500],
  ])('with %s are errors inside the stream, and of HTTP without one', async (how, code, status) => {
    await failing(async (answer) => {
      if (how === 'an error') await answer.event({ type: 'error', message: 'a secret of the house' });
      if (how === 'nonsense') answer.raw('{"type": "surprise"}\n');
      if (how === 'a cut') setTimeout(() => answer.cut(), 20);
      else answer.end();
    });
    expect(await refusal(chat())).toMatchObject({ status, code, type: 'server_error' });
    const { text, error } = await read(await streamed());
    expect(text).toBe('half');
    expect(error).toBeInstanceOf(APIError);
    expect(error).toMatchObject({ code, type: 'server_error' });
    expect((error as APIError).message).not.toContain('secret');
  });

  it('before they began are errors of HTTP', async () => {
    await worker(async (answer) => {
      await answer.event({ type: 'error', message: 'a secret' });
      answer.end();
    });
    expect(await refusal(streamed())).toMatchObject({ status: 500, code: 'generation_failed' });
  });

  it('end a stream of several prompts as well', async () => {
    await worker(async (answer, { input }) => {
      if (input.type === 'text' && input.text === 'bad') {
        return answer.refuse(400, { message: 'bad prompt', param: 'prompt', code: null });
      }
      await answer.event(promptRead);
      await answer.closed;
    });
    const body = { model: 'polymode-tiny', prompt: ['good', 'bad', 'good'] };
    expect(await refusal(api.client.completions.create(body))).toMatchObject({ status: 400, param: 'prompt' });
  });
});

describe('clients that leave', () => {
  it.each([true, false])('cancel at the worker (stream: %s)', async (stream) => {
    const begun = moment();
    const cancelled = moment();
    await worker(async (answer) => {
      await answer.event(promptRead);
      await answer.event(text('a'));
      begun.come();
      await answer.closed;
      cancelled.come();
    });
    const logged = api.logs.length;
    const gone = new AbortController();
    const call = api.client.chat.completions.create({ ...request, stream }, { signal: gone.signal });
    const outcome = (async () => {
      const answer = await call;
      if ('choices' in answer) return;
      for await (const _ of answer) gone.abort();
    })();
    await begun.came;
    if (!stream) gone.abort();
    await outcome.catch(() => {});
    await cancelled.came;
    expect(api.logs.slice(logged).filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('cancel before the worker began', async () => {
    const asked = moment();
    const cancelled = moment();
    const one = await worker(async (answer) => {
      asked.come();
      await answer.closed;
      cancelled.come();
    });
    await worker(says('never asked'));
    await api.db.inferenceWorker.update({ where: { id: one.id }, data: { models: ['polymode-tiny'] } });
    const gone = new AbortController();
    const call = api.client.chat.completions.create({ ...request, stream: true }, { signal: gone.signal });
    await asked.came;
    gone.abort();
    await expect(call).rejects.toThrow();
    await cancelled.came;
    expect(workers[1]?.requests).toEqual([]);
  });

  it('that read slowly are waited for, and get everything', async () => {
    const piece = 'x'.repeat(64 * 1024);
    const pieces = 400;
    let sent = 0;
    await worker(async (answer) => {
      await answer.event(promptRead);
      for (; sent < pieces; sent++) await answer.event(text(piece));
      await answer.event(finished());
      await answer.event({ type: 'end' });
      answer.end();
    });
    const response = await fetch(`${api.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${api.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ ...request, stream: true }),
    });
    // Time to send all of it, if nothing held it back.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(sent).toBeLessThan(pieces);
    let bytes = 0;
    for await (const part of response.body as unknown as AsyncIterable<Uint8Array>) bytes += part.length;
    expect(bytes).toBeGreaterThan(pieces * piece.length);
  });
});

describe('keys', () => {
  const clientOf = async (settings: { scope: 'read'; requestsPerMinute?: number; tokensPerMinute?: number }) => {
    const { key } = await createApiKey(api.db, { projectId: api.projectId, name: 'limited', ...settings }, 'cli');
    return new OpenAI({ apiKey: key, baseURL: `${api.url}/v1`, maxRetries: 0 });
  };

  it('that may read may sample, as often as they may ask for anything', async () => {
    const one = await worker(says('yes'));
    const client = await clientOf({ scope: 'read', requestsPerMinute: 2 });
    const { response } = await client.chat.completions.create({ ...request, stream: true }).withResponse();
    expect(await response.text()).toContain('yes');
    expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('1');
    expect(response.headers.get('x-request-id')).toMatch(/^req_/);
    await client.completions.create({ model: 'polymode-tiny', prompt: 'a' });
    const error = await refusal(client.chat.completions.create({ ...request, stream: true }));
    expect(error).toBeInstanceOf(RateLimitError);
    expect(error.headers?.get('retry-after')).toMatch(/^[1-9]\d*$/);
    expect(one.requests).toHaveLength(2);
  });

  it('have so many tokens a minute, of prompts and completions, and the request that goes over is finished', async () => {
    // Three of the prompt, two of the completion.
    const one = await worker(says('yes'));
    const client = await clientOf({ scope: 'read', tokensPerMinute: 8 });
    const standing = async (call: { asResponse(): Promise<Response> }) => {
      const { headers } = await call.asResponse();
      return ['limit', 'remaining', 'reset'].map((name) => headers.get(`x-ratelimit-${name}-tokens`));
    };
    const seconds = expect.stringMatching(/^\d+(m\d+)?s$/);
    expect(await standing(client.chat.completions.create(request))).toEqual(['8', '3', seconds]);
    expect(await standing(client.completions.create({ model: 'polymode-tiny', prompt: 'a' }))).toEqual([
      '8',
      '0',
      seconds,
    ]);
    for (const stream of [false, true]) {
      const error = await refusal(client.chat.completions.create({ ...request, stream }));
      expect(error).toBeInstanceOf(RateLimitError);
      expect(error).toMatchObject({ code: 'rate_limit_exceeded', type: 'tokens' });
      expect(error.headers?.get('retry-after')).toMatch(/^[1-9]\d*$/);
    }
    expect(one.requests).toHaveLength(2);
    // Others of the same project have theirs.
    const other = await clientOf({ scope: 'read', tokensPerMinute: 8 });
    expect((await other.chat.completions.create(request)).choices[0]?.message.content).toBe('yes');
    const unlimited = await clientOf({ scope: 'read' });
    expect(await standing(unlimited.chat.completions.create(request))).toEqual([null, null, null]);
  });

  it('pay for what was said until a client left', async () => {
    await worker(async (answer) => {
      await answer.event(promptRead);
      for (let i = 0; i < 5; i++) await answer.event(text('on and '));
      await answer.closed;
    });
    const client = await clientOf({ scope: 'read', tokensPerMinute: 8 });
    const stream = await client.chat.completions.create({ ...request, stream: true });
    let pieces = 0;
    for await (const { choices } of stream) if (choices[0]?.delta.content && ++pieces === 5) break;
    const error = await refusal(client.chat.completions.create(request));
    expect(error).toMatchObject({ status: 429, type: 'tokens' });
  });

  it('are looked at before bodies, and empty bodies are told what is missing', async () => {
    const wrong = new OpenAI({ apiKey: 'pmk-wrong-wrong-wrong', baseURL: `${api.url}/v1`, maxRetries: 0 });
    expect(await refusal(wrong.chat.completions.create(request))).toBeInstanceOf(AuthenticationError);
    const types: Record<string, string>[] = [{ 'content-type': 'application/json' }, {}];
    for (const path of ['/v1/chat/completions', '/v1/completions']) {
      for (const type of types) {
        const headers = { authorization: `Bearer ${api.key}`, ...type };
        const response = await fetch(`${api.url}${path}`, { method: 'POST', headers });
        expect([response.status, await errorOf(response)]).toMatchObject([400, { code: 'missing_required_parameter' }]);
      }
    }
  });
});

describe('answers in pieces of any kind', () => {
  it('are put together, whatever the bytes are cut into', async () => {
    const words = ['Zoë\u2028', '日本', '🙂', '\r\n"'];
    const bytes = Buffer.from(
      [promptRead, ...words.map((word) => text(word)), finished(), { type: 'end' }]
        .map((event) => `${JSON.stringify(event)}\n`)
        .join(''),
    );
    await worker(async (answer) => {
      for (const byte of bytes) {
        answer.raw(Uint8Array.of(byte));
        await new Promise(setImmediate);
      }
      answer.end();
    });
    expect((await chat()).choices[0]?.message.content).toBe(words.join(''));
    expect((await read(await streamed())).text).toBe(words.join(''));
  });
});

describe('tools', () => {
  const tool = (name: string) => ({ type: 'function' as const, function: { name, parameters: { type: 'object' } } });
  const tools = [tool('add'), tool('subtract')];
  const toolCalls = [
    { name: 'add', arguments: '{"a":1}' },
    { name: 'subtract', arguments: '{}' },
  ];
  const calling = (saying = '') =>
    worker(async (answer) => {
      await answer.event(promptRead);
      if (saying) await answer.event(text(saying));
      await answer.event(finished({ reason: 'tool_calls', toolCalls }));
      await answer.event({ type: 'end' });
      answer.end();
    });

  it('are called in the shapes of the SDK', async () => {
    await calling();
    const { choices } = await chat({ tools });
    const call = (i: number) => ({
      id: expect.stringMatching(/^call_\w{24}$/),
      type: 'function',
      function: toolCalls[i],
    });
    expect(choices).toEqual([
      {
        index: 0,
        message: { role: 'assistant', content: null, refusal: null, tool_calls: [call(0), call(1)] },
        logprobs: null,
        finish_reason: 'tool_calls',
      },
    ]);
    const helper = api.client.chat.completions.stream({ ...request, tools });
    const final = await helper.finalChatCompletion();
    expect(final.choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: { tool_calls: [call(0), call(1)] },
    });
  });

  it('are asked for as the request says', async () => {
    const one = await calling('Wait.');
    const functions = tools.map((each) => each.function);
    await chat({ tools, tool_choice: 'required', parallel_tool_calls: false });
    await chat({ tools, tool_choice: { type: 'function', function: { name: 'add' } } });
    const allowed_tools = { mode: 'auto' as const, tools: [{ type: 'function', function: { name: 'subtract' } }] };
    await chat({ tools, tool_choice: { type: 'allowed_tools', allowed_tools } });
    await chat({ functions });
    await chat({ functions, function_call: 'none' });
    await chat({ functions, function_call: { name: 'add' } });
    expect(one.requests.map(({ input }) => input)).toMatchObject([
      { tools, toolChoice: 'required', parallelToolCalls: false },
      { tools, toolChoice: { name: 'add' }, parallelToolCalls: true },
      { tools: [tools[1]], toolChoice: 'auto', parallelToolCalls: true },
      { tools, toolChoice: 'auto', parallelToolCalls: false },
      { tools, toolChoice: 'none', parallelToolCalls: false },
      { tools, toolChoice: { name: 'add' }, parallelToolCalls: false },
    ]);
  });

  it('end for the reason that OpenAI gives, which is stop where the request names the function', async () => {
    await calling();
    const functions = tools.map((each) => each.function);
    const allowed_tools = { mode: 'required' as const, tools: [{ type: 'function', function: { name: 'add' } }] };
    for (const [change, reason] of [
      [{ tools }, 'tool_calls'],
      [{ tools, tool_choice: 'required' }, 'tool_calls'],
      [{ tools, tool_choice: { type: 'allowed_tools', allowed_tools } }, 'tool_calls'],
      [{ tools, tool_choice: { type: 'function', function: { name: 'add' } } }, 'stop'],
      [{ functions }, 'function_call'],
      [{ functions, function_call: { name: 'add' } }, 'stop'],
    ] as const) {
      const [whole] = (await chat(change as object)).choices;
      const body = { ...request, ...(change as object) };
      const [streamed] = (await api.client.chat.completions.stream(body).finalChatCompletion()).choices;
      expect([whole?.finish_reason, streamed?.finish_reason], JSON.stringify(change)).toEqual([reason, reason]);
    }
  });

  it('of functions, as they were called before, are one call in a message of its own shape, streamed or not', async () => {
    await calling('Wait.');
    const body = { functions: tools.map((each) => each.function) };
    const message = { role: 'assistant', content: 'Wait.', refusal: null, function_call: toolCalls[0] };
    expect((await chat(body)).choices[0]?.message).toEqual(message);
    const deltas: OpenAI.ChatCompletionChunk.Choice.Delta[] = [];
    for await (const { choices } of await api.client.chat.completions.create({ ...request, ...body, stream: true })) {
      deltas.push(...choices.map(({ delta }) => delta));
    }
    expect(deltas).toEqual([
      { role: 'assistant', content: '', refusal: null },
      { content: 'Wait.' },
      { function_call: toolCalls[0] },
      {},
    ]);
  });

  it.each<[object, string, string]>([
    [{ tool_choice: 'required' }, 'tool_choice', "only allowed when 'tools'"],
    [{ tools, tool_choice: { type: 'function', function: { name: 'nope' } } }, 'tool_choice', "'add', 'subtract'"],
    [{ function_call: 'auto' }, 'function_call', "only allowed when 'functions'"],
    [{ tools, functions: [{ name: 'f' }] }, 'functions', "'tools' alone"],
    [{ max_tokens: 1, max_completion_tokens: 1 }, 'max_tokens', "'max_completion_tokens' alone"],
    [{ top_logprobs: 2 }, 'top_logprobs', "'logprobs' is true"],
    [{ stream_options: { include_usage: true } }, 'stream_options', "'stream' is true"],
  ])('and other fields that do not go together are named: %j', async (change, param, says) => {
    const error = await refusal(chat(change));
    expect(error).toBeInstanceOf(BadRequestError);
    expect(error).toMatchObject({ param, code: 'invalid_value' });
    expect(error.message).toContain(says);
  });
});

describe('chunks', () => {
  const events = async (path: string, body: object): Promise<unknown[]> => {
    const response = await fetch(`${api.url}/v1${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${api.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    });
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const lines = (await response.text()).split('\n\n');
    expect(lines.splice(-2)).toEqual(['data: [DONE]', '']);
    return lines.map((line) => JSON.parse(line.replace(/^data: /, '')));
  };
  const usage = expect.objectContaining({ prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 });
  const two: GenerateEvent[] = [
    promptRead,
    text('a'),
    text('b', 1),
    finished(),
    finished({ index: 1, reason: 'length' }),
  ];

  it('of a chat give a role, texts and ends, then the usage', async () => {
    await worker(async (answer) => {
      for (const event of [...two, { type: 'end' as const }]) await answer.event(event);
      answer.end();
    });
    const chunks = await events('/chat/completions', { ...request, n: 2 });
    expect(chunks.map((chunk) => ChatCompletionChunk.parse(chunk))).toEqual(chunks);
    const start = { role: 'assistant', content: '', refusal: null };
    const choice = (index: number, delta: object, finish_reason: string | null = null) => ({
      choices: [{ index, delta, logprobs: null, finish_reason }],
      usage: null,
    });
    expect(chunks).toMatchObject([
      choice(0, start),
      choice(1, start),
      choice(0, { content: 'a' }),
      choice(1, { content: 'b' }),
      choice(0, {}, 'stop'),
      choice(1, {}, 'length'),
      { choices: [], usage },
    ]);
    expect(new Set(chunks.map((chunk) => JSON.stringify({ ...(chunk as object), choices: 0, usage: 0 }))).size).toBe(1);
  });

  it('of a text give texts and ends, then the usage', async () => {
    await worker(async (answer) => {
      for (const event of [...two, { type: 'end' as const }]) await answer.event(event);
      answer.end();
    });
    const chunks = await events('/completions', { model: 'polymode-tiny', prompt: 'p', n: 2 });
    expect(chunks.map((chunk) => CompletionChunk.parse(chunk))).toEqual(chunks);
    const choice = (index: number, text: string, finish_reason: string | null = null) => ({
      choices: [{ index, text, logprobs: null, finish_reason }],
      usage: null,
    });
    expect(chunks).toMatchObject([
      choice(0, 'a'),
      choice(1, 'b'),
      choice(0, '', 'stop'),
      choice(1, '', 'length'),
      { choices: [], usage },
    ]);
  });
});
