import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { GenerateEvent } from '@polymode/contracts';

/**
 * Events as lines of JSON. What a slow reader has not taken yet is kept as few lines: the deltas of a completion become one,
 * so it takes no more memory than the completions themselves.
 */
export class EventStream {
  /** whether the status has been sent */
  begun = false;
  private pending: GenerateEvent[] = [];
  private blocked = false;

  constructor(private readonly response: ServerResponse) {
    response.on('drain', () => {
      this.blocked = false;
      this.flush();
    });
  }

  send(event: GenerateEvent): void {
    if (this.response.destroyed) return;
    if (!this.begun) {
      this.begun = true;
      this.response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
    }
    this.add(event);
    if (!this.blocked) this.flush();
  }

  /** Resolves when everything has been handed over, or nobody takes it any more. */
  async end(): Promise<void> {
    while (this.blocked && !this.response.destroyed) {
      await Promise.race([once(this.response, 'drain'), once(this.response, 'close')]);
    }
    if (!this.response.destroyed) this.response.end();
  }

  private add(event: GenerateEvent): void {
    if (event.type === 'delta') {
      const at = this.pending.findLastIndex((e) => 'index' in e && e.index === event.index);
      const before = this.pending[at];
      if (before?.type === 'delta') {
        this.pending[at] = {
          ...event,
          text: before.text + event.text,
          logprobs: event.logprobs === null ? before.logprobs : [...(before.logprobs ?? []), ...event.logprobs],
        };
        return;
      }
    }
    this.pending.push(event);
  }

  private flush(): void {
    if (this.pending.length === 0) return;
    const lines = this.pending.map((event) => `${JSON.stringify(event)}\n`).join('');
    this.pending = [];
    this.blocked = !this.response.write(lines);
  }
}
