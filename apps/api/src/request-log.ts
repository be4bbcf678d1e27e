import { type FastifyReply, type FastifyRequest, LogController } from 'fastify';

const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * One line a request, when it is answered; it carries the request's id, and the job's where the request is about one. Reads that
 * went well are of level debug: polls would bury what happened.
 */
export class RequestLog extends LogController {
  /** @param reads whether reads are written at all */
  constructor(private readonly reads: boolean) {
    super({ requestIdLogLabel: 'requestId' });
  }

  override incomingRequest(): void {}

  override requestCompleted(error: Error | null | undefined, request: FastifyRequest, reply: FastifyReply): void {
    const isQuiet = !error && reply.statusCode < 400 && READS.has(request.method);
    if (isQuiet && !this.reads) return;
    const fields = { ...about(request), status: reply.statusCode, ms: Math.round(reply.elapsedTime) };
    if (error) request.log.error({ err: error, ...fields }, 'request');
    else request.log[isQuiet ? 'debug' : 'info'](fields, 'request');
  }

  /** The answer had begun, so the client sees only that it was cut. */
  override streamError(error: Error & { code?: string }, request: FastifyRequest): void {
    if (error.code === 'ERR_STREAM_PREMATURE_CLOSE') request.log.info(about(request), 'client left during the answer');
    else request.log.error({ err: error, ...about(request) }, 'answer was cut');
  }
}

function about({ jobId, method, url }: FastifyRequest): Record<string, string> {
  return jobId ? { jobId, method, url } : { method, url };
}
