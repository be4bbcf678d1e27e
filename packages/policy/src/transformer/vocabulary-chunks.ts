import { add, mul, slice, type Tensor } from '@polymode/autodiff';

/**
 * How tokens meet the vocabulary: some at a time, for their logits together are the largest thing in a graph. Logits of
 * 1,000 tokens over 150,000 words are 600 MB.
 */
export interface VocabularyChunks {
  /** k ≥ 1 */
  readonly chunks: number;
  /** tokens of each chunk; the last has what is left, one at least */
  readonly chunkRows: number;
}

/** Bytes of logits that are there at a time. */
const LOGIT_BYTES = 64 * 2 ** 20;

/** @param count tokens, at least 1 */
export function vocabularyChunks(count: number, vocabSize: number): VocabularyChunks {
  const chunkRows = Math.max(16, Math.floor(LOGIT_BYTES / (4 * vocabSize)));
  return { chunks: Math.ceil(count / chunkRows), chunkRows };
}

/** The i-th chunk along the first axis. */
export function chunkOf(x: Tensor, { chunks, chunkRows }: VocabularyChunks, i: number): Tensor {
  if (chunks === 1) return x;
  return slice(x, 0, i * chunkRows, i === chunks - 1 ? Number.POSITIVE_INFINITY : (i + 1) * chunkRows);
}

/**
 * The same rows, not to be had before `results` are: without it the runtime would begin on all chunks at once.
 *
 * @param rows [m, d]
 * @param results of the chunk before, [m', …] of rank 1 or 2
 */
export function after(rows: Tensor, ...results: readonly Tensor[]): Tensor {
  const zeros = results.map((result) => {
    const first = slice(result, 0, 0, 1);
    return mul(result.shape.length === 2 ? slice(first, 1, 0, 1) : first, 0);
  });
  return zeros.length === 0
    ? rows
    : add(
        rows,
        zeros.reduce((a, b) => add(a, b)),
      );
}
