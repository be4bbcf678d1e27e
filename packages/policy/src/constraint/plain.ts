/**
 * Plain text: characters that in most strings, and in free text, all lead to one state, whatever they are. Most of a vocabulary is
 * plain, so most of a mask inside a string is settled by whole branches of the prefix tree.
 */

/** One-byte characters: printable, but what ends a string, escapes, or begins a tag. */
export const PLAIN: readonly number[] = Array.from({ length: 0x7f - 0x20 }, (_, i) => i + 0x20).filter(
  (b) => ![0x22, 0x3c, 0x5c].includes(b),
);

/** What a character may begin with, and what its second byte may be (The Unicode Standard, table 3-7). */
export const LEADS: readonly {
  readonly low: number;
  readonly high: number;
  readonly more: number;
  readonly second: readonly [number, number];
}[] = [
  { low: 0xc2, high: 0xdf, more: 1, second: [0x80, 0xbf] },
  { low: 0xe0, high: 0xe0, more: 2, second: [0xa0, 0xbf] },
  { low: 0xe1, high: 0xec, more: 2, second: [0x80, 0xbf] },
  { low: 0xed, high: 0xed, more: 2, second: [0x80, 0x9f] },
  { low: 0xee, high: 0xef, more: 2, second: [0x80, 0xbf] },
  { low: 0xf0, high: 0xf0, more: 3, second: [0x90, 0xbf] },
  { low: 0xf1, high: 0xf3, more: 3, second: [0x80, 0xbf] },
  { low: 0xf4, high: 0xf4, more: 3, second: [0x80, 0x8f] },
];

/** A place in a character: how many bytes are to come, and what the next may be. */
interface Inside {
  readonly more: number;
  readonly next: readonly [number, number];
}

/** Between characters. */
const BETWEEN: Inside = { more: 0, next: [0, 0] };
const AFTER: readonly Inside[] = [BETWEEN, { more: 1, next: [0x80, 0xbf] }, { more: 2, next: [0x80, 0xbf] }];

/** The place after a byte; null where plain text has no such byte. */
const follow = (() => {
  const first: (Inside | null)[] = new Array(256).fill(null);
  for (const b of PLAIN) first[b] = BETWEEN;
  for (const { low, high, more, second } of LEADS) for (let b = low; b <= high; b++) first[b] = { more, next: second };
  return (at: Inside, byte: number): Inside | null => {
    if (at.more === 0) return first[byte]!;
    return at.next[0] <= byte && byte <= at.next[1] ? AFTER[at.more - 1]! : null;
  };
})();

/**
 * Nodes of a prefix tree at which plain text begins: how many characters it has to the deepest node below, the last perhaps not
 * whole; 0 where not all below is plain, and in the middle of a character.
 *
 * @param byte, depth and end of each node, as in `Trie`
 */
export function plainBelow(byte: Uint8Array, depth: Uint16Array, end: Int32Array): Uint16Array {
  const plain = new Uint16Array(byte.length);
  const begins = new Uint8Array(byte.length);
  const fits = new Uint8Array(byte.length);
  const places: Inside[] = [BETWEEN];
  for (let i = 0; i < byte.length; i++) {
    const before = places[depth[i]! - 1]!;
    const after = follow(before, byte[i]!);
    fits[i] = after === null ? 0 : 1;
    begins[i] = before.more === 0 ? 1 : 0;
    places[depth[i]!] = after ?? BETWEEN;
  }
  // One more than the number of characters, for the sake of nodes inside of one; 0 for what is not plain.
  for (let i = byte.length - 1; i >= 0; i--) {
    let most = fits[i]!;
    for (let child = i + 1; child < end[i]! && most > 0; child = end[child]!) {
      most = plain[child] === 0 ? 0 : Math.max(most, plain[child]!);
    }
    plain[i] = most === 0 ? 0 : most + begins[i]!;
  }
  for (let i = 0; i < byte.length; i++) plain[i] = begins[i] === 0 || plain[i] === 0 ? 0 : plain[i]! - 1;
  return plain;
}
