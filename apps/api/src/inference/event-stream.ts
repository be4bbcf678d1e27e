import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiError, toApiError } from '../errors.js';

/**
 * Answers with chunks as server-sent events and `[DONE]`. What fails before the first chunk is an answer of its own; later it
 * is an event with `error`, which the SDKs throw, and the last.
 *
 * @param chunks what the client is sent, as it reads
 */
export async function streamChunks(
  request: FastifyRequest,
  reply: FastifyReply,
  chunks: AsyncGenerator<object>,
): Promise<FastifyReply> {
  const first = await chunks.next();
  // Buffering proxies would hold chunks back.
  reply.headers({ 'cache-control': 'no-cache', 'x-accel-buffering': 'no' }).type('text/event-stream; charset=utf-8');
  return reply.send(Readable.from(events(first, chunks, request), { objectMode: false }));
}

async function* events(
  first: IteratorResult<object>,
  chunks: AsyncGenerator<object>,
  request: FastifyRequest,
): AsyncGenerator<string> {
  try {
    for (let next = first; !next.done; next = await chunks.next()) yield data(next.value);
    yield 'data: [DONE]\n\n';
  } catch (error) {
    const known = toApiError(error, request.id);
    if (known.status >= 500 && !(error instanceof ApiError)) request.log.error({ err: error }, 'request failed');
    yield data(known.toJSON());
  } finally {
    await chunks.return(undefined);
  }
}

function data(value: object): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}
