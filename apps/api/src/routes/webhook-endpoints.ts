import { isIP } from 'node:net';
import {
  type CreatedWebhookEndpoint,
  operations,
  type WebhookEndpoint,
  type WebhookEndpointDeleted,
  type WebhookEndpointList,
} from '@polymode/contracts';
import {
  createWebhookEndpoint,
  deleteWebhookEndpoint,
  getWebhookEndpoint,
  listWebhookEndpoints,
  type WebhookEndpointRecord,
} from '@polymode/db';
import { mayReach } from '@polymode/verifiers';
import type { FastifyInstance } from 'fastify';
import type { ApiDependencies } from '../dependencies.js';
import { ApiError, badRequest } from '../errors.js';
import { toSeconds } from '../ids.js';
import { toList } from '../pagination.js';
import { serve } from '../serve.js';
import { requireStorable } from '../validation.js';

/** Where a project wants to be told of its jobs' ends. */
export async function webhookEndpointRoutes(
  app: FastifyInstance,
  { db, webhookAllow = [] }: ApiDependencies,
): Promise<void> {
  serve(app, operations.createWebhookEndpoint, async ({ body, caller }): Promise<CreatedWebhookEndpoint> => {
    requireStorable(body, []);
    requirePublic(new URL(body.url).hostname, webhookAllow);
    const { projectId, organizationId, keyId } = caller;
    const endpoint = await createWebhookEndpoint(db, { projectId, organizationId, ...body }, keyId);
    return { ...toEndpoint(endpoint), secret: endpoint.secret };
  });

  serve(app, operations.listWebhookEndpoints, async ({ query, caller }): Promise<WebhookEndpointList> => {
    return toList(await listWebhookEndpoints(db, caller.projectId, query), toEndpoint);
  });

  serve(app, operations.retrieveWebhookEndpoint, async ({ params, caller }): Promise<WebhookEndpoint> => {
    const endpoint = await getWebhookEndpoint(db, caller.projectId, params.webhook_endpoint_id);
    if (!endpoint) throw notFound(params.webhook_endpoint_id);
    return toEndpoint(endpoint);
  });

  serve(app, operations.deleteWebhookEndpoint, async ({ params, caller }): Promise<WebhookEndpointDeleted> => {
    const id = params.webhook_endpoint_id;
    if (!(await deleteWebhookEndpoint(db, caller, id, caller.keyId))) throw notFound(id);
    return { id, object: 'webhook_endpoint', deleted: true };
  });
}

/** What a name stands for is looked at when it is told something; what is plainly private is refused now. */
function requirePublic(hostname: string, allow: readonly string[]): void {
  const host = hostname.replace(/^\[|\]$/g, '');
  const address = host === 'localhost' ? '127.0.0.1' : host;
  if (isIP(address) === 0 || mayReach(host, address, allow)) return;
  const message = `Invalid 'url': ${host} is a private address. Whoever runs this service allows it with POLYMODE_ENDPOINT_ALLOW.`;
  throw badRequest(message, 'url', 'private_address');
}

function notFound(id: string): ApiError {
  return new ApiError(404, {
    message: `No such webhook endpoint: ${id}`,
    param: 'webhook_endpoint_id',
    code: 'webhook_endpoint_not_found',
  });
}

function toEndpoint({ id, url, events, createdAt }: WebhookEndpointRecord): WebhookEndpoint {
  return { id, object: 'webhook_endpoint', url, events, created_at: toSeconds(createdAt) };
}
