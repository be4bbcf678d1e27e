import type { TokenLogprob } from '@polymode/contracts';
import type { Alternative, Tokenizer } from '@polymode/policy';

/** A token as the API tells it. */
export interface TokenText {
  readonly token: string;
  readonly bytes: number[] | null;
}

/** Texts of a model's tokens. */
export class TokenTexts {
  private readonly known = new Map<number, TokenText>();
  private readonly utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  constructor(private readonly tokenizer: Tokenizer) {}

  /** What a token adds to the UTF-8 of a text. */
  byteLength(token: number): number {
    return this.of(token).bytes?.length ?? 0;
  }

  of(token: number): TokenText {
    const known = this.known.get(token) ?? this.read(token);
    this.known.set(token, known);
    return known;
  }

  /** A token with the likeliest ones at its place. */
  logprob(token: number, logprob: number | null, likeliest: readonly Alternative[]): TokenLogprob {
    return {
      ...this.of(token),
      logprob,
      top: likeliest.map((other) => ({ ...this.of(other.token), logprob: other.logProbability })),
    };
  }

  private read(token: number): TokenText {
    const bytes = this.bytesOf(token);
    if (bytes === null) return { token: this.tokenizer.tokenName(token) ?? '', bytes: null };
    try {
      return { token: this.utf8.decode(bytes), bytes: [...bytes] };
    } catch {
      const escaped = [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
      return { token: `bytes:${escaped}`, bytes: [...bytes] };
    }
  }

  private bytesOf(token: number): Uint8Array | null {
    try {
      return this.tokenizer.tokenBytes(token);
    } catch {
      // Tokens that have no bytes of their own: what they are when they stand alone is the best there is.
      const text = this.tokenizer.decode([token]);
      return text === '' ? null : new TextEncoder().encode(text);
    }
  }
}
