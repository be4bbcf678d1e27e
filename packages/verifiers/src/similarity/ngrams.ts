import { breathe } from '../pace.js';

/** n-grams of one length n in two texts. */
export interface NgramCounts {
  /** in both, each as often as in the text that has it less */
  readonly common: number;
  readonly candidate: number;
  readonly reference: number;
}

const TOKENS_PER_BREATH = 2000;

/** Counts of the n-grams of n = 1..longest. */
export async function ngramCounts(
  candidate: readonly string[],
  reference: readonly string[],
  longest: number,
  signal?: AbortSignal,
): Promise<NgramCounts[]> {
  const vocabulary = new Map<string, number>();
  const [a, b] = [await numbered(candidate, vocabulary, signal), await numbered(reference, vocabulary, signal)];
  const counts: NgramCounts[] = [];
  // An n-gram is the (n−1)-gram at its place and the token after: both are numbers, and so is the pair.
  let [gramsA, gramsB] = [a, b];
  for (let n = 1; n <= longest; n++) {
    if (n > 1) {
      const pairs = new Map<number, number>();
      gramsA = await extended(gramsA, a, n, vocabulary.size, pairs, signal);
      gramsB = await extended(gramsB, b, n, vocabulary.size, pairs, signal);
    }
    counts.push({ common: await common(gramsA, gramsB, signal), candidate: gramsA.length, reference: gramsB.length });
  }
  return counts;
}

async function numbered(
  tokens: readonly string[],
  vocabulary: Map<string, number>,
  signal?: AbortSignal,
): Promise<number[]> {
  const numbers: number[] = [];
  for (const token of tokens) {
    let number = vocabulary.get(token);
    if (number === undefined) {
      number = vocabulary.size;
      vocabulary.set(token, number);
    }
    if (numbers.push(number) % TOKENS_PER_BREATH === 0) await breathe(signal);
  }
  return numbers;
}

async function extended(
  shorter: readonly number[],
  tokens: readonly number[],
  n: number,
  vocabularySize: number,
  pairs: Map<number, number>,
  signal?: AbortSignal,
): Promise<number[]> {
  const grams: number[] = [];
  for (let i = 0; i + n <= tokens.length; i++) {
    const pair = shorter[i]! * vocabularySize + tokens[i + n - 1]!;
    let number = pairs.get(pair);
    if (number === undefined) {
      number = pairs.size;
      pairs.set(pair, number);
    }
    if (grams.push(number) % TOKENS_PER_BREATH === 0) await breathe(signal);
  }
  return grams;
}

async function common(a: readonly number[], b: readonly number[], signal?: AbortSignal): Promise<number> {
  const left = new Map<number, number>();
  for (const [i, gram] of a.entries()) {
    left.set(gram, (left.get(gram) ?? 0) + 1);
    if (i % TOKENS_PER_BREATH === 0) await breathe(signal);
  }
  let count = 0;
  for (const [i, gram] of b.entries()) {
    const times = left.get(gram) ?? 0;
    if (times > 0) {
      left.set(gram, times - 1);
      count++;
    }
    if (i % TOKENS_PER_BREATH === 0) await breathe(signal);
  }
  return count;
}
