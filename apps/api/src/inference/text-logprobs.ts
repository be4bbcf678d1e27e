import type { CompletionLogprobs, TokenLogprob } from '@polymode/contracts';
import { IMPOSSIBLE } from './chat-completion.js';

/** Writes log-probabilities as completions have them, piece by piece, and keeps count of where tokens are. */
export class TextLogprobs {
  /** @param characters code points before the first token */
  constructor(private characters: number) {}

  /** Of the prompt, whose first token nothing comes before. */
  prompt(tokens: readonly TokenLogprob[], text: string): CompletionLogprobs {
    const written = this.write(tokens, true);
    // Where tokens without text of their own stand for some, the text knows.
    this.characters = codePoints(text);
    return written;
  }

  completion(tokens: readonly TokenLogprob[]): CompletionLogprobs {
    return this.write(tokens, false);
  }

  private write(tokens: readonly TokenLogprob[], fromStart: boolean): CompletionLogprobs {
    const nothingBefore = (i: number): boolean => fromStart && i === 0;
    return {
      tokens: tokens.map(({ token }) => token),
      token_logprobs: tokens.map(({ logprob }, i) => (nothingBefore(i) ? logprob : (logprob ?? IMPOSSIBLE))),
      top_logprobs: tokens.map((token, i) => (nothingBefore(i) && token.logprob === null ? null : likeliest(token))),
      text_offset: tokens.map(({ bytes }) => this.place(bytes ?? [])),
    };
  }

  /** Where a token begins; within a character, where that does. */
  private place(bytes: readonly number[]): number {
    const [first] = bytes;
    const start = first !== undefined && continues(first) ? this.characters - 1 : this.characters;
    this.characters += bytes.filter((byte) => !continues(byte)).length;
    return Math.max(0, start);
  }
}

export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

export function joined(pieces: readonly CompletionLogprobs[]): CompletionLogprobs {
  return {
    tokens: pieces.flatMap(({ tokens }) => tokens),
    token_logprobs: pieces.flatMap(({ token_logprobs }) => token_logprobs),
    top_logprobs: pieces.flatMap(({ top_logprobs }) => top_logprobs),
    text_offset: pieces.flatMap(({ text_offset }) => text_offset),
  };
}

function likeliest({ top, ...drawn }: TokenLogprob): Record<string, number> {
  return Object.fromEntries([...top, drawn].map(({ token, logprob }) => [token, logprob ?? IMPOSSIBLE]));
}

/** Of UTF-8: not the first byte of a character. */
function continues(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}
