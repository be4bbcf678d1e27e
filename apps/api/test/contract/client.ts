import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';

/** What goes over the wire, as it goes. */
export interface RawRequest {
  readonly method: string;
  /** With its query, encoded. */
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array | null;
}

export interface RawResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Sends requests as they are: unlike fetch it neither tidies paths nor refuses bodies and headers that are odd. */
export class RawClient {
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 4 });

  constructor(private readonly origin: string) {}

  async send(request: RawRequest): Promise<RawResponse> {
    try {
      return await this.once(request, this.agent);
    } catch (error) {
      // A server may close a kept connection just when it is used again; a new one tells whether it is there.
      if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET' && (error as NodeJS.ErrnoException).code !== 'EPIPE') {
        throw error;
      }
      return this.once(request, undefined);
    }
  }

  close(): void {
    this.agent.destroy();
  }

  private once({ method, path, headers, body }: RawRequest, agent: Agent | undefined): Promise<RawResponse> {
    const { hostname, port } = new URL(this.origin);
    // Node tells the length of a body only where it expects one, and without it the body would be the next request.
    const length = body && !('transfer-encoding' in headers) ? { 'content-length': String(body.length) } : {};
    return new Promise((resolve, reject) => {
      const outgoing = httpRequest({
        hostname,
        port,
        method,
        path,
        headers: { ...headers, ...length },
        ...(agent ? { agent } : { agent: false }),
      });
      outgoing.setTimeout(30_000, () => outgoing.destroy(new Error(`no answer to ${method} ${path} within 30 s`)));
      outgoing.on('error', reject);
      outgoing.on('response', (response) => {
        const pieces: Buffer[] = [];
        const done = (): void =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(pieces) });
        response.on('data', (piece: Buffer) => {
          pieces.push(piece);
          // A stream of a job that has not ended has no end: its beginning is what there is to see.
          if (response.headers['content-type']?.startsWith('text/event-stream')) {
            done();
            outgoing.destroy();
          }
        });
        response.on('end', done);
        response.on('error', reject);
      });
      outgoing.end(body ?? undefined);
    });
  }
}
