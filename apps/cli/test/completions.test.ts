import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Stack, startStack } from '@polymode/cli';
import { connectDatabase, createApiKey, createProject, type Database, disconnectDatabase } from '@polymode/db';
import OpenAI, { APIError, BadRequestError, NotFoundError, toFile } from 'openai';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';

const model = 'polymode-tiny';
const KEY = 'pmk-completions-of-a-real-worker';
const dataDir = mkdtempSync(join(tmpdir(), 'polymode-completions-'));
let stack: Stack;
let client: OpenAI;
let db: Database;

beforeAll(async () => {
  stack = await startStack({ dataDir, port: 0, apiKey: KEY, env: { POLYMODE_THREADS: '1' } });
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

const messages = [{ role: 'user' as const, content: 'Which stacks look like 1010 from above?' }];
type Chat = OpenAI.ChatCompletionCreateParams;
const chat = (change: Partial<Chat> = {}) =>
  client.chat.completions.create({ model, messages, seed: 7, max_tokens: 24, ...change, stream: false });
const complete = (change: Partial<OpenAI.CompletionCreateParams> = {}) =>
  client.completions.create({ model, prompt: 'x OR', seed: 7, ...change, stream: false });

const textsOf = ({ choices }: OpenAI.ChatCompletion): (string | null)[] => choices.map((c) => c.message.content);

async function refusal(call: PromiseLike<unknown>): Promise<APIError> {
  const error = await call.then(
    () => null,
    (error: unknown) => error,
  );
  if (error instanceof APIError) return error;
  throw error ?? new Error('The request was not refused.');
}

describe('a chat with a base model', () => {
  it('answers in the shape of the SDK', async () => {
    const answer = await chat({ n: 2 });
    expect(answer).toEqual({
      id: expect.stringMatching(/^chatcmpl-\w{24}$/),
      object: 'chat.completion',
      created: expect.any(Number),
      model,
      system_fingerprint: expect.stringMatching(/^fp_[0-9a-f]{10}$/),
      choices: [0, 1].map((index) => ({
        index,
        message: { role: 'assistant', content: expect.any(String), refusal: null },
        logprobs: null,
        finish_reason: expect.stringMatching(/^(stop|length)$/),
      })),
      usage: expect.objectContaining({ prompt_tokens: expect.any(Number) }),
    });
    expect((answer as { _request_id?: string })._request_id).toMatch(/^req_/);
    const { prompt_tokens, completion_tokens, total_tokens } = answer.usage!;
    expect(prompt_tokens).toBeGreaterThan(10);
    expect(total_tokens).toBe(prompt_tokens + completion_tokens);
    expect((await chat()).usage?.prompt_tokens).toBe(prompt_tokens);
  });

  it('says the same for the same seed, streamed or not, and something else for others', async () => {
    const whole = await chat({ n: 8, logprobs: true });
    expect((await chat({ n: 8, logprobs: true })).choices).toEqual(whole.choices);
    expect(new Set(textsOf(whole)).size).toBeGreaterThan(1);
    expect(textsOf(await chat({ n: 8, seed: 8 }))).not.toEqual(textsOf(whole));
    expect(textsOf(await chat({ n: 8, seed: 7 + 2 ** 32 }))).not.toEqual(textsOf(whole));
    const unseeded = [await chat({ n: 8, seed: null }), await chat({ n: 8, seed: null })].map(textsOf);
    expect(unseeded[0]).not.toEqual(unseeded[1]);
    const stream = client.chat.completions.stream({ model, messages, seed: 7, max_tokens: 24, n: 8, logprobs: true });
    const streamed = await stream.finalChatCompletion();
    const shown = ({ choices }: OpenAI.ChatCompletion) =>
      choices.map(({ index, message, logprobs, finish_reason }) => ({
        index,
        text: message.content,
        // Without a token there was no chunk that had any.
        tokens: logprobs?.content ?? [],
        finish_reason,
      }));
    expect(shown(streamed)).toEqual(shown(whole));
  });

  it('streams a role, texts, the end and, if wanted, the usage', async () => {
    const whole = await chat();
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    const options = { stream: true, stream_options: { include_usage: true } } as const;
    const stream = await client.chat.completions.create({ model, messages, seed: 7, max_tokens: 24, ...options });
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks[0]?.choices[0]?.delta).toEqual({ role: 'assistant', content: '', refusal: null });
    expect(chunks.map((c) => c.choices[0]?.delta.content ?? '').join('')).toBe(textsOf(whole)[0]);
    expect(chunks.at(-2)?.choices[0]).toMatchObject({ delta: {}, finish_reason: whole.choices[0]?.finish_reason });
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: whole.usage });
    expect(chunks.slice(0, -1).every((c) => c.usage === null)).toBe(true);
    expect(new Set(chunks.map((c) => c.id)).size).toBe(1);
  });

  it('ends at its stop strings, which are not told, and at its length', async () => {
    const [free] = textsOf(await chat({ temperature: 0, stop: null }));
    const middle = free!.slice(Math.floor(free!.length / 2), Math.floor(free!.length / 2) + 3);
    for (const stop of [middle, ['never said', middle]]) {
      const { choices } = await chat({ temperature: 0, stop });
      expect(choices[0]).toMatchObject({
        message: { content: free!.slice(0, free!.indexOf(middle)) },
        finish_reason: 'stop',
      });
    }
    const short = await chat({ max_tokens: null, max_completion_tokens: 2, logit_bias: {} });
    expect(short.choices[0]?.finish_reason).toBe('length');
    expect(short.usage?.completion_tokens).toBe(2);
  });

  it('tells log-probabilities that are a distribution, likeliest first', async () => {
    const { choices } = await chat({ logprobs: true, top_logprobs: 20, n: 3 });
    for (const { logprobs, message } of choices) {
      const tokens = logprobs?.content ?? [];
      expect(Buffer.from(tokens.flatMap(({ bytes }) => bytes ?? [])).toString()).toBe(message.content);
      for (const { token, logprob, top_logprobs: top } of tokens) {
        const values = top.map((one) => one.logprob);
        expect(top).toHaveLength(20);
        expect(values).toEqual([...values].sort((a, b) => b - a));
        expect(values.reduce((sum, value) => sum + Math.exp(value), 0)).toBeLessThan(1 + 1e-5);
        const same = top.find((one) => one.token === token);
        expect(same?.logprob ?? values.at(-1)).toSatisfy((v: number) => (same ? v === logprob : v >= logprob));
      }
    }
    expect((await chat({ logprobs: true })).choices[0]?.logprobs?.content?.[0]?.top_logprobs).toEqual([]);
  });

  it('takes contents in parts and messages of every role', async () => {
    const parts = [{ type: 'text' as const, text: messages[0]!.content.slice(0, 9) }];
    parts.push({ type: 'text', text: messages[0]!.content.slice(9) });
    expect(textsOf(await chat({ messages: [{ role: 'user', content: parts }] }))).toEqual(textsOf(await chat()));
    const roles = [
      { role: 'developer', content: 'Be brief.' },
      { role: 'system', content: 'Be kind.' },
      ...messages,
      { role: 'assistant', content: '1010' },
      { role: 'user', content: 'And now?' },
    ] as Chat['messages'];
    const { usage } = await chat({ messages: roles });
    expect(usage!.prompt_tokens).toBeGreaterThan((await chat()).usage!.prompt_tokens);
  });

  it('is pushed by logit_bias and penalties', async () => {
    const only = { 42: 100 };
    const { choices } = await chat({ logit_bias: only, max_tokens: 3, logprobs: true });
    const [first, ...others] = choices[0]?.logprobs?.content ?? [];
    expect(others.map(({ token }) => token)).toEqual([first?.token, first?.token]);
    expect(choices[0]?.message.content).toBe(first!.token.repeat(3));
    const repeated = await chat({ temperature: 0, frequency_penalty: -2 });
    const avoided = await chat({ temperature: 0, frequency_penalty: 2, presence_penalty: 2 });
    expect(textsOf(avoided)).not.toEqual(textsOf(repeated));
  });

  it('is cancelled at the worker when the client leaves, which serves others then', async () => {
    const { url } = await db.inferenceWorker.findFirstOrThrow();
    const cancelled = async (): Promise<number> => {
      const figures = await (await fetch(`${url}/metrics`)).text();
      return Number(
        /^polymode_inference_requests_total\{[^}]*outcome="cancelled"[^}]*\} (\d+)/m.exec(figures)?.[1] ?? 0,
      );
    };
    const before = await cancelled();
    // Never ends by itself: its end is too unlikely.
    const endless = { model, messages, n: 4, logit_bias: { 42: 100 }, stream: true } as const;
    for await (const chunk of await client.chat.completions.create(endless)) {
      if (chunk.choices[0]?.delta.content) break;
    }
    while ((await cancelled()) === before) await sleep(20);
    expect((await chat()).choices).toHaveLength(1);
  });

  it.each<[string, Partial<Chat>, object]>([
    [
      'a prompt beyond the context',
      { messages: [{ role: 'user', content: 'long '.repeat(2000) }] },
      { param: 'messages', code: 'context_length_exceeded' },
    ],
    [
      'more tokens than the context has',
      { max_tokens: 100_000 },
      { param: 'messages', code: 'context_length_exceeded' },
    ],
    ['a bias of a token that is none', { logit_bias: { 999999: 1 } }, { param: 'logit_bias' }],
    ['too high a temperature', { temperature: 3 }, { param: 'temperature', code: 'integer_above_max_value' }],
    ['no messages', { messages: [] }, { param: 'messages', code: 'empty_array' }],
  ])('refuses %s', async (_, change, expected) => {
    const error = await refusal(chat(change));
    expect(error).toBeInstanceOf(BadRequestError);
    expect(error).toMatchObject({ status: 400, type: 'invalid_request_error', ...expected });
    expect(error.requestID).toMatch(/^req_/);
    // The same inside a stream's request: an answer of its own, no event.
    const options = {
      model,
      messages,
      max_tokens: 24,
      ...change,
      stream: true,
    } as OpenAI.ChatCompletionCreateParamsStreaming;
    expect(await refusal(client.chat.completions.create(options))).toMatchObject({ status: 400, ...expected });
  });

  it('has no model that does not exist', async () => {
    for (const name of ['gpt-4.1', 'ft:polymode-tiny:polymode::12345678', 'ft:a\u0000b']) {
      const error = await refusal(chat({ model: name }));
      expect(error).toBeInstanceOf(NotFoundError);
      expect(error).toMatchObject({ code: 'model_not_found', param: 'model' });
    }
  });
});

describe('requests beside each other', () => {
  it('say what each says alone', async () => {
    const seeds = Array.from({ length: 12 }, (_, seed) => seed);
    const alone: unknown[] = [];
    for (const seed of seeds) alone.push((await chat({ seed, logprobs: true })).choices);
    const together = await Promise.all(seeds.map(async (seed) => (await chat({ seed, logprobs: true })).choices));
    expect(together).toEqual(alone);
  });
});

describe('formats', () => {
  const Verdict = z.strictObject({
    label: z.enum(['good', 'bad']),
    score: z.int().min(0).max(99),
    reasons: z.array(z.string().max(10)).max(2),
  });

  it('of JSON are always kept to, in as few tokens as there are', async () => {
    const response_format = { type: 'json_object' as const };
    for (const max_tokens of [8, 24, 80]) {
      const { choices } = await chat({ response_format, n: 8, max_tokens, temperature: 1.5 });
      for (const { message, finish_reason } of choices) {
        expect(JSON.parse(message.content!)).toBeTypeOf('object');
        expect(finish_reason).toBe('stop');
      }
    }
  });

  it('of a schema are parsed by the SDK, streamed or not', async () => {
    const response_format = zodResponseFormat(Verdict, 'verdict');
    const body = { model, messages, seed: 7, n: 4, response_format };
    const whole = await client.chat.completions.parse(body);
    for (const { message } of whole.choices) {
      expect(Verdict.parse(message.parsed)).toEqual(JSON.parse(message.content!));
    }
    const streamed = await client.chat.completions.stream(body).finalChatCompletion();
    expect(streamed.choices.map((c) => c.message.parsed)).toEqual(whole.choices.map((c) => c.message.parsed));
  });

  it('that cannot be kept to are refused by name', async () => {
    const schema = { type: 'object', properties: { a: { $ref: '#/nowhere' } } };
    const call = chat({ response_format: { type: 'json_schema', json_schema: { name: 'n', schema } } });
    const error = await refusal(call);
    expect(error).toMatchObject({ status: 400, param: 'response_format' });
    expect(error.message).toContain('nowhere');
  });
});

describe('tools', () => {
  const tool = (name: string, properties: object): OpenAI.ChatCompletionFunctionTool => ({
    type: 'function',
    function: { name, parameters: { type: 'object', properties, required: Object.keys(properties) } },
  });
  const tools = [tool('add', { a: { type: 'integer' }, b: { type: 'integer' } }), tool('stop', {})];
  const called = (message: OpenAI.ChatCompletionMessage | undefined) =>
    (message?.tool_calls ?? []).flatMap((call) => (call.type === 'function' ? call : []));

  it('that must be called are, with arguments that their schema allows', async () => {
    const { choices } = await chat({ tools, tool_choice: 'required', n: 6, max_tokens: 100 });
    for (const { message, finish_reason } of choices) {
      expect(finish_reason).toBe('tool_calls');
      expect(message.content).toBeNull();
      const calls = called(message);
      expect(calls.length).toBeGreaterThan(0);
      for (const call of calls) {
        expect(call.id).toMatch(/^call_\w{24}$/);
        expect(['add', 'stop']).toContain(call.function.name);
        const given = JSON.parse(call.function.arguments) as Record<string, unknown>;
        if (call.function.name === 'add') expect([given.a, given.b].every(Number.isInteger)).toBe(true);
      }
    }
  });

  it('are called by name, one at a time, and streamed as they are answered whole', async () => {
    const body = {
      model,
      messages,
      seed: 7,
      tools,
      tool_choice: { type: 'function', function: { name: 'add' } },
    } satisfies Partial<OpenAI.ChatCompletionCreateParams>;
    const whole = await client.chat.completions.create(body);
    const [call, ...others] = called(whole.choices[0]?.message);
    expect([call?.function.name, others, whole.choices[0]?.finish_reason]).toEqual(['add', [], 'stop']);
    const streamed = await client.chat.completions.stream(body).finalChatCompletion();
    expect(streamed.choices[0]?.finish_reason).toBe(whole.choices[0]?.finish_reason);
    expect(called(streamed.choices[0]?.message).map((one) => one.function)).toMatchObject([call!.function]);
    // What came of it goes back as the SDK has it.
    const [answer] = whole.choices;
    const result = { role: 'tool' as const, tool_call_id: call!.id, content: '12' };
    expect((await chat({ messages: [...messages, answer!.message, result] })).choices).toHaveLength(1);
  });

  it('are told to a model whose chat template has no place for them, where it may call them', async () => {
    const prompt = async (change: Partial<Chat>) => (await chat({ ...change, max_tokens: 1 })).usage!.prompt_tokens;
    expect(await prompt({ tools })).toBeGreaterThan((await prompt({})) + 100);
    expect(await prompt({ tools, tool_choice: 'none' })).toBe(await prompt({}));
    expect(textsOf(await chat({ tools, tool_choice: 'none' }))).toEqual(textsOf(await chat()));
  });

  it('may be called beside a format: the SDK parses strict calls or the answer, streamed or not', async () => {
    const Size = z.strictObject({ size: z.enum(['small', 'large']) });
    const strict = zodFunction({ name: 'measure', parameters: z.strictObject({ in: z.enum(['mm', 'inch']) }) });
    const seen = { calls: 0, answers: 0 };
    for (const seed of [1, 2, 3]) {
      const body = { model, messages, seed, tools: [strict], response_format: zodResponseFormat(Size, 'size') };
      const hot = { ...body, n: 8, temperature: 2, max_tokens: 100 };
      const whole = await client.chat.completions.parse(hot);
      for (const { message, finish_reason } of whole.choices) {
        const calls = called(message);
        expect(finish_reason).toBe(calls.length > 0 ? 'tool_calls' : 'stop');
        for (const call of calls) expect(['mm', 'inch']).toContain(JSON.parse(call.function.arguments).in);
        if (calls.length > 0) seen.calls++;
        else {
          seen.answers++;
          expect(Size.parse(message.parsed)).toEqual(JSON.parse(message.content!));
        }
      }
      const streamed = await client.chat.completions.stream(hot).finalChatCompletion();
      const shown = ({ choices }: { choices: typeof whole.choices }) =>
        choices.map(({ message }) => [message.parsed, called(message).map((call) => call.function.arguments)]);
      expect(shown(streamed as never)).toEqual(shown(whole));
    }
    expect(Math.min(seen.calls, seen.answers)).toBeGreaterThan(0);
  });

  it('are called as functions where the request has those, and what came of it goes back', async () => {
    const functions = tools.map((one) => one.function);
    const body = { functions, function_call: { name: 'add' } } satisfies Partial<Chat>;
    const { message, finish_reason } = (await chat({ ...body, max_tokens: 100 })).choices[0]!;
    expect(finish_reason).toBe('stop');
    expect(message).toMatchObject({ content: null, function_call: { name: 'add' } });
    const { a, b } = JSON.parse(message.function_call!.arguments) as { a: unknown; b: unknown };
    expect([a, b].every(Number.isInteger)).toBe(true);
    const result = { role: 'function' as const, name: 'add', content: '12' };
    const after = await chat({ functions, messages: [...messages, message, result], max_tokens: 1 });
    expect(after.usage!.prompt_tokens).toBeGreaterThan((await chat({ functions, max_tokens: 1 })).usage!.prompt_tokens);
  });
});

const judged = (judge: string, by = client, change: object = {}) =>
  by.fineTuning.alpha.graders.run({
    grader: {
      type: 'score_model',
      name: 'judge',
      model: judge,
      input: [{ role: 'user', content: 'Is {{sample.output_text}} right?' }],
      sampling_params: { seed: 5, max_completions_tokens: 100 },
      ...change,
    },
    model_sample: '1010',
    item: {},
  } as OpenAI.FineTuning.Alpha.GraderRunParams);

describe('graders that ask a model', () => {
  it('may ask a model of this service', async () => {
    for (const change of [{}, { type: 'label_model', labels: ['good', 'bad'], passing_labels: ['good'] }]) {
      const { reward, metadata } = await judged(model, client, change);
      expect(metadata).toMatchObject({ error_message: null, sampled_model_name: model });
      expect(Object.values(metadata.errors).every((flag) => flag === false || flag === null)).toBe(true);
      expect(reward).toBeGreaterThanOrEqual(0);
      expect(reward).toBeLessThanOrEqual(1);
      expect(metadata.token_usage).toMatchObject({ prompt_tokens: expect.any(Number) });
      expect((await judged(model, client, change)).reward).toBe(reward);
    }
  });
});

describe('a text with a base model', () => {
  it('goes on for sixteen tokens, from each prompt n times', async () => {
    const prompt = ['x OR', 'y AND', 'x OR'];
    const { choices, usage } = await complete({ prompt, n: 2, logit_bias: { 42: 100 } });
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(usage?.completion_tokens).toBe(6 * 16);
    const texts = (await complete({ prompt, n: 2 })).choices.map(({ text }) => text);
    expect((await complete({ n: 2 })).choices.map(({ text }) => text)).toEqual(texts.slice(0, 2));
    // Equal prompts of one request have seeds of their own.
    expect((await complete({ prompt: Array(8).fill('x OR') })).choices).toSatisfy(
      (all: OpenAI.CompletionChoice[]) => new Set(all.map(({ text }) => text)).size > 1,
    );
  });

  it('streams what it says whole', async () => {
    const body = { model, prompt: ['x OR', 'y AND'], n: 2, seed: 7, echo: true, logprobs: 1 };
    const whole = await client.completions.create(body);
    const texts = ['', '', '', ''];
    const offsets: number[][] = [[], [], [], []];
    const ends: (string | null)[] = [];
    for await (const { choices } of await client.completions.create({ ...body, stream: true })) {
      for (const { index, text, logprobs, finish_reason } of choices) {
        texts[index] += text;
        offsets[index]!.push(...(logprobs?.text_offset ?? []));
        if (finish_reason) ends[index] = finish_reason;
      }
    }
    expect(texts).toEqual(whole.choices.map(({ text }) => text));
    expect(offsets).toEqual(whole.choices.map(({ logprobs }) => logprobs?.text_offset));
    expect(ends).toEqual(whole.choices.map(({ finish_reason }) => finish_reason));
  });

  it('scores a prompt as it found it when it said it', async () => {
    const { choices } = await complete({ prompt: 'Zoë 🙂 x', echo: true, logprobs: 5, max_tokens: 8, n: 3 });
    for (const { text, logprobs } of choices) {
      const { tokens, token_logprobs, text_offset } = logprobs as Required<OpenAI.CompletionChoice.Logprobs>;
      const scored = await complete({ prompt: text, echo: true, logprobs: 0, max_tokens: 0 });
      const [only] = scored.choices;
      expect(only).toMatchObject({ text, index: 0, finish_reason: 'length' });
      expect(scored.usage).toMatchObject({ prompt_tokens: tokens.length, completion_tokens: 0 });
      // Tokens of a text may be others than those that said it; here they are the same.
      expect(only?.logprobs?.tokens).toEqual(tokens);
      expect(only?.logprobs?.text_offset).toEqual(text_offset);
      expect(token_logprobs[0]).toBeNull();
      for (const [i, value] of token_logprobs.entries()) {
        if (i > 0) expect(only?.logprobs?.token_logprobs?.[i]).toBeCloseTo(value, 3);
      }
      const characters = [...text];
      for (const [i, token] of tokens.entries()) {
        if (!token.startsWith('bytes:')) expect(characters.slice(text_offset[i]).join('')).toMatch(exactly(token));
      }
    }
  });

  it('reads tokens as well as their text', async () => {
    const { choices } = await complete({ prompt: [42, 43], echo: true, max_tokens: 4, logprobs: 0 });
    const { text, logprobs } = choices[0]!;
    const [, second] = logprobs!.text_offset!;
    const rest = await complete({ prompt: [42, 43], max_tokens: 4, logprobs: 0 });
    expect(text.endsWith(rest.choices[0]!.text)).toBe(true);
    // Places count from the prompt's beginning, echoed or not.
    expect(rest.choices[0]?.logprobs?.text_offset).toEqual(logprobs?.text_offset?.slice(2));
    const asText = await complete({ prompt: [[42], [43]], echo: true, max_tokens: 0 });
    const pieces = asText.choices.map((choice) => choice.text);
    expect([...pieces[0]!].length).toBe(second);
    expect(text.startsWith(pieces.join(''))).toBe(true);
  });

  it('answers the best of many', async () => {
    const all = (await complete({ n: 6, logprobs: 0 })).choices.map(({ text, logprobs }) => {
      const values = logprobs?.token_logprobs ?? [];
      return { text, score: values.reduce((sum, value) => sum + value, 0) / values.length };
    });
    const expected = all.filter(({ score }) => !Number.isNaN(score)).sort((a, b) => b.score - a.score);
    const best = await complete({ n: 2, best_of: 6 });
    expect(best.choices.map(({ text }) => text)).toEqual(expected.slice(0, 2).map(({ text }) => text));
    expect(best.choices.map(({ index, logprobs }) => [index, logprobs])).toEqual([
      [0, null],
      [1, null],
    ]);
    expect(best.usage?.completion_tokens).toBe((await complete({ n: 6 })).usage?.completion_tokens);
  });

  it.each([
    ['an empty prompt', { prompt: '' }, 'prompt'],
    ['a token that is none', { prompt: [999_999] }, 'prompt'],
    ['a suffix', { suffix: 'end' }, 'suffix'],
    ['fewer to choose from than to answer', { best_of: 1, n: 2 }, 'best_of'],
    ['a stream of what is not chosen yet', { best_of: 2, stream: true }, 'best_of'],
    ['too many at a time', { prompt: Array(1024).fill('a'), n: 5 }, 'prompt'],
  ])('refuses %s', async (_, change, param) => {
    const call = client.completions.create({ model, prompt: 'a', ...change } as OpenAI.CompletionCreateParams);
    expect(await refusal(call)).toMatchObject({ status: 400, param });
  });
});

/** A text that begins with this one. */
function exactly(text: string): RegExp {
  return new RegExp(`^${text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`);
}

describe('a trained model', () => {
  const ended = async (id: string): Promise<OpenAI.FineTuning.FineTuningJob> => {
    for (;;) {
      const job = await client.fineTuning.jobs.retrieve(id);
      if (job.finished_at !== null) return job;
      await sleep(50);
    }
  };
  const question = [{ role: 'user' as const, content: 'Name a digit.' }];
  let tuned: string;
  let checkpoints: string[];

  beforeAll(async () => {
    const rows = Array.from({ length: 12 }, () => ({ messages: [...question, { role: 'assistant', content: '7' }] }));
    const lines = Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const file = await client.files.create({ file: await toFile(lines, 'sevens.jsonl'), purpose: 'fine-tune' });
    const { id } = await client.fineTuning.jobs.create({
      model,
      training_file: file.id,
      validation_file: file.id,
      method: {
        type: 'supervised',
        supervised: {
          hyperparameters: { n_epochs: 8, learning_rate_multiplier: 30, eval_interval: 8 },
        },
      } as object as OpenAI.FineTuning.JobCreateParams.Method,
    });
    const job = await ended(id);
    expect(job.status).toBe('succeeded');
    tuned = job.fine_tuned_model!;
    checkpoints = (await client.fineTuning.jobs.checkpoints.list(id)).data
      .map((one) => one.fine_tuned_model_checkpoint)
      .reverse();
    expect(checkpoints.length).toBeGreaterThan(1);
  });

  const answer = (name: string, by = client) =>
    by.chat.completions.create({
      model: name,
      messages: question,
      seed: 1,
      temperature: 0,
      max_tokens: 4,
      logprobs: true,
    });

  it('answers by its name and by those of its checkpoints', async () => {
    const untrained = await answer(model);
    const final = await answer(tuned);
    expect(textsOf(final)).toEqual(['7']);
    expect(textsOf(untrained)).not.toEqual(['7']);
    expect(final).toMatchObject({ model: tuned });
    const last = await answer(checkpoints.at(-1)!);
    // A fine-tuned model is its last checkpoint.
    expect(last.system_fingerprint).toBe(final.system_fingerprint);
    expect(last.choices).toEqual(final.choices);
    const first = await answer(checkpoints[0]!);
    expect(new Set([untrained, first, final].map((one) => one.system_fingerprint)).size).toBe(3);
    const score = async (name: string): Promise<number> => {
      const scored = await client.completions.create({
        model: name,
        prompt: '<|user|>7',
        echo: true,
        logprobs: 0,
        max_tokens: 0,
      });
      return scored.choices[0]!.logprobs!.token_logprobs!.slice(1).reduce((sum, value) => sum + value, 0);
    };
    const scores = [await score(model), await score(checkpoints[0]!), await score(tuned)];
    expect(new Set(scores).size).toBe(3);
  });

  it('is nobody else’s until they may use its checkpoint, and is gone when it is deleted', async () => {
    const organizationId = (await db.project.findFirstOrThrow()).organizationId;
    const project = await createProject(db, organizationId, 'neighbours', 'cli');
    const { key } = await createApiKey(db, { projectId: project.id, name: 'neighbour', scope: 'read' }, 'cli');
    const neighbour = new OpenAI({ baseURL: stack.baseURL, apiKey: key, maxRetries: 0 });
    const checkpoint = checkpoints[0]!;
    const expected = textsOf(await answer(checkpoint));
    // A key that may only read samples from what its project has.
    expect((await answer(model, neighbour)).choices).toHaveLength(1);
    for (const name of [tuned, ...checkpoints]) {
      expect(await refusal(answer(name, neighbour))).toMatchObject({ status: 404, code: 'model_not_found' });
    }
    const admin = new OpenAI({ baseURL: stack.baseURL, apiKey: KEY, adminAPIKey: KEY, maxRetries: 0 });
    const permissions = admin.fineTuning.checkpoints.permissions;
    const granted: string[] = [];
    for await (const { id } of permissions.create(checkpoint, { project_ids: [project.id] })) granted.push(id);
    expect(textsOf(await answer(checkpoint, neighbour))).toEqual(expected);
    // Graders ask as the project that they belong to.
    const writing = await createApiKey(db, { projectId: project.id, name: 'grader', scope: 'write' }, 'cli');
    const grader = new OpenAI({ baseURL: stack.baseURL, apiKey: writing.key, maxRetries: 0 });
    const notAsked = async (judge: string, by: OpenAI): Promise<unknown> =>
      (await judged(judge, by)).metadata.errors.model_grader_server_error_details;
    expect(await notAsked(checkpoint, grader)).toBeNull();
    expect(await notAsked(tuned, client)).toBeNull();
    expect(await notAsked(tuned, grader)).toContain('model_not_found');
    for (const name of [tuned, checkpoints.at(-1)!]) {
      expect(await refusal(answer(name, neighbour))).toMatchObject({ status: 404, code: 'model_not_found' });
    }
    await permissions.delete(granted[0]!, { fine_tuned_model_checkpoint: checkpoint });
    expect(await refusal(answer(checkpoint, neighbour))).toMatchObject({ status: 404, code: 'model_not_found' });

    await client.models.delete(checkpoint);
    expect(await refusal(answer(checkpoint))).toMatchObject({ status: 404, code: 'model_not_found' });
    expect(textsOf(await answer(tuned))).toEqual(['7']);
  });
});
