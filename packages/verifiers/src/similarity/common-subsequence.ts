import { breathe } from '../pace.js';

/** Steps of the inner loop between two breaths: well below a millisecond. */
const STEPS_PER_BREATH = 50_000;

/**
 * Length of the longest common subsequence, by the bit-parallel method of Hyyrö (2004): bit i of the row is 0 where the
 * table of lengths grows at position i of `a`. Time |a|·|b|/32.
 */
export async function commonSubsequence<T>(a: readonly T[], b: readonly T[], signal?: AbortSignal): Promise<number> {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let [endA, endB] = [a.length, b.length];
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) {
    endA--;
    endB--;
  }
  const same = start + a.length - endA;
  if (endA === start || endB === start) return same;

  const length = endA - start;
  const words = Math.ceil(length / 32);
  const row = new Int32Array(words).fill(-1);
  const places = new Map<T, number[]>();
  for (let i = 0; i < length; i++) {
    const value = a[start + i]!;
    const list = places.get(value);
    if (list) list.push(i);
    else places.set(value, [i]);
  }
  const marked = new Map<T, Int32Array>();
  const scratch = new Int32Array(words);
  let steps = 0;
  for (let j = start; j < endB; j++) {
    const list = places.get(b[j]!);
    if (list === undefined) continue;
    // Rows of frequent values are kept, and there are few of them; those of the others are quickly made again.
    const frequent = list.length > words / 4;
    let matches = frequent ? marked.get(b[j]!) : scratch;
    if (matches === undefined) {
      matches = new Int32Array(words);
      marked.set(b[j]!, mark(matches, list));
    } else if (!frequent) mark(matches, list);
    let carry = 0;
    for (let w = 0; w < words; w++) {
      const v = row[w]!;
      const m = matches[w]!;
      const x = v & m;
      const sum = (v + x + carry) | 0;
      // The carry out of the highest bit, of integers that have a sign.
      carry = ((v & x) | ((v | x) & ~sum)) >>> 31;
      row[w] = sum | (v & ~m);
    }
    if (!frequent) for (const i of list) scratch[i >>> 5] = 0;
    steps += words;
    if (steps > STEPS_PER_BREATH) {
      steps = 0;
      await breathe(signal);
    }
  }
  let grown = 0;
  for (let i = 0; i < length; i++) if (((row[i >>> 5]! >>> (i & 31)) & 1) === 0) grown++;
  return same + grown;
}

function mark(row: Int32Array, places: readonly number[]): Int32Array {
  for (const i of places) row[i >>> 5]! |= 1 << (i & 31);
  return row;
}
