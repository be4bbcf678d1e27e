import type { TokenLogprob, ToolCall } from '@polymode/contracts';
import type { Generated } from './worker-request.js';

type Finish = Extract<Generated, { type: 'finish' }>;

/** One completion, all of it. */
export interface Collected {
  text: string;
  /** One for each token, if they were wanted. */
  readonly logprobs: TokenLogprob[];
  reason: Finish['reason'];
  toolCalls: ToolCall[];
}

/** Completions of one prompt, put together from what a worker tells. */
export class Completions {
  promptText = '';
  promptLogprobs: TokenLogprob[] = [];
  readonly all: readonly Collected[];

  constructor(n: number) {
    this.all = Array.from({ length: n }, () => ({ text: '', logprobs: [], reason: 'length', toolCalls: [] }));
  }

  add(event: Generated): void {
    if (event.type === 'prompt') {
      this.promptText = event.text ?? '';
      this.promptLogprobs = event.logprobs ?? [];
      return;
    }
    const one = this.all[event.index];
    if (!one) throw new Error(`a worker told of completion ${event.index} of ${this.all.length}`);
    if (event.type === 'delta') {
      one.text += event.text;
      one.logprobs.push(...(event.logprobs ?? []));
    } else {
      one.reason = event.reason;
      one.toolCalls = event.toolCalls;
    }
  }
}
