const HEADER_BYTES = 4;

/** One message on a pipe: its length in bytes (uint32, little-endian), then its JSON as UTF-8. */
export function frame(message: unknown): Buffer {
  const text = JSON.stringify(message);
  const length = Buffer.byteLength(text);
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + length);
  bytes.writeUInt32LE(length, 0);
  bytes.write(text, HEADER_BYTES);
  return bytes;
}

/** A sender announced a message longer than the reader takes. */
export class FrameTooLongError extends Error {
  override readonly name = 'FrameTooLongError';
}

/** Cuts a stream of bytes into the messages that `frame` made. */
export class FrameReader {
  private chunks: Buffer[] = [];
  private held = 0;

  constructor(
    /** bytes of the longest message that is taken */
    private readonly limit: number,
    private readonly onMessage: (text: string) => void,
  ) {}

  /** @throws FrameTooLongError; the stream cannot be read further after it */
  push(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.held += chunk.length;
    while (this.held >= HEADER_BYTES) {
      const length = this.headerLength();
      if (length > this.limit) throw new FrameTooLongError(`A message of ${length} bytes exceeds ${this.limit}.`);
      if (this.held < HEADER_BYTES + length) return;
      const all = this.chunks.length === 1 ? this.chunks[0]! : Buffer.concat(this.chunks);
      const rest = all.subarray(HEADER_BYTES + length);
      this.chunks = rest.length > 0 ? [rest] : [];
      this.held = rest.length;
      this.onMessage(all.toString('utf8', HEADER_BYTES, HEADER_BYTES + length));
    }
  }

  private headerLength(): number {
    if (this.chunks[0]!.length < HEADER_BYTES) this.chunks = [Buffer.concat(this.chunks)];
    return this.chunks[0]!.readUInt32LE(0);
  }
}
