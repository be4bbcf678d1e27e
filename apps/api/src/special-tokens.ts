/** The first of a model's own tokens that a text holds; null when it holds none. */
export type TokenFinder = (text: string) => string | null;

/** @param tokens of the model, which mean something to it wherever they stand */
export function tokenFinder(tokens: readonly string[]): TokenFinder {
  if (tokens.length === 0) return () => null;
  // Where one begins as another does, the longer is meant.
  const longestFirst = [...tokens].sort((a, b) => b.length - a.length);
  const any = new RegExp(longestFirst.map((token) => token.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|'));
  return (text) => any.exec(text)?.[0] ?? null;
}
