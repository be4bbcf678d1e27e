import { type Database, verifyApiKey } from '@polymode/db';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { ApiError } from './errors.js';

/** Lets a request through that carries `Authorization: Bearer <key>` with a key that is known and not revoked. */
export const bearerAuth = fp(async (app: FastifyInstance, { db }: { db: Database }) => {
  app.addHook('onRequest', async (request) => {
    const key = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];
    if (!key) {
      throw unauthorized("You didn't provide an API key. Send it as a header: 'Authorization: Bearer YOUR_KEY'.");
    }
    if (!(await verifyApiKey(db, key))) {
      throw unauthorized('Incorrect API key provided. Use a key of this service, such as the one in POLYMODE_API_KEY.');
    }
  });
});

function unauthorized(message: string): ApiError {
  return new ApiError(401, { message, code: 'invalid_api_key', headers: { 'www-authenticate': 'Bearer' } });
}
