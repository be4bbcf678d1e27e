import { Readable } from 'node:stream';
import type { ByteRange, Storage } from '@polymode/storage';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from './errors.js';

export interface SendableObject {
  storageKey: string;
  bytes: number;
  /** Hexadecimal; becomes the entity tag. */
  sha256: string;
  filename: string;
  contentType: string;
}

/** Bytes that are the same whenever they are asked for. */
export interface SendableBytes extends Omit<SendableObject, 'storageKey'> {
  /** @param range both ends included; left out: all */
  open(range?: ByteRange): Promise<Readable>;
}

/** Streams a stored object, as {@link sendBytes} does. */
export function sendObject(
  storage: Storage,
  object: SendableObject,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  return sendBytes({ ...object, open: (range) => storage.get(object.storageKey, range) }, request, reply);
}

/**
 * Streams bytes with their length and their digest as entity tag. Understands `If-None-Match` and a single byte `Range`, so
 * that a broken download can go on; HEAD sends the headers alone.
 */
export async function sendBytes(
  object: SendableBytes,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const etag = `"${object.sha256}"`;
  reply.headers({ etag, 'accept-ranges': 'bytes', 'content-disposition': attachment(object.filename) });
  if (request.headers['if-none-match'] === etag) return reply.code(304).send();

  reply.type(object.contentType);
  const ifRange = request.headers['if-range'];
  const range =
    ifRange === undefined || ifRange === etag ? requestedRange(request.headers.range, object.bytes) : undefined;
  if (range === null) {
    throw new ApiError(416, {
      message: `The range lies outside of the ${object.bytes} bytes.`,
      param: 'range',
      code: 'invalid_range',
      headers: { 'content-range': `bytes */${object.bytes}` },
    });
  }
  if (range) reply.code(206).header('content-range', `bytes ${range.start}-${range.end}/${object.bytes}`);
  reply.header('content-length', range ? range.end - range.start + 1 : object.bytes);
  // An empty object has no bytes to open a range on, and HEAD wants none. A stream leaves the length alone.
  if (request.method === 'HEAD' || object.bytes === 0) return reply.send(Readable.from([]));
  return reply.send(await object.open(range));
}

/** @returns undefined for the whole object, null for a range outside of it */
function requestedRange(header: string | undefined, bytes: number): { start: number; end: number } | undefined | null {
  // Several ranges, or another unit: the whole object is a right answer too.
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  const last = bytes - 1;
  if (match[1] === '') {
    const length = Number(match[2]);
    return length === 0 || bytes === 0 ? null : { start: Math.max(0, bytes - length), end: last };
  }
  const start = Number(match[1]);
  const end = match[2] === '' ? last : Math.min(Number(match[2]), last);
  if (match[2] !== '' && Number(match[2]) < start) return undefined;
  return start > last ? null : { start, end };
}

/** RFC 6266: a plain name for old clients, the real one percent-encoded. */
export function attachment(filename: string): string {
  const plain = filename.replace(/[^\x20-\x7e]|["\\%]/g, '_');
  const encoded = encodeURIComponent(filename).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`;
}
