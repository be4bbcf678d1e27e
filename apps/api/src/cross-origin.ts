import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';

const METHODS = 'GET, HEAD, POST, DELETE, OPTIONS';
/** Headers of answers that a page's script may read: those that SDKs do, and what downloads are resumed by. */
const EXPOSED = [
  'x-request-id',
  'x-should-retry',
  'retry-after',
  'x-ratelimit-limit-requests',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-reset-requests',
  'x-ratelimit-limit-tokens',
  'x-ratelimit-remaining-tokens',
  'x-ratelimit-reset-tokens',
  'openai-organization',
  'openai-project',
  'content-disposition',
  'content-range',
  'etag',
  'x-has-more',
].join(', ');

/**
 * Lets pages of any origin call the API, as OpenAI's lets them: a request counts by the key in its header, and browsers send
 * no key by themselves. Preflights may name any header: SDKs send many of their own.
 */
export const crossOrigin = fp(async (app: FastifyInstance) => {
  app.addHook('onRequest', (request, reply, done) => {
    if (request.headers.origin === undefined) return done();
    reply.headers({ 'access-control-allow-origin': '*', 'access-control-expose-headers': EXPOSED });
    if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined) return done();
    const asked = request.headers['access-control-request-headers'];
    reply.headers({
      'access-control-allow-methods': METHODS,
      'access-control-allow-headers': typeof asked === 'string' ? asked : 'authorization, content-type',
      'access-control-max-age': '86400',
      vary: 'access-control-request-headers',
    });
    void reply.code(204).send();
  });
});
