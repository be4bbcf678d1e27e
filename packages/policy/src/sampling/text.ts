/** What a tokenizer decodes an unfinished character to. */
const UNFINISHED = '�';

/**
 * The text of tokens that arrive one by one. Tokens are decoded together with a few before them, since a tokenizer may
 * join, strip or complete what it decodes by what stands before; so the text costs the same at every token.
 */
export class GrowingText {
  private readonly tokens: number[] = [];
  /** text of tokens before `read` */
  private settled = '';
  /** tokens before this one are not decoded again */
  private from = 0;
  private read = 0;

  constructor(private readonly decode: (tokens: readonly number[]) => string) {}

  /** All text so far; its end may change while a character is unfinished. */
  get whole(): string {
    return this.settled + this.unsettled();
  }

  /** The text that later tokens leave as it is. */
  get final(): string {
    return this.settled;
  }

  push(token: number): void {
    this.tokens.push(token);
    const news = this.unsettled();
    if (news.endsWith(UNFINISHED)) return;
    this.settled += news;
    this.from = this.read;
    this.read = this.tokens.length;
  }

  private unsettled(): string {
    const known = this.decode(this.tokens.slice(this.from, this.read));
    return this.decode(this.tokens.slice(this.from)).slice(known.length);
  }
}

/** Where the first of these strings begins in a text, −1 when none does. @param from earlier places cannot hold one */
export function firstOf(strings: readonly string[], text: string, from: number): number {
  const places = strings.map((s) => text.indexOf(s, Math.max(0, from - s.length))).filter((i) => i >= 0);
  return places.length === 0 ? -1 : Math.min(...places);
}

/** Characters at the end of a text that may turn out to begin one of these strings. */
export function heldBack(strings: readonly string[], text: string): number {
  let most = 0;
  for (const s of strings) {
    for (let n = Math.min(s.length - 1, text.length); n > most; n--) {
      if (text.endsWith(s.slice(0, n))) most = n;
    }
  }
  return most;
}
