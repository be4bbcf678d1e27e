import type { Caller } from '@polymode/db';
import type { FastifyReply } from 'fastify';
import { MinuteCounter } from '../minute-counter.js';
import type { Generated } from './worker-request.js';

/**
 * Counts the tokens of each key's prompts and completions by the minute. How many a request takes shows only when it has
 * ended, so one that begins within the limit is finished, and what it takes beyond refuses those after it.
 */
export class TokenLimit {
  private readonly tokens = new MinuteCounter('tokens');

  /** @param perMinute of each key that has no number of its own; 0 for no limit */
  constructor(private readonly perMinute: number) {}

  /** @throws ApiError 429 when the key has had its tokens of this minute */
  async admit(caller: Caller, reply: FastifyReply): Promise<void> {
    const limit = this.limitOf(caller);
    if (limit === 0) return;
    const standing = await this.tokens.look(caller.keyId, limit);
    this.tokens.tell(reply, standing);
    if (standing.used >= limit) throw this.tokens.refusal(standing);
  }

  /**
   * The same events, whose tokens are counted as they pass: a piece of text is one at least, and at its completion's end it
   * shows how many there were. Headers tell of them as long as none has been sent.
   */
  async *counted(
    caller: Caller,
    reply: FastifyReply,
    events: AsyncIterable<Generated>,
  ): AsyncGenerator<Generated, void, undefined> {
    const limit = this.limitOf(caller);
    if (limit === 0) return yield* events;
    const pieces = new Map<number, number>();
    for await (const event of events) {
      const told = event.type === 'prompt' ? 0 : (pieces.get(event.index) ?? 0);
      if (event.type === 'delta') pieces.set(event.index, told + 1);
      const points = event.type === 'delta' ? 1 : Math.max(0, event.tokens - told);
      const standing = await this.tokens.add(caller.keyId, limit, points);
      if (!reply.raw.headersSent) this.tokens.tell(reply, standing);
      yield event;
    }
  }

  private limitOf({ tokensPerMinute }: Caller): number {
    return tokensPerMinute ?? this.perMinute;
  }
}
