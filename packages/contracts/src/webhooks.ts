import { z } from 'zod';
import { listOf, pageQuery } from './pagination.js';

export const WebhookEvent = z.enum([
  'fine_tuning.job.succeeded',
  'fine_tuning.job.failed',
  'fine_tuning.job.cancelled',
]);
export type WebhookEvent = z.infer<typeof WebhookEvent>;

export const CreateWebhookEndpointRequest = z.strictObject({
  url: z.url({ protocol: /^https?$/, error: 'Expected an http or https URL.' }).max(2048),
  /** Left out: all. */
  events: z
    .array(WebhookEvent)
    .min(1)
    .nullish()
    .transform((events) => [...new Set(events ?? WebhookEvent.options)]),
});
export type CreateWebhookEndpointRequest = z.infer<typeof CreateWebhookEndpointRequest>;

const fields = {
  id: z.string(),
  object: z.literal('webhook_endpoint'),
  url: z.string(),
  events: z.array(WebhookEvent),
  created_at: z.int(),
};

export const WebhookEndpoint = z.object(fields);
export type WebhookEndpoint = z.infer<typeof WebhookEndpoint>;

export const CreatedWebhookEndpoint = z.object({
  ...fields,
  /** What `client.webhooks.unwrap` verifies deliveries with, shown this once. */
  secret: z.string(),
});
export type CreatedWebhookEndpoint = z.infer<typeof CreatedWebhookEndpoint>;

export const WebhookEndpointDeleted = z.object({
  id: z.string(),
  object: z.literal('webhook_endpoint'),
  deleted: z.literal(true),
});
export type WebhookEndpointDeleted = z.infer<typeof WebhookEndpointDeleted>;

export const ListWebhookEndpointsQuery = z.object(pageQuery({ fallback: 20, maximum: 100 }));
export const WebhookEndpointList = listOf(WebhookEndpoint);
export type WebhookEndpointList = z.infer<typeof WebhookEndpointList>;

/** What an endpoint is sent. */
export const WebhookPayload = z.object({
  id: z.string(),
  object: z.literal('event'),
  type: WebhookEvent,
  created_at: z.int(),
  data: z.object({ id: z.string() }),
});
export type WebhookPayload = z.infer<typeof WebhookPayload>;
