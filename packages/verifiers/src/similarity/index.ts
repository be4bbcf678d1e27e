import { commonSubsequence } from './common-subsequence.js';
import { meteor } from './meteor.js';
import { ngramCounts } from './ngrams.js';
import { tokens13a, tokensOfRouge } from './tokens.js';

/**
 * How alike two texts are, 0..1. Long texts are compared over many turns of the event loop.
 *
 * @throws the signal's reason when it aborts
 */
export type Similarity = (candidate: string, reference: string, signal?: AbortSignal) => Promise<number>;

export const SIMILARITIES = {
  fuzzy_match: fuzzyMatch,
  bleu,
  gleu,
  meteor,
  rouge_1: rougeN(1),
  rouge_2: rougeN(2),
  rouge_3: rougeN(3),
  rouge_4: rougeN(4),
  rouge_5: rougeN(5),
  rouge_l: rougeL,
} as const satisfies Record<string, Similarity>;

export type SimilarityName = keyof typeof SIMILARITIES;

const BLEU_ORDERS = 4;

/** rapidfuzz's `fuzz.ratio` / 100: 1 − (insertions + deletions) / (|a| + |b|), in characters. Empty texts are equal. */
async function fuzzyMatch(candidate: string, reference: string, signal?: AbortSignal): Promise<number> {
  const [a, b] = [[...candidate], [...reference]];
  const all = a.length + b.length;
  return all === 0 ? 1 : (2 * (await commonSubsequence(a, b, signal))) / all;
}

/**
 * sacrebleu's `sentence_bleu` / 100 (Post, 2018): the geometric mean of the precisions of 1- to 4-grams, as far as the
 * candidate has such, times exp(1 − |reference| / |candidate|) for candidates that are shorter. The k-th precision of 0
 * counts as half, quarter, … of one match.
 */
async function bleu(candidate: string, reference: string, signal?: AbortSignal): Promise<number> {
  const [a, b] = [await tokens13a(candidate, signal), await tokens13a(reference, signal)];
  const counts = (await ngramCounts(a, b, BLEU_ORDERS, signal)).filter((one) => one.candidate > 0);
  if (counts.every(({ common }) => common === 0)) return 0;
  let smoothing = 1;
  let logs = 0;
  for (const { common, candidate: all } of counts) {
    if (common === 0) smoothing *= 2;
    logs += Math.log(common === 0 ? 1 / (smoothing * all) : common / all);
  }
  const brevity = a.length < b.length ? 1 - b.length / a.length : 0;
  return Math.exp(brevity + logs / counts.length);
}

/** NLTK's `sentence_gleu` (Wu et al., 2016): the smaller of precision and recall over all 1- to 4-grams together. */
async function gleu(candidate: string, reference: string, signal?: AbortSignal): Promise<number> {
  const counts = await ngramCounts(
    await tokens13a(candidate, signal),
    await tokens13a(reference, signal),
    BLEU_ORDERS,
    signal,
  );
  const sum = (pick: 'common' | 'candidate' | 'reference'): number => counts.reduce((all, one) => all + one[pick], 0);
  const most = Math.max(sum('candidate'), sum('reference'));
  return most === 0 ? 0 : sum('common') / most;
}

/** rouge-score's `rougeN` (Lin, 2004): F1 of the n-grams. */
function rougeN(n: number): Similarity {
  return async (candidate, reference, signal) => {
    const counts = (await ngramCounts(tokensOfRouge(candidate), tokensOfRouge(reference), n, signal))[n - 1]!;
    return f1(counts.common, counts.candidate, counts.reference);
  };
}

/** rouge-score's `rougeL`: F1 of the longest common subsequence of words. */
async function rougeL(candidate: string, reference: string, signal?: AbortSignal): Promise<number> {
  const [a, b] = [tokensOfRouge(candidate), tokensOfRouge(reference)];
  return f1(await commonSubsequence(a, b, signal), a.length, b.length);
}

/** Harmonic mean of common / candidate and common / reference. */
function f1(common: number, candidate: number, reference: number): number {
  return common === 0 ? 0 : (2 * common) / (candidate + reference);
}
