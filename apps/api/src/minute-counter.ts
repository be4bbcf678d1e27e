import type { FastifyReply } from 'fastify';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { duration } from './duration.js';
import { ApiError } from './errors.js';

/** Seconds that a limit counts over. */
const WINDOW = 60;

/** How a key stands with what it may have of something in a minute. */
export interface Standing {
  readonly limit: number;
  /** Of the window under way. */
  readonly used: number;
  /** Until the window ends and the count begins anew. */
  readonly seconds: number;
}

/** Counts what each key uses of something in windows of a minute. Each API process counts for itself. */
export class MinuteCounter {
  private readonly limiters = new Map<number, RateLimiterMemory>();

  /** @param unit as the names of headers end */
  constructor(private readonly unit: 'requests' | 'tokens') {}

  /** Adds to what a key has used, over its limit too. */
  async add(key: string, limit: number, points: number): Promise<Standing> {
    const { consumedPoints: used, msBeforeNext } = await this.limiterOf(limit).penalty(key, points);
    return { limit, used, seconds: msBeforeNext / 1000 };
  }

  async look(key: string, limit: number): Promise<Standing> {
    const standing = await this.limiterOf(limit).get(key);
    return { limit, used: standing?.consumedPoints ?? 0, seconds: (standing?.msBeforeNext ?? 0) / 1000 };
  }

  /** Tells the client in the headers that OpenAI sends. */
  tell(reply: FastifyReply, { limit, used, seconds }: Standing): void {
    reply.headers({
      [`x-ratelimit-limit-${this.unit}`]: limit,
      [`x-ratelimit-remaining-${this.unit}`]: Math.max(0, limit - used),
      [`x-ratelimit-reset-${this.unit}`]: duration(seconds),
    });
  }

  /** For whoever is over its limit. */
  refusal({ limit, seconds }: Standing): ApiError {
    return new ApiError(429, {
      message: `Rate limit reached: this key may have ${limit} ${this.unit} a minute. Please try again in ${duration(seconds)}.`,
      type: this.unit,
      code: 'rate_limit_exceeded',
      headers: { 'retry-after': String(Math.max(1, Math.ceil(seconds))) },
    });
  }

  private limiterOf(points: number): RateLimiterMemory {
    let limiter = this.limiters.get(points);
    if (!limiter) {
      limiter = new RateLimiterMemory({ points, duration: WINDOW });
      this.limiters.set(points, limiter);
    }
    return limiter;
  }
}
