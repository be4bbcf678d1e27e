import type { Caller } from '@polymode/db';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { duration } from './duration.js';
import { ApiError } from './errors.js';

/** Seconds that a limit counts over. */
const WINDOW = 60;

export interface RateLimitOptions {
  /** Of each key that has no number of its own; 0 for no limit. */
  requestsPerMinute: number;
}

/**
 * Counts the requests of each key in windows of a minute, and tells how they stand in the headers that OpenAI sends. Each
 * API process counts for itself.
 */
export const rateLimit = fp(async (app: FastifyInstance, options: RateLimitOptions) => {
  const limiters = new Map<number, RateLimiterAbstract>();
  const limiterOf = (points: number): RateLimiterAbstract => {
    let limiter = limiters.get(points);
    if (!limiter) {
      limiter = new RateLimiterMemory({ points, duration: WINDOW });
      limiters.set(points, limiter);
    }
    return limiter;
  };
  app.addHook('onRequest', async (request, reply) => {
    const limit = limitOf(request.caller, options);
    if (limit === 0) return;
    const standing = await consume(limiterOf(limit), request.caller.keyId);
    const left = Math.max(0, standing.remainingPoints);
    const seconds = standing.msBeforeNext / 1000;
    reply.headers({
      'x-ratelimit-limit-requests': limit,
      'x-ratelimit-remaining-requests': left,
      'x-ratelimit-reset-requests': duration(seconds),
    });
    if (standing.consumedPoints <= limit) return;
    throw new ApiError(429, {
      message: `Rate limit reached: this key may make ${limit} requests a minute. Please try again in ${duration(seconds)}.`,
      code: 'rate_limit_exceeded',
      headers: { 'retry-after': String(Math.max(1, Math.ceil(seconds))) },
    });
  });
});

function limitOf({ requestsPerMinute }: Caller, options: RateLimitOptions): number {
  return requestsPerMinute ?? options.requestsPerMinute;
}

/** How the key stands after this request, also where it was one too many. */
async function consume(limiter: RateLimiterAbstract, key: string): Promise<RateLimiterRes> {
  try {
    return await limiter.consume(key);
  } catch (refused) {
    if (refused instanceof RateLimiterRes) return refused;
    throw refused;
  }
}
