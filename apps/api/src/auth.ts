import type { KeyScope } from '@polymode/contracts';
import { type Caller, type Database, getProject, verifyApiKey } from '@polymode/db';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { ApiError, badRequest } from './errors.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks. Every route under `/v1` has one. */
    caller: Caller;
  }
}

const RANK: Record<KeyScope, number> = { read: 0, write: 1, admin: 2 };

/**
 * Lets a request through that carries `Authorization: Bearer <key>` with a key that is known, not revoked, and allowed to do
 * what the route does. An admin key may act in another project of its organization: `OpenAI-Project` names it. Headers that
 * name something unknown here are left over from another service and ignored; the answer's `openai-project` tells where the
 * request went.
 */
export const bearerAuth = fp(async (app: FastifyInstance, { db }: { db: Database }) => {
  // Set by the hook before any handler runs.
  app.decorateRequest('caller', null as unknown as Caller);
  app.addHook('onRequest', async (request, reply) => {
    const key = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];
    if (!key) {
      throw unauthorized("You didn't provide an API key. Send it as a header: 'Authorization: Bearer YOUR_KEY'.");
    }
    const caller = await verifyApiKey(db, key);
    if (!caller) {
      throw unauthorized('Incorrect API key provided. Use a key of this service, such as the one in POLYMODE_API_KEY.');
    }
    request.caller = await inRequestedProject(db, caller, request.headers['openai-project']);
    reply.headers({ 'openai-organization': caller.organizationId, 'openai-project': request.caller.projectId });
    const needed = request.routeOptions.config.operation?.scope ?? 'read';
    if (RANK[caller.scope] < RANK[needed]) throw forbidden(caller.scope, needed);
  });
});

async function inRequestedProject(
  db: Database,
  caller: Caller,
  requested: string | string[] | undefined,
): Promise<Caller> {
  if (typeof requested !== 'string' || requested === caller.projectId || caller.scope !== 'admin') return caller;
  const project = await getProject(db, caller.organizationId, requested);
  if (project === null) return caller;
  if (project.archivedAt === null) return { ...caller, projectId: project.id };
  const message = `Project ${project.id} is archived. Name another in the header 'OpenAI-Project', or none.`;
  throw badRequest(message, 'OpenAI-Project', 'project_archived');
}

function unauthorized(message: string): ApiError {
  return new ApiError(401, { message, code: 'invalid_api_key', headers: { 'www-authenticate': 'Bearer' } });
}

function forbidden(scope: KeyScope, needed: KeyScope): ApiError {
  const message = `You have insufficient permissions for this operation: it needs a key of scope '${needed}', and this one has '${scope}'.`;
  return new ApiError(403, { message, code: 'insufficient_permissions' });
}
