import type { ErrorEnvelope } from '@polymode/contracts';
import {
  CheckpointMissingError,
  FileInUseError,
  FileMissingError,
  ModelInUseError,
  UnknownCursorError,
} from '@polymode/db';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';

interface ErrorDetails {
  message: string;
  /** @defaultValue of the status */
  type?: string;
  /** What to change: a body field, a path parameter or a query parameter. */
  param?: string | null;
  code?: string | null;
  headers?: Record<string, string>;
}

/** A failure that the client is told about, in OpenAI's shape. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
  readonly headers: Record<string, string>;

  constructor(
    readonly status: number,
    details: ErrorDetails,
  ) {
    super(details.message);
    this.type = details.type ?? (status >= 500 ? 'server_error' : 'invalid_request_error');
    this.param = details.param ?? null;
    this.code = details.code ?? null;
    this.headers = details.headers ?? {};
  }

  toJSON(): ErrorEnvelope {
    const { message, type, param, code } = this;
    return { error: { message, type, param, code } };
  }
}

export const badRequest = (message: string, param: string | null, code: string | null): ApiError =>
  new ApiError(400, { message, param, code });

/** The request is fine but comes at the wrong time: the SDKs must not send it again by themselves. */
export const wrongState = (status: 400 | 409, message: string, param: string, code: string): ApiError =>
  new ApiError(status, { message, param, code, headers: { 'x-should-retry': 'false' } });

export const fileNotFound = (id: string): ApiError =>
  new ApiError(404, { message: `No such File object: ${id}`, param: 'id' });

export const uploadNotFound = (id: string): ApiError =>
  new ApiError(404, { message: `No such Upload object: ${id}`, param: 'upload_id', code: 'upload_not_found' });

export const jobNotFound = (id: string): ApiError =>
  new ApiError(404, {
    message: `Could not find fine tune: ${id}`,
    param: 'fine_tune_id',
    code: 'fine_tune_not_found',
  });

export const modelNotFound = (id: string): ApiError =>
  new ApiError(404, {
    message: `The model '${id}' does not exist. GET /v1/models lists those that do.`,
    param: 'model',
    code: 'model_not_found',
  });

/** What any thrown value looks like to the client. Everything that nobody foresaw is a 500 that tells no details. */
export function toApiError(error: unknown, requestId: string): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof UnknownCursorError) {
    const { message, param } = error;
    const use = param === 'after' ? 'the last item of the page before' : 'the first item of the page after';
    return badRequest(`${message} Use the id of ${use}.`, param, `invalid_${param}`);
  }
  if (error instanceof FileMissingError) return badRequest(error.message, error.param, 'file_not_found');
  if (error instanceof FileInUseError) return wrongState(409, error.message, 'id', 'file_in_use');
  if (error instanceof ModelInUseError) return wrongState(409, error.message, 'model', 'model_in_use');
  if (error instanceof CheckpointMissingError) return badRequest(error.message, 'model', 'model_not_found');
  const foreseen = fromFastify(error);
  if (foreseen) return foreseen;
  return new ApiError(500, {
    message: `The server had an error while processing your request. Its log tells more under request id ${requestId}.`,
  });
}

/** Refusals of Fastify and its plugins: they carry a 4xx and a code that starts with FST_. */
function fromFastify(error: unknown): ApiError | null {
  if (!(error instanceof Error) || !('code' in error) || !('statusCode' in error)) return null;
  const { code, statusCode, message } = error as Error & { code: unknown; statusCode: unknown };
  if (typeof code !== 'string' || !code.startsWith('FST_') || typeof statusCode !== 'number') return null;
  if (statusCode < 400 || statusCode >= 500) return null;
  switch (code) {
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
      return badRequest(
        `The body of your request is not valid JSON: ${message}. Send one JSON object.`,
        null,
        'invalid_json',
      );
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new ApiError(413, {
        message: 'The body of your request is too large. Send data as a file with POST /v1/files.',
        code: 'request_too_large',
      });
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new ApiError(415, {
        message: `${message}. Send 'Content-Type: application/json', or 'multipart/form-data' to upload a file.`,
        param: 'content-type',
        code: 'unsupported_media_type',
      });
    case 'FST_INVALID_MULTIPART_CONTENT_TYPE':
      return new ApiError(415, {
        message:
          "Files are uploaded as a form: send 'Content-Type: multipart/form-data' with the parts 'purpose' and 'file'.",
        param: 'content-type',
        code: 'unsupported_media_type',
      });
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new ApiError(404, { message: 'Nothing has an id as long as the one in the URL.', code: 'unknown_url' });
    case 'FST_ERR_BAD_URL':
      return badRequest('The URL has a broken percent-encoding.', null, 'invalid_url');
    default:
      // OpenAI answers 400 where frameworks say 406 or 422.
      return new ApiError([400, 401, 403, 404, 405, 408, 409, 413, 415, 429].includes(statusCode) ? statusCode : 400, {
        message,
        code: code.toLowerCase(),
      });
  }
}

/** Sends any thrown value; logs those that are our fault. */
export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const known = toApiError(error, request.id);
  if (known.status >= 500) request.log.error({ err: error }, 'request failed');
  void reply
    .code(known.status)
    .headers({ 'x-request-id': request.id, ...known.headers })
    .send(known.toJSON());
}

/**
 * Every failure in OpenAI's shape, also those that no route sees: unknown paths (404), known paths with another method
 * (405), and OPTIONS, which answers what a path allows.
 */
export const errorHandling = fp(async (app: FastifyInstance) => {
  const routes: { pattern: RegExp; methods: string[] }[] = [];
  app.addHook('onRoute', (route) => {
    const source = route.url
      .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
      .replace(/:\w+/g, '[^/]+')
      .replace(/\*/g, '.+');
    routes.push({ pattern: new RegExp(`^${source}$`), methods: [route.method].flat() });
  });

  app.setErrorHandler(sendError);
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const allowed = new Set(routes.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods));
    const allow = [...allowed, 'OPTIONS'].sort().join(', ');
    if (allowed.size === 0) {
      throw new ApiError(404, { message: `Invalid URL (${request.method} ${path})`, code: 'unknown_url' });
    }
    if (request.method === 'OPTIONS') return reply.code(204).header('allow', allow).send();
    throw new ApiError(405, {
      message: `Not allowed to ${request.method} on ${path}. Allowed: ${allow}.`,
      code: 'method_not_supported',
      headers: { allow },
    });
  });
});
