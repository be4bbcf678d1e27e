import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type GenerateEvent, type GenerateFailure, GenerateRequest } from '@polymode/contracts';
import type { Database } from '@polymode/db';

/** Speaks for a worker. */
export interface WorkerAnswer {
  /** One line. Resolves when the connection takes more. */
  event(event: GenerateEvent): Promise<void>;
  /** Any bytes. */
  raw(bytes: string | Uint8Array): void;
  refuse(status: number, failure: GenerateFailure): void;
  end(): void;
  /** Cuts the connection. */
  cut(): void;
  /** When the connection was closed by whoever asked. */
  readonly closed: Promise<void>;
}

export interface ProtocolWorker {
  readonly id: string;
  /** What it was asked, in order. */
  readonly requests: GenerateRequest[];
  stop(): Promise<void>;
}

type Delta = Extract<GenerateEvent, { type: 'delta' }>;

type Script = (answer: WorkerAnswer, request: GenerateRequest) => Promise<void> | void;

/**
 * NOT a worker: a server that speaks the protocol of one and says what a test tells it to. It is here for what a real worker
 * does not do when asked: fail, be cut off, be full, call tools with a model that knows none. What models answer is tested with
 * a real worker in completions.test.ts.
 */
export async function startProtocolWorker(
  db: Database,
  script: Script,
  { models = [], heartbeatAt = new Date() }: { models?: string[]; heartbeatAt?: Date } = {},
): Promise<ProtocolWorker> {
  const requests: GenerateRequest[] = [];
  const id = `protocol-worker-${Math.random().toString(36).slice(2)}`;
  const token = `token-of-${id}`;
  const server = createServer((incoming, response) => {
    void (async () => {
      if (incoming.headers.authorization !== `Bearer ${token}` || incoming.url !== '/generate') {
        response.writeHead(401).end();
        return;
      }
      let body = '';
      for await (const piece of incoming.setEncoding('utf8')) body += piece;
      const request = GenerateRequest.parse(JSON.parse(body));
      requests.push(request);
      await script(answerWith(response), request);
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await db.inferenceWorker.create({ data: { id, url: `http://127.0.0.1:${port}`, token, models, heartbeatAt } });
  return {
    id,
    requests,
    stop: async () => {
      await db.inferenceWorker.deleteMany({ where: { id } });
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function answerWith(response: ServerResponse): WorkerAnswer {
  const closed = new Promise<void>((resolve) => response.once('close', resolve));
  return {
    event: async (event) => {
      const more = response.write(`${JSON.stringify(event)}\n`);
      if (!more) await Promise.race([closed, new Promise((resolve) => response.once('drain', resolve))]);
    },
    raw: (bytes) => void response.write(bytes),
    refuse: (status, failure) => void response.writeHead(status).end(JSON.stringify(failure)),
    end: () => void response.end(),
    cut: () => void response.destroy(),
    closed,
  };
}

export const promptRead: GenerateEvent = { type: 'prompt', tokens: 3, text: null, logprobs: null };

export const text = (text: string, index = 0): Delta => ({ type: 'delta', index, text, logprobs: null });

export const finished = (change: Partial<Extract<GenerateEvent, { type: 'finish' }>> = {}): GenerateEvent => ({
  type: 'finish',
  index: 0,
  reason: 'stop',
  toolCalls: [],
  tokens: 2,
  ...change,
});

/** A whole answer: each completion says these. */
export const says =
  (...texts: string[]): Script =>
  async (answer, { n, logprobs, echo }) => {
    const token = { token: 'a', bytes: [97], logprob: -1 };
    const told = logprobs === null ? null : [{ ...token, top: Array(logprobs).fill(token) }];
    await answer.event(echo ? { ...promptRead, text: 'a', logprobs: told } : promptRead);
    for (let index = 0; index < n; index++) {
      for (const one of texts) await answer.event({ ...text(one, index), logprobs: told });
      await answer.event(finished({ index }));
    }
    await answer.event({ type: 'end' });
    answer.end();
  };
