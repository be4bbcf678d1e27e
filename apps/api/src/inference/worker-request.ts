import { type ClientRequest, type IncomingMessage, request as overHttp } from 'node:http';
import { request as overHttps } from 'node:https';
import { GenerateEvent, GenerateFailure, type GenerateRequest } from '@polymode/contracts';
import type { InferenceWorkerRecord } from '@polymode/db';

/** Milliseconds until a machine that answers nothing counts as gone. An answer may take as long as it takes. */
const CONNECT_MS = 5000;
/** Bytes of a refusal that are read. */
const MOST_REFUSAL_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/** A worker could not be reached, or its answer broke off. */
export class WorkerLostError extends Error {
  override readonly name = 'WorkerLostError';
}

/** A worker refused a request. */
export class WorkerRefusalError extends Error {
  override readonly name = 'WorkerRefusalError';

  constructor(
    readonly status: number,
    readonly failure: GenerateFailure,
  ) {
    super(failure.message);
  }
}

/** A worker failed after it had begun to answer. */
export class WorkerFaultError extends Error {
  override readonly name = 'WorkerFaultError';
}

/** What a worker tells of a request that it serves. */
export type Generated = Extract<GenerateEvent, { type: 'prompt' | 'delta' | 'finish' }>;

export interface AskOptions {
  /** Cancels the request at the worker. */
  readonly signal: AbortSignal;
  /** For the worker's log. */
  readonly requestId: string;
}

/**
 * Has a worker serve a request. Whoever reads slowly is sent no more than connections hold; who stops reading cancels.
 *
 * @throws WorkerLostError, WorkerRefusalError, WorkerFaultError
 */
export async function* askWorker(
  worker: InferenceWorkerRecord,
  request: GenerateRequest,
  options: AskOptions,
): AsyncGenerator<Generated> {
  const outgoing = send(worker, request, options);
  try {
    const answer = await answerTo(outgoing);
    if (answer.statusCode !== 200) throw await refusal(answer);
    for await (const line of lines(answer)) {
      const event = GenerateEvent.safeParse(parse(line));
      if (!event.success) throw new WorkerFaultError(`worker ${worker.id} sent no event: ${line.slice(0, 200)}`);
      if (event.data.type === 'end') return;
      if (event.data.type === 'error') throw new WorkerFaultError(event.data.message);
      yield event.data;
    }
    throw new WorkerLostError(`the answer of worker ${worker.id} broke off`);
  } catch (error) {
    if (error instanceof WorkerRefusalError || error instanceof WorkerFaultError) throw error;
    if (error instanceof WorkerLostError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new WorkerLostError(`worker ${worker.id} is lost: ${reason}`, { cause: error });
  } finally {
    outgoing.destroy();
  }
}

/** A connection of its own: one that was kept could be closed by the worker just now, and closing this one cancels. */
function send({ url, token }: InferenceWorkerRecord, request: GenerateRequest, options: AskOptions): ClientRequest {
  const target = new URL(`${url.replace(/\/+$/, '')}/generate`);
  const body = Buffer.from(JSON.stringify(request));
  const outgoing = (target.protocol === 'https:' ? overHttps : overHttp)(target, {
    method: 'POST',
    agent: false,
    signal: options.signal,
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'content-length': body.length,
      'x-request-id': options.requestId,
    },
  });
  outgoing.once('socket', (socket) => {
    const slow = setTimeout(() => outgoing.destroy(new Error(`no connection within ${CONNECT_MS} ms`)), CONNECT_MS);
    for (const event of ['connect', 'close']) socket.once(event, () => clearTimeout(slow));
  });
  outgoing.end(body);
  return outgoing;
}

async function answerTo(outgoing: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.once('response', resolve);
    // Stays: a request that is destroyed later may report that as well.
    outgoing.on('error', reject);
  });
}

async function refusal(answer: IncomingMessage): Promise<WorkerRefusalError> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of answer as AsyncIterable<Buffer>) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes > MOST_REFUSAL_BYTES) break;
  }
  const status = answer.statusCode ?? 500;
  const failure = GenerateFailure.safeParse(parse(Buffer.concat(pieces).toString('utf8')));
  if (failure.success) return new WorkerRefusalError(status, failure.data);
  return new WorkerRefusalError(500, { message: `a worker answered with status ${status}`, param: null, code: null });
}

async function* lines(answer: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let pending: Buffer[] = [];
  for await (const piece of answer) {
    let from = 0;
    for (let end = piece.indexOf(NEWLINE); end >= 0; end = piece.indexOf(NEWLINE, from)) {
      pending.push(piece.subarray(from, end));
      yield Buffer.concat(pending).toString('utf8');
      pending = [];
      from = end + 1;
    }
    if (from < piece.length) pending.push(piece.subarray(from));
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
