/** A line of a JSONL file that is not blank: the object it holds, or why it holds none. */
export type JsonLine =
  | { line: number; object: Record<string, unknown>; bytes: Uint8Array }
  | { line: number; problem: string };

const NEWLINE = 0x0a;
const MAX_LINE_BYTES = 8 * 1024 * 1024;

/**
 * Reads JSON objects, one a line, from UTF-8 bytes that come in pieces of any size. A byte order mark at the start, blank
 * lines and CRLF are accepted. Lines are counted from 1, blank ones too.
 */
export class JsonLinesReader {
  private line = 0;
  private pending: Uint8Array[] = [];
  private pendingBytes = 0;
  private readonly decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  /** The lines that end in this piece. */
  *push(piece: Uint8Array): Generator<JsonLine> {
    let from = 0;
    for (let end = piece.indexOf(NEWLINE); end >= 0; end = piece.indexOf(NEWLINE, from)) {
      this.keep(piece.subarray(from, end));
      from = end + 1;
      yield* this.endLine();
    }
    this.keep(piece.subarray(from));
  }

  /** The last line, when nothing ends it. */
  *finish(): Generator<JsonLine> {
    if (this.pendingBytes > 0) yield* this.endLine();
  }

  private keep(bytes: Uint8Array): void {
    this.pendingBytes += bytes.length;
    // A line that is too long is counted, not kept.
    if (this.pendingBytes > MAX_LINE_BYTES) this.pending = [];
    else if (bytes.length > 0) this.pending.push(bytes);
  }

  private *endLine(): Generator<JsonLine> {
    const { pending, pendingBytes } = this;
    this.line++;
    this.pending = [];
    this.pendingBytes = 0;
    if (pendingBytes > MAX_LINE_BYTES) {
      yield { line: this.line, problem: `is longer than ${MAX_LINE_BYTES} bytes` };
      return;
    }
    const bytes = withoutMark(pending.length === 1 ? pending[0]! : Buffer.concat(pending), this.line);
    const parsed = this.parse(bytes);
    if (parsed !== null) yield parsed;
  }

  private parse(bytes: Uint8Array): JsonLine | null {
    const { line } = this;
    let text: string;
    try {
      text = this.decoder.decode(bytes);
    } catch {
      return { line, problem: 'is not UTF-8 text' };
    }
    if (text.trim() === '') return null;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      return { line, problem: `is not JSON: ${reason(error)}${hint(text)}` };
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return { line, problem: `is not a JSON object${hint(text)}` };
    }
    return { line, object: value as Record<string, unknown>, bytes };
  }
}

/** Which lines of a file are wrong: the first hundred, and how many there are. */
export class LineProblems {
  static readonly MAX_SHOWN = 100;
  private readonly shown: string[] = [];
  private readonly lines = new Set<number>();

  get count(): number {
    return this.lines.size;
  }

  /** @param problem continues "Line 3 …" */
  add(line: number, problem: string): void {
    this.lines.add(line);
    if (this.lines.size <= LineProblems.MAX_SHOWN) this.shown.push(`Line ${line} ${problem}.`);
  }

  /** `3 invalid lines:` and then one problem a line. */
  toString(): string {
    const { count } = this;
    const more = count - LineProblems.MAX_SHOWN;
    const head = `${count} invalid line${count === 1 ? '' : 's'}:`;
    return [head, ...this.shown, ...(more > 0 ? [`… and ${more} more lines.`] : [])].join('\n');
  }
}

function withoutMark(bytes: Uint8Array, line: number): Uint8Array {
  const marked = line === 1 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return marked ? bytes.subarray(3) : bytes;
}

function hint(text: string): string {
  const start = text.trim();
  return ` (the line starts with: ${start.length > 24 ? `${start.slice(0, 24)}…` : start})`;
}

/** What the engine says without its quotation of the text, which `hint` gives. */
function reason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/, (\.\.\.)?".*$/s, '').replace(/ in JSON at position \d+.*$/s, (where) => where.trimEnd());
}
