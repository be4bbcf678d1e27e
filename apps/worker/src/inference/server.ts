import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type GenerateFailure, GenerateRequest, InspectRequest, type InspectResponse } from '@polymode/contracts';
import type { InferenceMetrics, Logger } from '@polymode/telemetry';
import type { z } from 'zod';
import { EventStream } from './event-stream.js';
import { generate } from './generate.js';
import { InferenceError } from './inference-error.js';
import type { ModelPool } from './model-pool.js';

export interface InferenceServerOptions {
  readonly host: string;
  /** 0 for a free one */
  readonly port: number;
  /** what `/generate` asks for */
  readonly token: string;
  /** what lets callers from elsewhere read `/metrics`, beside that; callers on this machine need none */
  readonly metricsToken: string | undefined;
  readonly pool: ModelPool;
  /** what a job would come to; @throws InferenceError */
  inspect(request: InspectRequest, signal: AbortSignal): Promise<InspectResponse>;
  readonly metrics: InferenceMetrics;
  readonly logger: Logger;
}

export interface InferenceServer {
  readonly port: number;
  /** Takes no more requests. Those that run have a while to end; then their connections are cut. */
  close(): Promise<void>;
}

const DRAIN_MS = 10_000;
/** Bytes of a request at most. */
const MOST_BYTES = 16 * 2 ** 20;

/** `POST /generate`, `POST /inspect`, `GET /healthz`, `GET /metrics`. @throws Error when the address cannot be had */
export async function startInferenceServer(options: InferenceServerOptions): Promise<InferenceServer> {
  const server = createServer((request, response) => void handle(options, request, response));
  await listen(server, options.port, options.host);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        const cut = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
        server.close(() => {
          clearTimeout(cut);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function handle(
  options: InferenceServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const stream = new EventStream(response);
  try {
    const route = `${request.method} ${new URL(request.url ?? '/', 'http://worker').pathname}`;
    if (route === 'POST /generate') await serveGenerate(options, request, response, stream);
    else if (route === 'POST /inspect') await serveInspect(options, request, response);
    else if (route === 'GET /healthz') respond(response, 200, health(options, request));
    else if (route === 'GET /metrics') await serveMetrics(options, request, response);
    else throw new InferenceError(404, `there is no ${route} here`);
  } catch (error) {
    if (error instanceof InferenceError) {
      const { status, message, param, code } = error;
      if (!stream.begun) respond(response, status, { message, param, code } satisfies GenerateFailure);
      else stream.send({ type: 'error', message });
    } else {
      options.logger.error({ err: error, requestId: request.headers['x-request-id'] }, 'inference failed');
      const message = `the worker failed: ${error instanceof Error ? error.message : String(error)}`;
      if (!stream.begun) respond(response, 500, { message, param: null, code: null } satisfies GenerateFailure);
      else stream.send({ type: 'error', message });
    }
  }
  if (stream.begun) await stream.end();
}

async function serveGenerate(
  options: InferenceServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
  stream: EventStream,
): Promise<void> {
  if (!shows(request, options.token)) throw new InferenceError(401, 'the bearer token is not the one of this worker');
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const asked = await readRequest(request, GenerateRequest);
  const began = performance.now();
  await generate(options, asked, (event) => stream.send(event), gone.signal);
  options.logger.debug(
    {
      requestId: request.headers['x-request-id'],
      model: asked.model,
      seconds: (performance.now() - began) / 1000,
      cancelled: gone.signal.aborted,
    },
    'request served',
  );
}

/** That it is there; to those who show the token, what it has loaded. */
function health({ pool, token }: InferenceServerOptions, request: IncomingMessage): object {
  return { status: 'ok', ...(shows(request, token) ? { models: pool.loaded } : {}) };
}

async function serveInspect(
  options: InferenceServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (!shows(request, options.token)) throw new InferenceError(401, 'the bearer token is not the one of this worker');
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const asked = await readRequest(request, InspectRequest);
  try {
    respond(response, 200, await options.inspect(asked, gone.signal));
  } catch (error) {
    // Nobody waits for the answer any more.
    if (!gone.signal.aborted) throw error;
  }
}

async function serveMetrics(
  { metrics, metricsToken, token }: InferenceServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const allowed =
    isLoopback(request.socket.remoteAddress) ||
    shows(request, token) ||
    (metricsToken !== undefined && shows(request, metricsToken));
  if (!allowed) throw new InferenceError(401, 'metrics need the bearer token that POLYMODE_METRICS_TOKEN sets');
  response.writeHead(200, { 'content-type': metrics.contentType });
  response.end(await metrics.text());
}

/** @throws InferenceError for what is no request */
async function readRequest<Schema extends z.ZodType>(
  request: IncomingMessage,
  schema: Schema,
): Promise<z.output<Schema>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) throw new InferenceError(413, `a request may have ${MOST_BYTES} bytes at most`);
    chunks.push(chunk);
  }
  let json: unknown;
  try {
    json = JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw new InferenceError(400, 'the request is no JSON');
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new InferenceError(400, `the request's ${issue?.path.join('.')}: ${issue?.message}`);
}

function respond(response: ServerResponse, status: number, body: object): void {
  if (response.destroyed) return;
  response.writeHead(status, {
    'content-type': 'application/json',
    // The rest of a request that is too large is not read.
    ...(status === 413 ? { connection: 'close' } : {}),
  });
  response.end(JSON.stringify(body));
}

/** Compared in a time that does not depend on what was sent. */
function shows(request: IncomingMessage, token: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(request.headers.authorization ?? ''), digest(`Bearer ${token}`));
}

function isLoopback(address: string | undefined): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address ?? '');
}
