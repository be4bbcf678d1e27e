import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { GenerateEvent } from '@polymode/contracts';
import { afterEach, describe, expect, it } from 'vitest';
import { EventStream } from './event-stream.js';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

/** A stream and what reads it, over a real connection. */
async function connected(): Promise<{ stream: EventStream; response: IncomingMessage }> {
  let opened!: (stream: EventStream) => void;
  const stream = new Promise<EventStream>((resolve) => {
    opened = resolve;
  });
  server = createServer((_, response) => {
    const made = new EventStream(response);
    made.send({ type: 'prompt', tokens: 1, text: null, logprobs: null });
    opened(made);
  });
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const response = await new Promise<IncomingMessage>((resolve) => get({ port, host: '127.0.0.1' }, resolve));
  return { stream: await stream, response };
}

async function read(response: IncomingMessage): Promise<GenerateEvent[]> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as GenerateEvent);
}

describe('events for a reader that is slow', () => {
  it('become fewer and lose nothing, each completion’s in their order', async () => {
    const { stream, response } = await connected();
    const sent = ['', ''];
    const word = 'x'.repeat(1000);
    for (let i = 0; i < 20_000; i++) {
      const index = i % 2;
      const text = `${i}${word}`;
      sent[index] += text;
      stream.send({
        type: 'delta',
        index,
        text,
        logprobs: i === 500 ? [{ token: 'a', bytes: [97], logprob: -1, top: [] }] : [],
      });
    }
    for (const index of [0, 1]) stream.send({ type: 'finish', index, reason: 'stop', toolCalls: [], tokens: 10_000 });
    stream.send({ type: 'end' });
    const ended = stream.end();
    const events = await read(response);
    await ended;
    expect(events.length).toBeLessThan(10_000);
    for (const index of [0, 1]) {
      const own = events.filter((e) => 'index' in e && e.index === index);
      expect(own.at(-1)!.type).toBe('finish');
      const told = own.flatMap((e) => (e.type === 'delta' ? [e.text] : [])).join('');
      expect(told === sent[index]).toBe(true);
    }
    expect(events.flatMap((e) => (e.type === 'delta' ? (e.logprobs ?? []) : []))).toHaveLength(1);
    expect(events.at(-1)).toEqual({ type: 'end' });
  });

  it('are let go when the reader leaves', async () => {
    const { stream, response } = await connected();
    for (let i = 0; i < 2000; i++) stream.send({ type: 'delta', index: 0, text: 'x'.repeat(10_000), logprobs: null });
    const ended = stream.end();
    response.destroy();
    await ended;
    stream.send({ type: 'end' });
  });
});
