import type { CompletionUsage } from '@polymode/contracts';
import type { Generated } from './worker-request.js';

/** Counts the tokens of a request's prompts and completions. */
export class UsageCount {
  private promptTokens = 0;
  private completionTokens = 0;

  add(event: Generated): void {
    if (event.type === 'prompt') this.promptTokens += event.tokens;
    if (event.type === 'finish') this.completionTokens += event.tokens;
  }

  /** No tokens are of audio, thought or predicted here. */
  toJSON(): CompletionUsage {
    return {
      prompt_tokens: this.promptTokens,
      completion_tokens: this.completionTokens,
      total_tokens: this.promptTokens + this.completionTokens,
      prompt_tokens_details: { audio_tokens: 0, cached_tokens: 0 },
      completion_tokens_details: {
        accepted_prediction_tokens: 0,
        audio_tokens: 0,
        reasoning_tokens: 0,
        rejected_prediction_tokens: 0,
      },
    };
  }
}
