/**
 * Byte-level byte-pair encoding, trained from text: the algorithm of arXiv:1508.07909 over bytes, with ties broken by
 * the pair itself so that equal texts give equal merges.
 */

/** The 256 printable characters that stand for bytes in `tokenizer.json`: GPT-2's table. */
export function byteCharacters(): string[] {
  const printable = (b: number): boolean => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(printable(b) ? b : next++));
}

export interface BytePairs {
  /** tokens in order of their ids: the bytes, then one a merge */
  readonly tokens: readonly string[];
  readonly merges: readonly (readonly [string, string])[];
}

/**
 * @param pieces what the pre-tokenizer makes of the text, with how often each comes; merges never cross pieces
 * @param size tokens wanted; fewer when nothing that comes twice is left to merge
 */
export function trainBytePairs(pieces: ReadonlyMap<string, number>, size: number): BytePairs {
  const characters = byteCharacters();
  const words = [...pieces].map(([text, count]) => ({
    symbols: [...new TextEncoder().encode(text)].map((b) => characters[b]!),
    count,
  }));
  const tokens = [...characters];
  const merges: [string, string][] = [];
  while (tokens.length < size) {
    const best = commonestPair(words);
    if (best === null) break;
    merges.push(best);
    tokens.push(best[0] + best[1]);
    for (const word of words) word.symbols = merge(word.symbols, best);
  }
  return { tokens, merges };
}

function commonestPair(words: readonly { symbols: readonly string[]; count: number }[]): [string, string] | null {
  const counts = new Map<string, { pair: [string, string]; count: number }>();
  for (const { symbols, count } of words) {
    for (let i = 0; i + 1 < symbols.length; i++) {
      const pair: [string, string] = [symbols[i]!, symbols[i + 1]!];
      const key = pair.join(' ');
      const entry = counts.get(key);
      if (entry === undefined) counts.set(key, { pair, count });
      else entry.count += count;
    }
  }
  let best: { key: string; pair: [string, string]; count: number } | null = null;
  for (const [key, { pair, count }] of counts) {
    if (count < 2) continue;
    if (best === null || count > best.count || (count === best.count && key < best.key)) best = { key, pair, count };
  }
  return best?.pair ?? null;
}

function merge(symbols: readonly string[], [left, right]: readonly [string, string]): string[] {
  const out: string[] = [];
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) {
      out.push(left + right);
      i++;
    } else out.push(symbols[i]!);
  }
  return out;
}
