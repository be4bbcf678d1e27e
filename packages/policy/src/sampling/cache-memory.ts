import type { ModelConfig } from '../config.js';
import { samplingBytes } from './memory.js';
import type { Row } from './row.js';

/** Memory for a batch's caches, where others want of the same. */
export interface CacheMemory {
  /**
   * Asks for so many bytes in place of those that the batch has. Fewer than it has, it always gets.
   *
   * @param joining they are for requests that may as well wait
   * @returns whether it has them
   * @throws Error where nobody is there whose end could make room
   */
  claim(bytes: number, joining: boolean): boolean;
  /** Nothing is wanted any more. */
  release(): void;
  /** Settles when a claim that was refused may be granted. */
  freed(): Promise<void>;
}

/** Rows of one request, and which of the batch's copies of prompts is theirs. */
export interface Claimant {
  readonly prompt: readonly number[];
  readonly rows: readonly Row[];
  /** equal where one copy serves several */
  readonly copy: number;
}

/** Bytes of caches, and of the work on them, when rows have said so much. */
export function claimOf(
  config: ModelConfig,
  pieceTokens: number | null,
  claimants: readonly Claimant[],
  said: (row: Row) => number,
): number {
  let bytes = 0;
  // The two kinds of rows advance apart.
  for (const masked of [false, true]) {
    const copies = new Set<number>();
    let [promptTokens, rows, maxTokens] = [0, 0, 0];
    for (const { prompt, rows: all, copy } of claimants) {
      const own = all.filter((r) => r.finishReason === null && (r.options.allowed !== undefined) === masked);
      if (own.length === 0) continue;
      copies.add(copy);
      promptTokens = Math.max(promptTokens, prompt.length);
      rows += own.length;
      maxTokens = Math.max(maxTokens, ...own.map(said));
    }
    if (rows > 0) bytes += samplingBytes(config, { prompts: copies.size, promptTokens, rows, maxTokens, pieceTokens });
  }
  return bytes;
}
