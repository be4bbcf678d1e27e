import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface JudgeCall {
  headers: IncomingHttpHeaders;
  path: string;
  body: {
    model: string;
    messages: { role: string; content: unknown }[];
    response_format?: { type: string; json_schema: { schema: { properties: { result: unknown } } } };
    [field: string]: unknown;
  };
}

/** Status and body of an answer; `null` leaves the client waiting. */
export type JudgeAnswer = { status?: number; headers?: Record<string, string>; body: unknown } | null;

export interface JudgeServer {
  baseUrl: string;
  calls: JudgeCall[];
  /** most calls that were under way at once */
  mostAtOnce: number;
  close(): Promise<void>;
}

/** A server of chat completions on loopback. */
export async function startJudge(answer: (call: JudgeCall, n: number) => JudgeAnswer): Promise<JudgeServer> {
  let underWay = 0;
  const server = createServer(async (request, response) => {
    judge.mostAtOnce = Math.max(judge.mostAtOnce, ++underWay);
    response.on('close', () => underWay--);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as JudgeCall['body'];
    const call = { headers: request.headers, path: request.url ?? '', body };
    judge.calls.push(call);
    const reply = answer(call, judge.calls.length);
    if (reply === null) return;
    setImmediate(() => {
      response.writeHead(reply.status ?? 200, { 'content-type': 'application/json', ...reply.headers });
      response.end(typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const judge: JudgeServer = {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    calls: [],
    mostAtOnce: 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return judge;
}

export function completion(content: string | null, change: object = {}, finish_reason = 'stop'): JudgeAnswer {
  return {
    body: {
      id: 'chatcmpl-1',
      object: 'chat.completion',
      choices: [{ index: 0, message: { role: 'assistant', content, ...change }, finish_reason }],
      usage: {
        prompt_tokens: 10,
        completion_tokens: 5,
        total_tokens: 15,
        prompt_tokens_details: { cached_tokens: 4 },
      },
    },
  };
}

export const judgement = (result: unknown): JudgeAnswer =>
  completion(JSON.stringify({ steps: [{ description: 'd', conclusion: 'c' }], result }));
