import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GenerateEvent, GenerateRequest } from '@polymode/contracts';
import { findBaseModel } from '@polymode/policy/registry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chat, openPlace, type Place, type Server, TINY } from './place.js';

let place: Place;
let server: Server;

/** The shipped model with a template that tells it of tools, as Qwen's does. */
const TEMPLATE =
  "{% if tools %}<|user|>Tools:{% for tool in tools %} {{ tool.function.name }}{% endfor %} in <tool_call>.{% endif %}{% for message in messages %}<|{{ 'assistant' if message.role == 'assistant' else 'user' }}|>{{ message.content }}{% for call in message.tool_calls or [] %}<tool_call>{{ call.function.arguments | tojson }}{% endfor %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

beforeAll(async () => {
  place = await openPlace();
  const dir = join(place.dir, 'models', 'with-tools');
  await mkdir(join(place.dir, 'models'), { recursive: true });
  await cp(findBaseModel(TINY)!.path, dir, { recursive: true });
  const config = JSON.parse(await readFile(join(dir, 'tokenizer_config.json'), 'utf8'));
  await writeFile(join(dir, 'tokenizer_config.json'), JSON.stringify({ ...config, chat_template: TEMPLATE }));
  server = await place.serve();
});
afterAll(async () => {
  await place?.close();
});

const finishes = (events: readonly GenerateEvent[]) => events.filter((e) => e.type === 'finish');

describe('an answer that must be JSON', () => {
  it('is an object, drawn hot, each of eight times', async () => {
    const { texts, events } = await server.generate({
      input: chat('Anything.'),
      format: { type: 'json_object' },
      n: 8,
      temperature: 1.5,
      maxTokens: 120,
    });
    for (const text of texts) expect(JSON.parse(text)).toBeTypeOf('object');
    expect(finishes(events).map((f) => f.reason)).toEqual(Array(8).fill('stop'));
    expect(new Set(texts).size).toBeGreaterThan(1);
  });

  it('is what its schema wants, while others are unbound, and the same as alone', async () => {
    const schema = {
      type: 'object',
      properties: { size: { enum: ['small', 'large'] }, count: { type: 'integer', minimum: 3, maximum: 7 } },
      required: ['size', 'count'],
      additionalProperties: false,
    };
    const request = { input: chat('How many?'), format: { type: 'json_schema', schema } as const, n: 4, maxTokens: 60 };
    const [bound, free] = await Promise.all([server.generate(request), server.generate({ input: chat('How many?') })]);
    for (const text of bound.texts) {
      const { size, count, ...rest } = JSON.parse(text);
      expect(['small', 'large']).toContain(size);
      expect(Number.isInteger(count) && count >= 3 && count <= 7).toBe(true);
      expect(rest).toEqual({});
    }
    expect((await server.generate(request)).texts).toEqual(bound.texts);
    expect((await server.generate({ input: chat('How many?') })).texts).toEqual(free.texts);
  });

  it('has log-probabilities of what the model would say unbound', async () => {
    const { events, texts } = await server.generate({
      input: chat('How many?'),
      format: { type: 'json_schema', schema: { enum: ['ab'] } },
      temperature: 0,
      logprobs: 2,
    });
    expect(texts[0]!.trim()).toBe('"ab"');
    const told = events.flatMap((e) => (e.type === 'delta' ? (e.logprobs ?? []) : []));
    expect(told.map((t) => t.token).join('')).toBe(texts[0]);
    // Nothing of this is what the model would begin with.
    expect(told[0]!.logprob!).toBeLessThan(told[0]!.top[0]!.logprob!);
  });

  it('is refused where its schema cannot be followed, naming the place', async () => {
    const schema = { type: 'object', properties: { a: { type: 'strange' } } };
    await expect(server.generate({ input: chat('x'), format: { type: 'json_schema', schema } })).rejects.toMatchObject({
      status: 400,
      failure: { param: 'response_format' },
      message: expect.stringContaining('/properties/a'),
    });
  });
});

describe('tools', () => {
  const weather = {
    type: 'function' as const,
    function: {
      name: 'weather',
      parameters: { type: 'object', properties: { city: { enum: ['Oslo', 'Rome'] } }, required: ['city'] },
    },
  };
  const clock = { type: 'function' as const, function: { name: 'clock' } };
  const asked = (
    toolChoice: 'none' | 'auto' | 'required' | { name: string },
    parallelToolCalls = true,
  ): GenerateRequest['input'] => ({
    type: 'chat',
    messages: [{ role: 'user', content: 'The weather?' }],
    tools: [weather, clock],
    toolChoice,
    parallelToolCalls,
  });

  it('are called where they must be, with arguments that fit', async () => {
    const { events, texts } = await server.generate({ input: asked({ name: 'weather' }), n: 4, maxTokens: 200 });
    expect(texts).toEqual(['', '', '', '']);
    for (const { reason, toolCalls } of finishes(events)) {
      expect(reason).toBe('tool_calls');
      expect(toolCalls).toHaveLength(1);
      expect(toolCalls[0]!.name).toBe('weather');
      expect(['Oslo', 'Rome']).toContain(JSON.parse(toolCalls[0]!.arguments).city);
    }
    const any = await server.generate({ input: asked('required', false), n: 3, maxTokens: 200, logprobs: 0 });
    for (const { reason, toolCalls } of finishes(any.events)) {
      expect(reason).toBe('tool_calls');
      expect(toolCalls).toHaveLength(1);
      expect(['weather', 'clock']).toContain(toolCalls[0]!.name);
    }
    expect(any.events.some((e) => e.type === 'delta')).toBe(false);
  });

  it('are told to models in their template’s way, or else in text, and not where none may be called', async () => {
    const ask = async (model: string, toolChoice: 'none' | 'auto') => {
      const request = { model, baseModel: model, maxTokens: 0, echo: true, input: asked(toolChoice) };
      const [prompt] = (await server.generate(request)).events;
      return prompt?.type === 'prompt' ? prompt.text : null;
    };
    expect(await ask('with-tools', 'auto')).toBe('Tools: weather clock in <tool_call>.The weather?');
    expect(await ask(TINY, 'auto')).toMatch(/<tools>\n\{.*"weather".*\}\n\{.*"clock".*\}\n<\/tools>.*The weather\?$/s);
    for (const model of ['with-tools', TINY]) expect(await ask(model, 'none')).toBe('The weather?');
  });

  it('and what they were called with are in the conversation as templates read it', async () => {
    const said = {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } }],
    };
    const prompt = async (messages: object[]) => {
      const input = { ...(asked('none') as object), messages } as GenerateRequest['input'];
      const model = { model: 'with-tools', baseModel: 'with-tools' };
      const { events } = await server.generate({ ...model, input, maxTokens: 0, echo: true });
      const [prompt] = events;
      return prompt?.type === 'prompt' ? prompt.text : null;
    };
    expect(await prompt([{ role: 'user', content: 'a' }, said])).toMatch(/a<tool_call>\{\s*"city":\s*"Oslo"\s*\}$/);
  });

  it.each([
    ['a function that is not there', asked({ name: 'none' }), {}, 'tool_choice'],
    ['a call where there is no tool', { ...asked('required'), tools: [] }, {}, 'tool_choice'],
  ] as const)('are refused: %s', async (_, input, more, param) => {
    await expect(server.generate({ input, ...more } as never)).rejects.toMatchObject({
      status: 400,
      failure: { param },
    });
  });

  it('that may be called leave the format to the answer: calls that fit or JSON that fits, drawn hot', async () => {
    const schema = { type: 'object', properties: { size: { enum: ['small', 'large'] } }, required: ['size'] };
    const strict = { ...weather, function: { ...weather.function, strict: true } };
    const input = { ...asked('auto'), tools: [strict, clock] } as GenerateRequest['input'];
    const seen = { calls: 0, answers: 0 };
    for (let seed = 0; seed < 4; seed++) {
      const format = { type: 'json_schema', schema } as const;
      const { events, texts } = await server.generate({ input, format, n: 8, temperature: 2, maxTokens: 120, seed });
      for (const { index, reason, toolCalls } of finishes(events)) {
        if (reason === 'stop') {
          seen.answers++;
          expect(['small', 'large']).toContain(JSON.parse(texts[index]!).size);
          expect(toolCalls).toEqual([]);
          continue;
        }
        seen.calls++;
        expect([reason, texts[index]]).toEqual(['tool_calls', '']);
        for (const { name, arguments: given } of toolCalls) {
          expect(['weather', 'clock']).toContain(name);
          expect(JSON.parse(given)).toBeTypeOf('object');
          if (name === 'weather') expect(['Oslo', 'Rome']).toContain(JSON.parse(given).city);
        }
      }
    }
    expect(Math.min(seen.calls, seen.answers)).toBeGreaterThan(0);
  });

  it('that may be called and cannot be followed are told from a format that cannot be', async () => {
    const bad = { type: 'object', properties: { a: { type: 'strange' } } };
    const strict = { type: 'function' as const, function: { name: 'bad', parameters: bad, strict: true } };
    const refused = (tools: object[], schema: Record<string, unknown>) =>
      expect(
        server.generate({
          input: { ...asked('auto'), tools } as GenerateRequest['input'],
          format: { type: 'json_schema', schema },
        }),
      ).rejects;
    await refused([strict], { type: 'object' }).toMatchObject({ status: 400, failure: { param: 'tools' } });
    await refused([weather], bad).toMatchObject({ status: 400, failure: { param: 'response_format' } });
  });
});
