import type { ModelConfig } from '../config.js';
import { COLUMNS, multiple, PREFILL_TOKENS, readLength } from './lengths.js';
import { MAX_ROWS, SEGMENT_TOKENS } from './running-batch.js';

/** What is sampled at a time, at most. */
export interface SamplingSize {
  readonly prompts: number;
  /** of the longest prompt */
  readonly promptTokens: number;
  /** completions of all prompts together */
  readonly rows: number;
  readonly maxTokens: number;
  /** see `RunningBatchOptions` @defaultValue null */
  readonly pieceTokens?: number | null | undefined;
}

/** Copies of a row's logits that one draw has at a time: themselves, scaled, their logarithms, weights and where these stand. */
const LOGIT_COPIES = 6;
/** Scores, masked, and as shares. */
const SCORE_COPIES = 3;
/** Bytes of caches that are no longer used, before the engine collects them. */
const UNCOLLECTED = 64e6;

/**
 * Bytes that sampling takes beside the weights, at most, on the CPU: within an eighth of what was measured for five shapes
 * of models and batches. What onnxruntime returns it has twice, in its own memory, which it keeps, and in ours.
 */
export function samplingBytes(config: ModelConfig, size: SamplingSize): number {
  const { numHiddenLayers, numAttentionHeads: heads, numKeyValueHeads: groups, headDim } = config;
  const perToken = 4 * 2 * numHiddenLayers * groups * headDim;
  const rows = Math.min(size.rows, MAX_ROWS);
  const batch = multiple(rows, 16);
  // What was said before the last segment: its own tokens are in no past.
  const said = Math.max(1, SEGMENT_TOKENS * Math.floor((size.maxTokens - 2) / SEGMENT_TOKENS));
  const past = rows * multiple(said, COLUMNS) * perToken;
  const segment = batch * SEGMENT_TOKENS * perToken;
  const prompts = size.prompts * multiple(size.promptTokens, COLUMNS) * perToken;

  const { promptTokens, pieceTokens = null } = size;
  const inPieces = pieceTokens !== null && promptTokens > pieceTokens;
  const length = inPieces ? pieceTokens : readLength(promptTokens);
  const together = inPieces
    ? 1
    : Math.min(size.prompts, Math.max(1, Math.floor((pieceTokens ?? PREFILL_TOKENS) / length)));
  const perRow = 4 * (4 * config.hiddenSize + 2 * (heads + 2 * groups) * headDim + 3 * config.intermediateSize);
  const columns = inPieces ? multiple(promptTokens, COLUMNS) : length;
  const scores = SCORE_COPIES * 4 * heads * Math.min(length, 512) * columns;
  // A piece is put behind those before it in a copy of both.
  const before = inPieces ? 3 * columns * perToken : 0;
  const reading = together * (length * (perRow + perToken) + scores) + before;

  const drawing = LOGIT_COPIES * 4 * batch * config.vocabSize;
  const arranging = Math.max(past, prompts);
  const held = prompts + 2 * past + segment + Math.min(past, UNCOLLECTED);
  return reading + drawing + arranging + 3 * segment + held;
}
