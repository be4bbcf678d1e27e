/** Seconds between two moments at which requests join and texts are heard of. */
const SEGMENT_SECONDS = 0.1;
/** Weights that are read in a second: every token of a batch reads all of them. One thread of a server's processor does so. */
const BYTES_PER_SECOND = 10e9;
const MOST_SEGMENT_TOKENS = 16;
/** Products of one thread in a second while it reads prompts, two for each weight and token. */
const FLOPS = 80e9;
const [LEAST_PIECE_TOKENS, MOST_PIECE_TOKENS] = [128, 256];

/**
 * Tokens of a segment. The last bits of an answer depend on their number, so it goes by the model's size, and not by how fast
 * it happens to run: equal requests have equal answers.
 *
 * @param bytes of the model's weights
 */
export function segmentOf(bytes: number): number {
  const seconds = bytes / BYTES_PER_SECOND;
  return Math.max(1, Math.min(MOST_SEGMENT_TOKENS, Math.round(SEGMENT_SECONDS / seconds)));
}

/** Tokens of a piece of a prompt, a multiple of 64: about as long as a segment. @param bytes of the model's weights */
export function pieceOf(bytes: number): number {
  const tokens = (SEGMENT_SECONDS * FLOPS) / (2 * (bytes / 4));
  return Math.max(LEAST_PIECE_TOKENS, Math.min(MOST_PIECE_TOKENS, 64 * Math.floor(tokens / 64)));
}
