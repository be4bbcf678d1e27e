import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { badRequest } from './errors.js';
import { type IdPrefix, idOf, newId } from './ids.js';

/** The id of what a request is to create. */
export interface CreationId {
  readonly id: string;
  /** sha256 of what was asked, where the client gave the request an `Idempotency-Key`. */
  readonly requestHash: string | null;
}

/**
 * Requests of one project with one key get one id, so that asking again, after however many crashes in between, finds what
 * the first one made.
 *
 * @param asked what the request is about; the same key for something else is refused by {@link requireSameRequest}
 */
export function creationId(request: FastifyRequest, prefix: IdPrefix, asked: unknown): CreationId {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return { id: newId(prefix), requestHash: null };
  if (typeof key !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(key)) {
    const message = "Invalid 'Idempotency-Key': send 1 to 255 printable characters without blanks, such as a UUID.";
    throw badRequest(message, 'Idempotency-Key', 'invalid_idempotency_key');
  }
  return { id: idOf(prefix, `${request.caller.projectId}\n${key}`), requestHash: sha256(JSON.stringify(asked)) };
}

/** @throws ApiError 400 when the key was used for another request before */
export function requireSameRequest(before: string | null, now: string | null): void {
  if (before === now) return;
  const message =
    "This 'Idempotency-Key' was used for another request before. Use a new key for a new request, and the same only to send one again.";
  throw badRequest(message, 'Idempotency-Key', 'idempotency_key_reused');
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
