import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { MinuteCounter } from './minute-counter.js';

export interface RateLimitOptions {
  /** Of each key that has no number of its own; 0 for no limit. */
  requestsPerMinute: number;
}

/** Counts the requests of each key by the minute, and refuses those that are too many. */
export const rateLimit = fp(async (app: FastifyInstance, { requestsPerMinute }: RateLimitOptions) => {
  const requests = new MinuteCounter('requests');
  app.addHook('onRequest', async ({ caller }, reply) => {
    const limit = caller.requestsPerMinute ?? requestsPerMinute;
    if (limit === 0) return;
    const standing = await requests.add(caller.keyId, limit, 1);
    requests.tell(reply, standing);
    if (standing.used > limit) throw requests.refusal(standing);
  });
});
