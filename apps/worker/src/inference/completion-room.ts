import { samplingBytes } from '@polymode/policy';
import { InferenceError } from './inference-error.js';
import { mib } from './mib.js';

/** The share of the memory beside a model's weights that a completion may take which says nothing of its length. */
const SHARE = 0.5;
/** Tokens that such a completion has the room for in any case, if there is memory at all. */
const COMMON_TOKENS = 512;

export interface CompletionRoom {
  /** in messages */
  readonly model: string;
  readonly config: Parameters<typeof samplingBytes>[0];
  readonly pieceTokens: number;
  /** of weights and caches */
  readonly budgetBytes: number;
  /** of the model's weights, and of the base model's under an adapter */
  readonly weightBytes: number;
}

/**
 * Tokens that one completion may have by the memory that its caches take, if it is alone.
 *
 * @param wanted null: as many as leave others some room
 * @param most that the context has room for
 * @throws InferenceError 503 where memory does for fewer than are wanted
 */
export function completionRoom(
  { model, config, pieceTokens, budgetBytes, weightBytes }: CompletionRoom,
  promptTokens: number,
  wanted: number | null,
  most: number,
): number {
  const free = budgetBytes - weightBytes;
  const bytes = (maxTokens: number): number =>
    samplingBytes(config, { prompts: 1, promptTokens, rows: 1, maxTokens, pieceTokens });
  const least = wanted ?? 1;
  if (bytes(least) > free) {
    throw new InferenceError(
      503,
      `A prompt of ${promptTokens} tokens with ${least} more needs ${mib(bytes(least))} MiB of memory beside the ` +
        `${mib(weightBytes)} of ${model}'s weights, and this worker may use ${mib(budgetBytes)}. Set ` +
        'POLYMODE_INFERENCE_MEMORY_MB higher, or ask for less.',
      { code: 'insufficient_memory' },
    );
  }
  if (wanted !== null) return wanted;
  const share = Math.max(SHARE * free, Math.min(free, bytes(Math.min(most, COMMON_TOKENS))));
  let [fits, fails] = [1, most + 1];
  while (fails - fits > 1) {
    const middle = Math.floor((fits + fails) / 2);
    if (bytes(middle) <= share) fits = middle;
    else fails = middle;
  }
  return fits;
}
