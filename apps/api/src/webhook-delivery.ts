import { createHmac } from 'node:crypto';
import type { WebhookPayload } from '@polymode/contracts';
import { claimDeliveries, type Database, settleDelivery, type WebhookDeliveryRecord } from '@polymode/db';
import type { Logger } from '@polymode/telemetry';
import { postJson } from '@polymode/verifiers';
import { toSeconds } from './ids.js';
import { repeat } from './repeat.js';

export interface WebhookSettings {
  readonly db: Database;
  readonly logger: Logger;
  /** Private hosts and networks that may be told. */
  readonly allow: readonly string[];
  /** Milliseconds between two looks for what is to be told. @defaultValue 1000 */
  readonly intervalMs?: number;
  /** Milliseconds until an attempt is given up. @defaultValue 10000 */
  readonly timeoutMs?: number;
  /** Milliseconds before the attempt after so many; null: no more. @defaultValue 5 s, doubling to 6 h, for three days */
  readonly retryAfter?: (attempts: number) => number | null;
}

/** At a time. */
const CONCURRENCY = 8;

/**
 * Tells endpoints what happened, each until it answers 2xx. What is to be told was written down with what happened, so a
 * crash loses nothing; it may tell something twice, under the same `webhook-id`. Any number of processes may deliver.
 *
 * @returns ends it, after the attempts under way
 */
export function startWebhooks(settings: WebhookSettings): () => Promise<void> {
  const { db, logger, intervalMs = 1000, timeoutMs = 10_000 } = settings;
  const run = async (stopping: AbortSignal): Promise<void> => {
    let claimed: WebhookDeliveryRecord[];
    do {
      claimed = await claimDeliveries(db, CONCURRENCY, timeoutMs * 3);
      await Promise.all(claimed.map((delivery) => deliver(settings, delivery)));
    } while (claimed.length === CONCURRENCY && !stopping.aborted);
  };
  return repeat(run, intervalMs, (err) => logger.warn({ err }, 'webhooks could not be looked after'));
}

async function deliver(
  { db, logger, allow, timeoutMs = 10_000, retryAfter = defaultRetry }: WebhookSettings,
  delivery: WebhookDeliveryRecord,
): Promise<void> {
  const { id, type, jobId, createdAt, url, secret, attempts } = delivery;
  const payload: WebhookPayload = {
    id,
    object: 'event',
    type: type as WebhookPayload['type'],
    created_at: toSeconds(createdAt),
    data: { id: jobId },
  };
  const body = JSON.stringify(payload);
  let error: string;
  try {
    const { status } = await postJson(new URL(url), body, {
      headers: { 'user-agent': 'Polymode-Webhooks/1', ...signature(id, new Date(), body, secret) },
      timeoutMs,
      allow,
    });
    if (status >= 200 && status < 300) {
      await settleDelivery(db, id, { delivered: true });
      logger.info({ webhookId: id, jobId, type, attempts }, 'webhook delivered');
      return;
    }
    error = `answered ${status}`;
  } catch (failure) {
    error = failure instanceof Error ? failure.message : String(failure);
  }
  const retryInMs = retryAfter(attempts);
  logger.warn({ webhookId: id, jobId, type, attempts, error, retryInMs }, 'webhook not delivered');
  await settleDelivery(db, id, { delivered: false, error, retryInMs });
}

/**
 * The headers that `client.webhooks.unwrap` verifies: HMAC-SHA256 of `id.timestamp.body` under the secret's bytes, as
 * Standard Webhooks have it.
 *
 * @param secret `whsec_` and base64
 */
export function signature(id: string, time: Date, body: string, secret: string): Record<string, string> {
  const timestamp = String(toSeconds(time));
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const digest = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${digest}` };
}

/** 5 s, 10 s, … to 6 h; 24 attempts are three days and a little. */
function defaultRetry(attempts: number): number | null {
  return attempts >= 24 ? null : Math.min(5000 * 2 ** (attempts - 1), 6 * 3_600_000);
}
