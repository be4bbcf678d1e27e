import { plainBelow } from './plain.js';

/** The bytes of a vocabulary's tokens as a prefix tree, laid out so that a walk over it is one pass over arrays. */

export interface Trie {
  /** of the vocabulary: masks have a bit for each */
  readonly size: number;
  /** the byte that leads to each node, in depth-first order; the root is not among them */
  readonly byte: Uint8Array;
  /** bytes from the root; 1 for its children */
  readonly depth: Uint16Array;
  /** the first node after those below */
  readonly end: Int32Array;
  /** the token whose bytes end here, or −1 */
  readonly token: Int32Array;
  /** by token: another of the same bytes, or −1 */
  readonly twin: Int32Array;
  /** see `plainBelow` */
  readonly plain: Uint16Array;
  /** bytes of each token; null for those that are never part of a text */
  readonly bytes: readonly (Uint8Array | null)[];
  /** bytes of the longest token */
  readonly longest: number;
}

/** Longer tokens, of which hardly a vocabulary has any, are never allowed. */
const MAX_BYTES = 1024;

/**
 * @param size of the model's vocabulary, which may be more than the tokenizer's
 * @param bytesOf a token: null for those that are never part of a text
 * @throws Error for a vocabulary that cannot write any text: without a token for each byte
 */
export function trieOf(size: number, bytesOf: (token: number) => Uint8Array | null): Trie {
  const bytes = Array.from({ length: size }, (_, token) => {
    const own = bytesOf(token);
    return own === null || own.length === 0 || own.length > MAX_BYTES ? null : own;
  });
  const sorted: { text: string; token: number }[] = [];
  for (const [token, own] of bytes.entries()) {
    if (own !== null) sorted.push({ text: String.fromCharCode(...own), token });
  }
  sorted.sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : a.token - b.token));
  const total = sorted.reduce((sum, { text }) => sum + text.length, 0);
  const [byte, depth] = [new Uint8Array(total), new Uint16Array(total)];
  const [end, tokens] = [new Int32Array(total), new Int32Array(total).fill(-1)];
  const twin = new Int32Array(size).fill(-1);
  const open: number[] = [];
  let count = 0;
  let before = '';
  for (const { text, token } of sorted) {
    let shared = 0;
    while (shared < text.length && text[shared] === before[shared]) shared++;
    while (open.length > shared) end[open.pop()!] = count;
    for (let i = shared; i < text.length; i++) {
      byte[count] = text.charCodeAt(i);
      depth[count] = i + 1;
      open.push(count++);
    }
    const last = open.at(-1)!;
    twin[token] = tokens[last]!;
    tokens[last] = token;
    before = text;
  }
  while (open.length > 0) end[open.pop()!] = count;
  const longest = sorted.reduce((most, { text }) => Math.max(most, text.length), 0);
  const nodes = { byte: byte.slice(0, count), depth: depth.slice(0, count), end: end.slice(0, count) };
  const trie = {
    size,
    ...nodes,
    plain: plainBelow(nodes.byte, nodes.depth, nodes.end),
    token: tokens.slice(0, count),
    twin,
    bytes,
    longest,
  };
  checkBytes(trie);
  return trie;
}

/**
 * Whatever tokens were said, the text must be able to go on with single bytes, those of JSON and of UTF-8: so there is always a
 * token to allow.
 */
function checkBytes({ bytes }: Pick<Trie, 'bytes'>): void {
  const single = new Set(bytes.filter((b) => b?.length === 1).map((b) => b![0]!));
  for (let b = 0x20; b <= 0xf4; b++) {
    const inText = b !== 0x7f && b !== 0xc0 && b !== 0xc1;
    if (inText && !single.has(b)) {
      throw new Error(
        `the vocabulary has no token for the byte 0x${b.toString(16)} alone: text can be constrained with byte-level tokenizers and with those that fall back to bytes`,
      );
    }
  }
}
