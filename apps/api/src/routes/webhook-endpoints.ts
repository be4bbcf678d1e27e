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
import type { FastifyInstance } from 'fastify';
import type { ApiDependencies } from '../dependencies.js';
import { ApiError } from '../errors.js';
import { toSeconds } from '../ids.js';
import { toList } from '../pagination.js';
import { serve } from '../serve.js';
import { requireStorable } from '../validation.js';

/** Where a project wants to be told of its jobs' ends. */
export async function webhookEndpointRoutes(app: FastifyInstance, { db }: ApiDependencies): Promise<void> {
  serve(app, operations.createWebhookEndpoint, async ({ body, caller }): Promise<CreatedWebhookEndpoint> => {
    requireStorable(body, []);
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
