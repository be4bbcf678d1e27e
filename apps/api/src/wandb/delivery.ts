import {
  anyProject,
  appendEvents,
  claimWandbRuns,
  type Database,
  getJob,
  type JobRecord,
  listSteps,
  type NewEvent,
  settleWandbRun,
  type WandbOutcome,
  type WandbRunRecord,
} from '@polymode/db';
import type { Logger } from '@polymode/telemetry';
import { repeat } from '../repeat.js';
import { WandbClient, WandbRefusal } from './client.js';
import { exitCodeOf, type HistoryLine, historyLine, newRun, runId, summaryOf } from './run.js';
import { runUrl, type WandbSettings } from './settings.js';

export interface WandbDelivery {
  readonly db: Database;
  readonly logger: Logger;
  readonly settings: WandbSettings;
  /** Milliseconds between two looks for runs that are due. @defaultValue 1000 */
  readonly intervalMs?: number;
  /** Milliseconds between two batches of a run that has been told all. @defaultValue 10000 */
  readonly batchMs?: number;
  /** Milliseconds until a request is given up. @defaultValue 20000 */
  readonly timeoutMs?: number;
  /** Milliseconds before the attempt after so many; null: no more. @defaultValue 5 s, doubling to 10 minutes, for three days */
  readonly retryAfter?: (attempts: number) => number | null;
}

/** Runs at a time. */
const CONCURRENCY = 8;

/** Steps of one batch. */
const BATCH = 500;

/** Bytes of its lines, about; their own package sends up to 10 MiB. */
const BATCH_BYTES = 4 * 2 ** 20;

/** Milliseconds of silence after which a server is told that a run is alive; it takes one for crashed after minutes. */
const HEARTBEAT_MS = 30_000;

/**
 * Tells Weights & Biases of jobs' steps and ends. What it has been told is in the database, and a step's line has its place in
 * the run's history, so that a crash at any instant loses and doubles nothing. Any number of processes may send.
 *
 * @returns ends it, after the requests under way
 */
export function startWandb(delivery: WandbDelivery): () => Promise<void> {
  const { db, logger, settings, intervalMs = 1000, timeoutMs = 20_000 } = delivery;
  const client = new WandbClient(settings, timeoutMs);
  const run = async (stopping: AbortSignal): Promise<void> => {
    let claimed: WandbRunRecord[];
    do {
      // A claim makes two requests at most.
      claimed = await claimWandbRuns(db, CONCURRENCY, timeoutMs * 3);
      await Promise.all(claimed.map((claim) => attend(delivery, client, claim)));
    } while (claimed.length === CONCURRENCY && !stopping.aborted);
  };
  return repeat(run, intervalMs, (err) => logger.warn({ err }, 'Weights & Biases could not be looked after'));
}

async function attend(delivery: WandbDelivery, client: WandbClient, claim: WandbRunRecord): Promise<void> {
  const { db, logger, retryAfter = defaultRetry } = delivery;
  const { jobId, index, attempts } = claim;
  const job = await getJob(db, anyProject, jobId);
  if (!job) return;
  let outcome: WandbOutcome;
  try {
    outcome = await send(delivery, client, claim, job);
  } catch (failure) {
    const error = failure instanceof Error ? failure.message : String(failure);
    const reason = failure instanceof WandbRefusal ? failure.reason : 'later';
    const nextInMs = reason === 'hopeless' ? null : retryAfter(attempts);
    logger.warn({ jobId, index, attempts, error, nextInMs }, 'Weights & Biases was not told');
    if (nextInMs === null || reason === 'refused') await appendEvents(db, jobId, [troubleEvent(index, reason, error)]);
    outcome = { error, nextInMs };
  }
  await settleWandbRun(db, claim, outcome);
}

/** Makes the run if there is none yet, and tells it the next steps, or the job's end if there are no more. */
async function send(
  { db, settings, batchMs = 10_000, logger }: WandbDelivery,
  client: WandbClient,
  claim: WandbRunRecord,
  job: JobRecord,
): Promise<WandbOutcome> {
  const { jobId, index, sentStep, sentAt } = claim;
  // It ended before it began, so there is nothing to say.
  if (job.startedAt === null) return { error: null, nextInMs: null };
  const id = runId(jobId, index);
  let { entity, project } = claim;
  if (entity === null || project === null) {
    ({ entity, project } = await client.upsertRun(newRun(job, index, settings.entity)));
    await appendEvents(db, jobId, [createdEvent(index, runUrl(settings.baseUrl, { entity, project }, id))]);
    logger.info({ jobId, index, entity, project }, 'run of Weights & Biases created');
  }
  const path = { entity, project };
  // A job that has ended records no more steps, so after what was read of it these are all.
  const steps = await listSteps(db, jobId, { afterStep: sentStep, limit: BATCH });
  const figures = steps.map((step) => historyLine(job, step));
  const lines = fitting(figures.map((line) => JSON.stringify(line)));
  const more = lines.length < steps.length || steps.length === BATCH;
  const exitCode = more ? undefined : exitCodeOf(job);
  const silent = lines.length === 0 && exitCode === undefined;
  if (silent && sentAt !== null && Date.now() - sentAt.getTime() < HEARTBEAT_MS) {
    return { error: null, nextInMs: batchMs };
  }
  const last = figures[lines.length - 1] ?? (exitCode === undefined ? null : await lastLine(db, job, sentStep));
  await client.tell(
    { ...path, id },
    {
      // Steps count from 1 without a gap, and lines from 0.
      ...(lines.length > 0 && { history: { offset: sentStep, lines } }),
      ...(!silent && { summary: summaryOf(job, last) }),
      ...(exitCode !== undefined && { exitCode }),
    },
  );
  return {
    path,
    sentStep: sentStep + lines.length,
    sentAt: new Date(),
    error: null,
    nextInMs: exitCode !== undefined ? null : more ? 0 : batchMs,
  };
}

/** Of some lines as many as go into one request, and one at least. */
function fitting(lines: readonly string[]): readonly string[] {
  let bytes = 0;
  const beyond = lines.findIndex((line, i) => {
    bytes += Buffer.byteLength(line);
    return i > 0 && bytes > BATCH_BYTES;
  });
  return beyond === -1 ? lines : lines.slice(0, beyond);
}

async function lastLine(db: Database, job: JobRecord, step: number): Promise<HistoryLine | null> {
  const [last] = await listSteps(db, job.id, { afterStep: step - 1, limit: 1 });
  return last ? historyLine(job, last) : null;
}

function createdEvent(index: number, url: string): NewEvent {
  return { dedupeKey: `wandb:${index}`, message: `Weights & Biases run created: ${url}` };
}

/** Of each run the first alone is stored. */
function troubleEvent(index: number, reason: WandbRefusal['reason'], error: string): NewEvent {
  const message =
    reason === 'refused'
      ? `Weights & Biases does not take this job's metrics with the key in WANDB_API_KEY: it ${error}; they follow once it does`
      : `Weights & Biases was given up on and misses metrics of this job: it ${error}`;
  return { dedupeKey: `wandb:${index}:trouble`, level: 'warn', message };
}

/** 5 s, 10 s, … to 10 minutes; 440 attempts are three days and a little. */
function defaultRetry(attempts: number): number | null {
  return attempts >= 440 ? null : Math.min(5000 * 2 ** (attempts - 1), 600_000);
}
