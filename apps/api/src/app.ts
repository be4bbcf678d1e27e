import { randomUUID } from 'node:crypto';
import { parse as parsePlainQuery } from 'node:querystring';
import multipart from '@fastify/multipart';
import { type FastifyBaseLogger, type FastifyInstance, fastify } from 'fastify';
import { parse as parseQuery } from 'qs';
import { bearerAuth } from './auth.js';
import { crossOrigin } from './cross-origin.js';
import type { ApiDependencies } from './dependencies.js';
import { ApiError, badRequest, errorHandling, sendError } from './errors.js';
import { rateLimit } from './rate-limit.js';
import { RequestLog } from './request-log.js';
import { checkpointRoutes } from './routes/checkpoints.js';
import { completionRoutes } from './routes/completions.js';
import { documentationRoutes } from './routes/documentation.js';
import { eventRoutes } from './routes/events.js';
import { fileRoutes } from './routes/files.js';
import { fineTuningJobRoutes } from './routes/fine-tuning-jobs.js';
import { graderRoutes } from './routes/graders.js';
import { healthRoutes } from './routes/health.js';
import { jobRecordRoutes } from './routes/job-records.js';
import { modelRoutes } from './routes/models.js';
import { organizationRoutes } from './routes/organization.js';
import { permissionRoutes } from './routes/permissions.js';
import { uploadRoutes } from './routes/uploads.js';
import { webhookEndpointRoutes } from './routes/webhook-endpoints.js';
import { unreadBody } from './unread-body.js';
import { unusedConnections } from './unused-connections.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** The fine-tuning job that the request is about; its log line carries it. */
    jobId: string | null;
  }
}

/** The API on everything it needs, not listening yet. */
export async function buildApp(deps: ApiDependencies): Promise<FastifyInstance> {
  const app = fastify({
    loggerInstance: deps.logger as FastifyBaseLogger,
    logController: new RequestLog(deps.logger.isLevelEnabled('debug')),
    requestIdHeader: false,
    genReqId: (request) => {
      const given = request.headers['x-request-id'];
      return typeof given === 'string' && /^[\w.-]{1,128}$/.test(given) ? given : newRequestId();
    },
    bodyLimit: 8 * 1024 * 1024,
    routerOptions: {
      // Names of checkpoints are long, and each of their characters may come as three.
      maxParamLength: 1000,
      // Names are the client's, so none of them may mean something to JavaScript.
      querystringParser: (text) =>
        /[[\]]|%5[bd]/i.test(text)
          ? parseQuery(text, { depth: 1, parameterLimit: 200, plainObjects: true, allowSparse: true })
          : parsePlainQuery(text, '&', '=', { maxKeys: 200 }),
    },
    frameworkErrors: (error, request, reply) => sendError(error, request, reply),
    // Requests that are not even HTTP.
    clientErrorHandler: (error, socket) => {
      if (!socket.writable) return;
      const refusal = badRequest('The request is not valid HTTP/1.1.', null, error.code.toLowerCase());
      const body = JSON.stringify(refusal);
      socket.end(
        'HTTP/1.1 400 Bad Request\r\nContent-Type: application/json; charset=utf-8\r\nConnection: close\r\n' +
          `x-request-id: ${newRequestId()}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
    },
  });

  app.decorateRequest('jobId', null);
  app.decorate('checkResponses', deps.checkResponses ?? false);
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    // PostgreSQL's text holds every character but this one, so no id or filter has it.
    const hasNul = request.url.includes('%00');
    done(hasNul ? badRequest('The URL holds a NUL character (%00).', null, 'invalid_url') : undefined);
  });

  // Node refuses expectations that it does not know with an empty answer; without them requests are as good.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));

  parseBodies(app);
  await app.register(crossOrigin);
  await app.register(errorHandling);
  await app.register(unreadBody);
  await app.register(unusedConnections);
  await app.register(multipart, {
    throwFileSizeLimit: false,
    limits: { fileSize: Number.POSITIVE_INFINITY, fieldSize: 4096, fields: 20, files: 1, parts: 21 },
  });
  await app.register(healthRoutes, deps);
  await app.register(documentationRoutes);
  await app.register(
    async (v1) => {
      await v1.register(bearerAuth, deps);
      await v1.register(rateLimit, { requestsPerMinute: deps.requestsPerMinute ?? 0 });
      await v1.register(fileRoutes, deps);
      await v1.register(fineTuningJobRoutes, deps);
      await v1.register(eventRoutes, deps);
      await v1.register(checkpointRoutes, deps);
      await v1.register(graderRoutes, deps);
      await v1.register(uploadRoutes, deps);
      await v1.register(jobRecordRoutes, deps);
      await v1.register(permissionRoutes, deps);
      await v1.register(modelRoutes, deps);
      await v1.register(completionRoutes, deps);
      await v1.register(organizationRoutes, deps);
      await v1.register(webhookEndpointRoutes, deps);
    },
    { prefix: '/v1' },
  );
  return app;
}

function newRequestId(): string {
  // 122 random bits of a pool that Node fills a thousand at a time.
  return `req_${randomUUID().replaceAll('-', '')}`;
}

/** JSON only, and no body at all under any content type: clients send `Content-Type: application/json` with empty POSTs. */
function parseBodies(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body.length === 0) done(null, undefined);
    else parseJson(request, body as string, done);
  });
  app.addContentTypeParser('*', (request, _payload, done) => {
    if (request.headers['content-length'] === '0') return done(null, undefined);
    const type = request.headers['content-type'];
    done(
      new ApiError(415, {
        message: `Unsupported content type '${type}'. Send 'application/json', or 'multipart/form-data' to upload a file.`,
        param: 'content-type',
        code: 'unsupported_media_type',
      }),
    );
  });
}
