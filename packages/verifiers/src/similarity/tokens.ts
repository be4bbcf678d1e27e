import { breathe } from '../pace.js';

/** What Python's `str.split` splits at; JavaScript's \s lacks the separators of ASCII and has the byte order mark. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are white space to Python
const WHITE_SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;

/** Between which characters of a word the tokenizer of mteval-v13a cuts; each rule works on what the one before left. */
const CUTS: readonly (readonly [RegExp, string])[] = [
  [/([{-~[-` -&(-+:-@/])/gu, ' $1 '],
  [/([^0-9])([.,])/gu, '$1 $2 '],
  [/([.,])([^0-9])/gu, ' $1 $2'],
  [/([0-9])(-)/gu, '$1 $2 '],
];

const ESCAPES: readonly (readonly [string, string])[] = [
  ['&quot;', '"'],
  ['&amp;', '&'],
  ['&lt;', '<'],
  ['&gt;', '>'],
];

const WORDS_PER_BREATH = 500;

/** Tokens of mteval-v13a, the tokenizer of BLEU in the WMT evaluations: words, with punctuation and symbols on their own. */
export async function tokens13a(text: string, signal?: AbortSignal): Promise<string[]> {
  let line = text.replaceAll('<skipped>', '').replaceAll('-\n', '').replaceAll('\n', ' ');
  for (const [written, character] of ESCAPES) line = line.replaceAll(written, character);
  const tokens: string[] = [];
  const known = new Map<string, string[]>();
  for (const [i, word] of split(line).entries()) {
    let parts = known.get(word);
    if (parts === undefined) {
      // No cut reaches over white space, so words are cut one by one.
      parts = split(CUTS.reduce((cut, [pattern, replacement]) => cut.replace(pattern, replacement), ` ${word} `));
      known.set(word, parts);
    }
    tokens.push(...parts);
    if (i % WORDS_PER_BREATH === 0) await breathe(signal);
  }
  return tokens;
}

/** Tokens of ROUGE: runs of ASCII letters and digits, in lower case. */
export function tokensOfRouge(text: string): string[] {
  return text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
}

function split(text: string): string[] {
  return text.split(WHITE_SPACE).filter((word) => word !== '');
}
