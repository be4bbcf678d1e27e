import { randomBytes } from 'node:crypto';
import { type AuditActor, recordAudit } from './audit-repository.js';
import type { Database, DatabaseOrTransaction } from './client.js';
import { UnknownCursorError } from './errors.js';
import type { WebhookEndpoint } from './generated/client.js';
import { type Page, type PageRequest, toPage } from './pagination.js';

export type WebhookEvent = 'fine_tuning.job.succeeded' | 'fine_tuning.job.failed' | 'fine_tuning.job.cancelled';

export interface WebhookEndpointRecord {
  id: string;
  projectId: string;
  url: string;
  /** `whsec_` and base64. */
  secret: string;
  events: WebhookEvent[];
  createdAt: Date;
}

/** One thing to tell one endpoint, claimed by one deliverer. */
export interface WebhookDeliveryRecord {
  /** `evt_…`, the same in every attempt. */
  id: string;
  type: string;
  jobId: string;
  createdAt: Date;
  /** This one included. */
  attempts: number;
  url: string;
  secret: string;
}

/** @returns the endpoint, with the secret that its receiver verifies signatures with */
export async function createWebhookEndpoint(
  db: Database,
  endpoint: { projectId: string; organizationId: string; url: string; events: WebhookEvent[] },
  actor: AuditActor,
): Promise<WebhookEndpointRecord> {
  const { organizationId, ...data } = endpoint;
  return db.$transaction(async (tx) => {
    const row = await tx.webhookEndpoint.create({
      data: {
        ...data,
        id: `we_${randomBytes(12).toString('hex')}`,
        secret: `whsec_${randomBytes(24).toString('base64')}`,
      },
    });
    await recordAudit(tx, {
      organizationId,
      projectId: row.projectId,
      type: 'webhook_endpoint.created',
      actor,
      data: { id: row.id, url: row.url },
    });
    return toEndpoint(row);
  });
}

export async function getWebhookEndpoint(
  db: Database,
  projectId: string,
  id: string,
): Promise<WebhookEndpointRecord | null> {
  const row = await db.webhookEndpoint.findFirst({ where: { id, projectId } });
  return row && toEndpoint(row);
}

/** Oldest first. */
export async function listWebhookEndpoints(
  db: Database,
  projectId: string,
  request: PageRequest,
): Promise<Page<WebhookEndpointRecord>> {
  let beyond: bigint | undefined;
  if (request.after !== undefined) {
    const cursor = await db.webhookEndpoint.findFirst({
      where: { id: request.after, projectId },
      select: { seq: true },
    });
    if (!cursor) throw new UnknownCursorError(request.after);
    beyond = cursor.seq;
  }
  const rows = await db.webhookEndpoint.findMany({
    where: { projectId, ...(beyond === undefined ? {} : { seq: { gt: beyond } }) },
    orderBy: { seq: 'asc' },
    take: request.limit + 1,
  });
  return toPage(rows, request.limit, toEndpoint);
}

/** What it was still to be told goes with it. @returns false when the project has none */
export async function deleteWebhookEndpoint(
  db: Database,
  caller: { projectId: string; organizationId: string },
  id: string,
  actor: AuditActor,
): Promise<boolean> {
  const { projectId, organizationId } = caller;
  return db.$transaction(async (tx) => {
    const row = await tx.webhookEndpoint.findFirst({ where: { id, projectId } });
    if (!row) return false;
    await tx.webhookEndpoint.deleteMany({ where: { id } });
    const data = { id, url: row.url };
    await recordAudit(tx, { organizationId, projectId, type: 'webhook_endpoint.deleted', actor, data });
    return true;
  });
}

/** Notes down, in the transaction of what happened, every endpoint of the job's project that wants to know. */
export async function tellWebhooks(
  tx: DatabaseOrTransaction,
  job: { id: string; projectId: string },
  type: WebhookEvent,
): Promise<void> {
  const endpoints = await tx.webhookEndpoint.findMany({
    where: { projectId: job.projectId, events: { has: type } },
    select: { id: true },
  });
  if (endpoints.length === 0) return;
  await tx.webhookDelivery.createMany({
    data: endpoints.map(({ id }) => ({
      id: `evt_${randomBytes(12).toString('hex')}`,
      endpointId: id,
      type,
      jobId: job.id,
    })),
  });
}

/**
 * Takes deliveries that are due, for one deliverer: others do not see them until `leaseMs` have passed without
 * {@link settleDelivery}.
 */
export async function claimDeliveries(db: Database, limit: number, leaseMs: number): Promise<WebhookDeliveryRecord[]> {
  return db.$queryRaw<WebhookDeliveryRecord[]>`
    UPDATE webhook_deliveries d
    SET attempts = d.attempts + 1,
        next_attempt_at = clock_timestamp() + ${leaseMs}::float8 * interval '1 millisecond'
    FROM webhook_endpoints e
    WHERE e.id = d.endpoint_id AND d.id IN (
      SELECT id FROM webhook_deliveries WHERE next_attempt_at <= clock_timestamp()
      ORDER BY next_attempt_at LIMIT ${limit} FOR UPDATE SKIP LOCKED)
    RETURNING d.id, d.type, d.job_id AS "jobId", d.created_at AS "createdAt", d.attempts, e.url, e.secret`;
}

/**
 * Records how an attempt ended.
 *
 * @param outcome `retryInMs` null gives it up
 */
export async function settleDelivery(
  db: Database,
  id: string,
  outcome: { delivered: true } | { delivered: false; error: string; retryInMs: number | null },
): Promise<void> {
  if (outcome.delivered) {
    const data = { deliveredAt: new Date(), nextAttemptAt: null, lastError: null };
    await db.webhookDelivery.updateMany({ where: { id }, data });
    return;
  }
  const { error, retryInMs } = outcome;
  const nextAttemptAt = retryInMs === null ? null : new Date(Date.now() + retryInMs);
  await db.webhookDelivery.updateMany({ where: { id }, data: { lastError: error.slice(0, 500), nextAttemptAt } });
}

/** Forgets deliveries that were made, or given up, and are from before that time. @returns their ids, at most so many */
export async function forgetDeliveries(db: Database, before: Date, limit: number): Promise<string[]> {
  const rows = await db.webhookDelivery.findMany({
    where: { nextAttemptAt: null, createdAt: { lt: before } },
    select: { id: true },
    take: limit,
  });
  const ids = rows.map(({ id }) => id);
  await db.webhookDelivery.deleteMany({ where: { id: { in: ids } } });
  return ids;
}

function toEndpoint({ id, projectId, url, secret, events, createdAt }: WebhookEndpoint): WebhookEndpointRecord {
  return { id, projectId, url, secret, events: events as WebhookEvent[], createdAt };
}
