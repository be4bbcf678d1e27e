import type { GenerateEvent } from '@polymode/contracts';
import type { Completion, Policy, SamplingOptions, Tokenizer } from '@polymode/policy';
import { RunningBatch } from '@polymode/policy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chat, openPlace, type Place, referencePolicy, type Server, text } from './place.js';

let place: Place;
let server: Server;
let reference: Awaited<ReturnType<typeof referencePolicy>>;

beforeAll(async () => {
  place = await openPlace();
  server = await place.serve();
  reference = await referencePolicy(place, null);
});
afterAll(async () => {
  await reference?.close();
  await place?.close();
});

const question = 'Give one structure of 3 blocks.';

/** What the sampler by itself says. */
async function sampled(
  { policy, tokenizer }: { policy: Policy; tokenizer: Tokenizer },
  prompt: readonly number[],
  options: Partial<SamplingOptions>,
): Promise<Completion> {
  const batch = new RunningBatch(policy);
  const request = batch.add({
    prompt,
    random: 1,
    options: {
      maxTokens: 24,
      stopTokens: tokenizer.stopTokens,
      decode: (tokens) => tokenizer.decode(tokens),
      ...options,
    },
  });
  const [completion] = await request.completions;
  await batch.close();
  return completion!;
}

const finishes = (events: readonly GenerateEvent[]) => events.filter((e) => e.type === 'finish');
const logprobsOf = (events: readonly GenerateEvent[], index = 0) =>
  events.flatMap((e) => (e.type === 'delta' && e.index === index ? (e.logprobs ?? []) : []));

describe('a completion', () => {
  it('is what the policy’s own sampler says, greedy or drawn', async () => {
    const prompt = reference.tokenizer.encodeChat([{ role: 'user', content: question }]);
    for (const temperature of [0, 1]) {
      const { events, texts } = await server.generate({ input: chat(question), temperature });
      const expected = await sampled(reference, prompt, { temperature });
      expect(events[0]).toEqual({ type: 'prompt', tokens: prompt.length, text: null, logprobs: null });
      expect(texts).toEqual([expected.text]);
      expect(finishes(events)).toEqual([
        {
          type: 'finish',
          index: 0,
          reason: expected.finishReason,
          toolCalls: [],
          tokens: expected.tokens.length,
        },
      ]);
      expect(events.at(-1)).toEqual({ type: 'end' });
    }
  });

  it('has the log-probabilities at temperature 1, whatever it was drawn at, for every token but the stop token', async () => {
    const { events, texts } = await server.generate({ input: chat(question), temperature: 0.7, logprobs: 2, seed: 4 });
    const prompt = reference.tokenizer.encodeChat([{ role: 'user', content: question }]);
    const told = logprobsOf(events);
    expect(told.map((t) => t.token).join('')).toBe(texts[0]);
    expect(Buffer.from(told.flatMap((t) => t.bytes!)).toString()).toBe(texts[0]);
    const tokens = reference.tokenizer.encode(texts[0]!);
    expect(told).toHaveLength(tokens.length);
    const scores = await reference.policy.logProbabilities([{ prompt, completion: tokens }], 1);
    for (const [i, { logprob, top, token }] of told.entries()) {
      expect(Math.abs(logprob! - scores[i]!)).toBeLessThan(1e-4);
      expect(top).toHaveLength(2);
      expect(top[0]!.logprob!).toBeGreaterThanOrEqual(top[1]!.logprob!);
      const same = top.find((t) => t.token === token);
      if (same !== undefined) expect(same.logprob).toBe(logprob);
    }
  });

  it('is the same alone and among others', async () => {
    const one = { input: chat(question), seed: 77, n: 3, logprobs: 1, topP: 0.9, presencePenalty: 0.5 };
    const alone = await server.generate(one);
    const others = Array.from({ length: 6 }, (_, i) =>
      server.generate({ input: text(`Block ${i}`), seed: i, n: 2, temperature: i / 3, maxTokens: 10 + 9 * i }),
    );
    const among = await server.generate(one);
    await Promise.all(others);
    expect(among.texts).toEqual(alone.texts);
    for (const index of [0, 1, 2]) expect(logprobsOf(among.events, index)).toEqual(logprobsOf(alone.events, index));
    expect(new Set(alone.texts).size).toBeGreaterThan(1);
    expect((await server.generate({ ...one, seed: 78 })).texts).not.toEqual(alone.texts);
  });

  it('ends before a stop string, which it does not tell', async () => {
    const whole = (await server.generate({ input: chat(question), temperature: 0, maxTokens: 60 })).texts[0]!;
    const stop = whole.slice(5, 8);
    const { events, texts } = await server.generate({
      input: chat(question),
      temperature: 0,
      maxTokens: 60,
      stop: [stop],
      logprobs: 0,
    });
    expect(texts[0]).toBe(whole.slice(0, whole.indexOf(stop)));
    expect(finishes(events)).toMatchObject([{ reason: 'stop' }]);
    const told = logprobsOf(events)
      .map((t) => t.token)
      .join('');
    expect(told.startsWith(texts[0]!)).toBe(true);
    expect(told.length).toBeLessThan(texts[0]!.length + stop.length);
    expect(logprobsOf(events).every((t) => t.top.length === 0)).toBe(true);
  });

  it('keeps to biases and penalties', async () => {
    const { stopTokens } = reference.tokenizer;
    const never = stopTokens.map((token): [number, number] => [token, -100]);
    const { events } = await server.generate({ input: chat(question), logitBias: never, maxTokens: 80, n: 2 });
    expect(finishes(events)).toMatchObject([
      { reason: 'length', tokens: 80 },
      { reason: 'length', tokens: 80 },
    ]);
    const prompt = reference.tokenizer.encodeChat([{ role: 'user', content: question }]);
    const shaped = { temperature: 1.3, topP: 0.8, frequencyPenalty: 1.1, presencePenalty: -0.4 };
    const expected = await sampled(reference, prompt, shaped);
    expect((await server.generate({ input: chat(question), ...shaped })).texts).toEqual([expected.text]);
  });

  it('joins those that run already, and does not wait for their end', async () => {
    const never: [number, number][] = [[reference.tokenizer.stopTokens[0]!, -100]];
    const hangUp = new AbortController();
    const long = await server.post(
      { input: chat(question), maxTokens: null, logitBias: never },
      { signal: hangUp.signal },
    );
    const reader = long.body!.getReader();
    let said = '';
    const listening = (async () => {
      for (let part = await reader.read(); !part.done; part = await reader.read()) said += Buffer.from(part.value);
    })().catch(() => {});
    while (!said.includes('"delta"')) await new Promise((resolve) => setTimeout(resolve, 5));
    const { texts } = await server.generate({ input: text('one'), maxTokens: 4, temperature: 0 });
    expect(said).not.toContain('"finish"');
    hangUp.abort();
    await listening;
    expect((await server.generate({ input: text('one'), maxTokens: 4, temperature: 0 })).texts).toEqual(texts);
  });

  it('is counted, with the time to its first token and its tokens a second', async () => {
    const label = '{base_model="polymode-tiny"}';
    const names = ['time_to_first_token_seconds', 'tokens_per_second'].map(
      (n) => `polymode_inference_${n}_count${label}`,
    );
    const before = await server.metrics();
    await server.generate({ input: chat(question), n: 2, maxTokens: 30, logitBias: [[0, -100]] });
    const after = await server.metrics();
    for (const name of names) expect(after[name]! - (before[name] ?? 0)).toBe(2);
    const said = 'polymode_inference_tokens_total{base_model="polymode-tiny",kind="completion"}';
    expect(after[said]! - (before[said] ?? 0)).toBe(60);
    expect(after.polymode_inference_models).toBe(1);
    expect(after.polymode_inference_model_bytes).toBe(reference.bytes);
  });

  it('arrives while it is said', async () => {
    const response = await server.post({
      input: chat(question),
      maxTokens: 200,
      logitBias: [[reference.tokenizer.stopTokens[0]!, -100]],
    });
    let deltas = 0;
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      deltas += chunk.split('"delta"').length - 1;
    }
    expect(deltas).toBeGreaterThan(10);
  });
});

describe('a prompt', () => {
  it('is told back with its log-probabilities, and nothing is said where no tokens are wanted', async () => {
    const tokens = [40, 41, 300, 42, 7];
    const { events } = await server.generate({
      input: { type: 'tokens', tokens },
      echo: true,
      logprobs: 3,
      maxTokens: 0,
      n: 2,
    });
    const [prompt, ...rest] = events;
    expect(rest).toEqual([
      { type: 'finish', index: 0, reason: 'length', toolCalls: [], tokens: 0 },
      { type: 'finish', index: 1, reason: 'length', toolCalls: [], tokens: 0 },
      { type: 'end' },
    ]);
    if (prompt?.type !== 'prompt') throw new Error('no prompt came first');
    expect(prompt.tokens).toBe(5);
    expect(prompt.text).toBe(reference.tokenizer.decode(tokens));
    const scores = await reference.policy.logProbabilities(
      [{ prompt: tokens.slice(0, 1), completion: tokens.slice(1) }],
      1,
    );
    expect(prompt.logprobs![0]).toMatchObject({ logprob: null, top: [] });
    for (const [i, score] of scores.entries()) {
      expect(Math.abs(prompt.logprobs![i + 1]!.logprob! - score)).toBeLessThan(1e-4);
      expect(prompt.logprobs![i + 1]!.top).toHaveLength(3);
    }
  });

  it('of text is that text’s tokens alone, and may fill the context', async () => {
    const context = reference.policy.config.maxPositionEmbeddings;
    const tokens = Array.from({ length: context - 2 }, (_, i) => 30 + (i % 60));
    const bias: [number, number][] = [[reference.tokenizer.stopTokens[0]!, -100]];
    const input = { type: 'tokens', tokens } as const;
    const { events } = await server.generate({ input, maxTokens: null, logitBias: bias });
    expect(finishes(events)).toMatchObject([{ tokens: 2, reason: 'length' }]);
    const { events: short } = await server.generate({ input: text('one two'), maxTokens: 1 });
    expect(short[0]).toMatchObject({ tokens: reference.tokenizer.encode('one two').length });
    await expect(server.generate({ input, maxTokens: 3 })).rejects.toMatchObject({
      status: 400,
      failure: { code: 'context_length_exceeded', param: 'prompt' },
      message: expect.stringMatching(/room for 1024 tokens.*1022.*3 of the completion/s),
    });
    await expect(
      server.generate({ input: { type: 'tokens', tokens: [...tokens, 40, 41] }, maxTokens: null }),
    ).rejects.toMatchObject({ status: 400, failure: { code: 'context_length_exceeded' } });
  });
});

describe('a request that cannot be served', () => {
  it.each([
    ['an empty prompt', { input: text('') }, 400, 'prompt', /empty/],
    ['a token beyond the vocabulary', { input: { type: 'tokens', tokens: [512] } }, 400, 'prompt', /0 to 511/],
    ['a bias of no token', { input: text('a'), logitBias: [[9999, 1]] }, 400, 'logit_bias', /9999/],
    ['a temperature below 0', { input: text('a'), temperature: -1 }, 400, null, /temperature is -1/],
    ['a base model that is not there', { input: text('a'), baseModel: 'none' }, 404, 'model', /no base model 'none'/],
    ['a checkpoint that is not there', { input: text('a'), checkpointId: 'ftckpt_0' }, 404, 'model', /ftckpt_0/],
  ] as const)('%s', async (_, request, status, param, message) => {
    await expect(server.generate(request as never)).rejects.toMatchObject({
      status,
      failure: { param },
      message: expect.stringMatching(message),
    });
  });

  it('without the token, as no JSON, as no request, elsewhere', async () => {
    expect((await server.post({ input: text('a') }, { token: 'wrong' })).status).toBe(401);
    const post = (body: string) =>
      fetch(`${server.url}/generate`, { method: 'POST', headers: { authorization: `Bearer ${server.token}` }, body });
    expect((await post('{')).status).toBe(400);
    const partial = await post('{"model":"x"}');
    expect(partial.status).toBe(400);
    expect(await partial.json()).toMatchObject({ message: expect.stringMatching(/baseModel/), param: null });
    expect((await post(JSON.stringify({ text: 'x'.repeat(17 * 2 ** 20) }))).status).toBe(413);
    expect((await fetch(`${server.url}/elsewhere`)).status).toBe(404);
    expect(await (await fetch(`${server.url}/healthz`)).json()).toEqual({ status: 'ok' });
  });
});

describe('a caller that goes away', () => {
  it('frees the rows of its request', async () => {
    const before =
      (await server.metrics())['polymode_inference_requests_total{base_model="polymode-tiny",outcome="cancelled"}'] ??
      0;
    const hangUp = new AbortController();
    const response = await server.post(
      { input: chat(question), n: 8, maxTokens: null, logitBias: [[reference.tokenizer.stopTokens[0]!, -100]] },
      { signal: hangUp.signal },
    );
    const reader = response.body!.getReader();
    await reader.read();
    expect((await server.metrics())['polymode_inference_rows{state="running"}']).toBe(8);
    hangUp.abort();
    await expect(reader.read()).rejects.toThrow();
    await expect
      .poll(async () => (await server.metrics())['polymode_inference_rows{state="running"}'], { timeout: 20_000 })
      .toBe(0);
    await expect
      .poll(
        async () =>
          (await server.metrics())['polymode_inference_requests_total{base_model="polymode-tiny",outcome="cancelled"}'],
      )
      .toBe(before + 1);
    // It had room for some 990 tokens.
    expect(
      (await server.metrics())['polymode_inference_tokens_total{base_model="polymode-tiny",kind="completion"}'],
    ).toBeGreaterThan(0);
  });
});
