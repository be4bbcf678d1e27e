/**
 * SentencePiece's BPE joins the neighbours whose joint token has the highest score; Hugging Face's follows a list of
 * merges. These turn one into the other.
 */

/**
 * Every way to put a token together from two others, best score first; for equal scores longer parts first, as
 * transformers' own conversion has it.
 *
 * @param tokens text of each token that may be joined; null for those that stand outside: bytes and control tokens
 */
export function mergesOfScores(tokens: readonly (string | null)[], scores: ArrayLike<number>): [string, string][] {
  const known = new Set(tokens);
  const merges: { pair: [string, string]; score: number; lengths: [number, number] }[] = [];
  for (const [id, token] of tokens.entries()) {
    if (token === null) continue;
    const characters = [...token];
    let left = '';
    for (let i = 1; i < characters.length; i++) {
      left += characters[i - 1]!;
      const right = token.slice(left.length);
      if (known.has(left) && known.has(right)) {
        merges.push({ pair: [left, right], score: scores[id]!, lengths: [i, characters.length - i] });
      }
    }
  }
  merges.sort((a, b) => b.score - a.score || b.lengths[0] - a.lengths[0] || b.lengths[1] - a.lengths[1]);
  return merges.map(({ pair }) => pair);
}

/** Scores that order tokens as the merges do: minus the rank of the first that makes a token; below all where none does. */
export function scoresOfMerges(
  tokens: readonly (string | null)[],
  merges: readonly (readonly [string, string])[],
): number[] {
  const ranks = new Map<string, number>();
  for (const [left, right] of merges) {
    if (!ranks.has(left + right)) ranks.set(left + right, ranks.size);
  }
  return tokens.map((token) => (token === null ? 0 : -(ranks.get(token) ?? ranks.size)));
}
