/**
 * The bytes that each token of a Hugging Face tokenizer stands for, read off the kind of its decoder: the letters of
 * byte-level BPE, or SentencePiece's pieces, whose ▁ is a space and whose <0x0A> is a byte. Decoders that treat a token by
 * its neighbours (WordPiece, CTC) are left out: their tokens have no bytes of their own.
 */

/** The parts of tokenizer.json that are used here. */
interface TokenizerJson {
  readonly added_tokens?: readonly { readonly content: string; readonly special?: boolean }[];
  readonly decoder?: Decoder | null;
}

interface Decoder {
  readonly type: string;
  readonly decoders?: readonly Decoder[];
  readonly replacement?: string;
  readonly pattern?: { readonly String?: string };
  readonly content?: string;
}

const utf8 = new TextEncoder();

/**
 * @param text of a token as the vocabulary spells it; undefined where there is none
 * @param specials more names of tokens that decoding leaves out
 * @returns a token's bytes, the same in any company; null for special tokens and for ids without a token. They are shared: not
 * to be changed
 * @throws Error, once asked, for a tokenizer whose tokens have no bytes of their own
 */
export function tokenBytesOf(
  json: TokenizerJson,
  text: (id: number) => string | undefined,
  specials: readonly string[] = [],
): (id: number) => Uint8Array | null {
  const added = json.added_tokens ?? [];
  const leftOut = new Set([...specials, ...added.filter(({ special }) => special === true).map((t) => t.content)]);
  const asWritten = new Set(added.map(({ content }) => content));
  const found = new Map<number, Uint8Array | null>();
  let spell: ((token: string) => Uint8Array) | null = null;
  return (id) => {
    const known = found.get(id);
    if (known !== undefined) return known;
    spell ??= spelling(json.decoder ?? null, asWritten);
    const token = text(id);
    const bytes = token === undefined || leftOut.has(token) ? null : spell(token);
    found.set(id, bytes);
    return bytes;
  };
}

function spelling(decoder: Decoder | null, asWritten: ReadonlySet<string>): (token: string) => Uint8Array {
  const steps = decoder?.type === 'Sequence' ? (decoder.decoders ?? []) : decoder === null ? [] : [decoder];
  const odd = steps.find(({ type }) => !KNOWN.has(type));
  if (odd !== undefined || steps.length === 0) {
    throw new Error(
      `the tokenizer's decoder is ${odd?.type ?? 'missing'}: only tokens of byte-level BPE and of SentencePiece have bytes of their own`,
    );
  }
  if (steps.some(({ type }) => type === 'ByteLevel')) {
    return (token) => (asWritten.has(token) ? utf8.encode(token) : byteLevel(token));
  }
  const fallsBack = steps.some(({ type }) => type === 'ByteFallback');
  return (token) => {
    const byte = fallsBack ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token) : null;
    return byte === null ? utf8.encode(steps.reduce(replaced, token)) : Uint8Array.of(Number.parseInt(byte[1]!, 16));
  };
}

/** Strip and the space that Metaspace drops concern the beginning of a text, not a token. */
const KNOWN = new Set(['ByteLevel', 'Replace', 'Metaspace', 'ByteFallback', 'Fuse', 'Strip']);

function replaced(token: string, { type, replacement = '▁', pattern, content = '' }: Decoder): string {
  if (type === 'Metaspace') return token.replaceAll(replacement, ' ');
  return type === 'Replace' && pattern?.String !== undefined ? token.replaceAll(pattern.String, content) : token;
}

function byteLevel(token: string): Uint8Array {
  const bytes = [...token].map((letter) => BYTES.get(letter));
  // A token that the alphabet does not spell was added as text.
  return bytes.includes(undefined) ? utf8.encode(token) : Uint8Array.from(bytes as number[]);
}

/** GPT-2's alphabet: bytes that print stand for themselves, the others, in their order, for U+0100 and on. */
const BYTES: ReadonlyMap<string, number> = (() => {
  const prints = (b: number): boolean => (b > 0x20 && b < 0x7f) || (b > 0xa0 && b !== 0xad);
  let next = 0x100;
  return new Map(Array.from({ length: 256 }, (_, b) => [String.fromCharCode(prints(b) ? b : next++), b]));
})();
