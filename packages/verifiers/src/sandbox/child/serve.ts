import { FrameReader, frame } from '../frames.js';
import type { SandboxReply, SandboxRequest } from '../protocol.js';

/** Bytes of the longest request: an answer, its row and the source. */
const REQUEST_LIMIT_BYTES = 256 * 1024 * 1024;

/** Answers requests from standard input on standard output until the input ends, which is how this process ends too. */
export function serve(handle: (request: SandboxRequest) => SandboxReply): void {
  const reader = new FrameReader(REQUEST_LIMIT_BYTES, (text) => {
    const reply = handle(JSON.parse(text) as SandboxRequest);
    process.stdout.write(frame(reply));
  });
  process.stdin.on('data', (chunk: Buffer) => reader.push(chunk));
  process.stdin.on('end', () => process.exit(0));
  process.stdout.on('error', () => process.exit(0));
  process.stdout.write(frame({ ready: true }));
}
