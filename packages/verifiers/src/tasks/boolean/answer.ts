/**
 * Finds the expression in a model's answer and strips what is wrapped around it. What it means is the grammar's business.
 *
 * The first line with `Expression:` and something after it counts; failing that, the first line that is no heading and
 * contains an operator's name, or nothing but letters, digits, spaces and parentheses.
 *
 * @returns null when no line qualifies
 */
export function findExpression(text: string): string | null {
  const lines = text.split('\n').map((line) => line.trim());
  for (const line of lines) {
    const [, afterMarker] = line.split(/[Ee]xpression:/);
    const cleaned = clean(afterMarker ?? '');
    if (cleaned !== '') return cleaned;
  }
  for (const line of lines) {
    if (line.startsWith('#')) continue;
    const cleaned = clean(line);
    if (/AND|OR|NOT/i.test(cleaned) || /^[\p{L}\p{N} ()]+$/u.test(cleaned)) return cleaned;
  }
  return null;
}

const NAMED_OPERATORS: readonly [RegExp, string][] = [
  [/\\land|\\wedge|∧/g, ' AND '],
  [/\\lor|\\vee|∨/g, ' OR '],
  [/\\lnot|\\neg|¬/g, ' NOT '],
];

/** Without the marks of LaTeX and markdown, quotes, and the punctuation that ends a sentence. */
function clean(text: string): string {
  let cleaned = text.replace(/\\[()[\]]|\$/g, '');
  for (const [written, word] of NAMED_OPERATORS) cleaned = cleaned.replace(written, word);
  return trim(cleaned.replace(/\\text\{([^{}]*)\}/g, '$1'));
}

/**
 * Either end may carry several layers in any order, as in `x OR y`.**
 *
 * By hand, because a regular expression for a run at the end takes time that grows with the square of other runs.
 */
function trim(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && /[\s`"']/.test(text[start]!)) start++;
  while (end > start && /[\s`"'.,;*]/.test(text[end - 1]!)) end--;
  return text.slice(start, end);
}
