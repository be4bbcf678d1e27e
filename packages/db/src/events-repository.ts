import { createHash } from 'node:crypto';
import type { PoolClient } from 'pg';
import { type Database, type DatabaseOrTransaction, type JsonObject, toNullableJson } from './client.js';
import { UnknownCursorError } from './errors.js';
import type { EventLevel, FineTuningEvent, JobStatus } from './generated/client.js';
import { type Page, type PageRequest, toPage } from './pagination.js';
import { execute, inTransaction, listOf, run, type Statement } from './statements.js';

export interface EventRecord {
  id: string;
  /** Grows with every event; what is committed later for the same job has the larger one. */
  sequence: number;
  jobId: string;
  level: EventLevel;
  type: 'message' | 'metrics';
  message: string;
  data: JsonObject | null;
  createdAt: Date;
}

export interface NewEvent {
  /** Names the happening within its job, such as `step:12`. A second event of the same key is not stored. */
  dedupeKey: string;
  message: string;
  /** @defaultValue 'info' */
  level?: EventLevel;
  /** @defaultValue 'message' */
  type?: 'message' | 'metrics';
  data?: JsonObject | null;
}

/** Appends events in the given order, skipping those whose key the job already has. Throws when there is no such job. */
export async function appendEvents(db: Database, jobId: string, events: NewEvent[]): Promise<void> {
  await inTransaction(db, async (connection) => {
    // Appending under the job's lock makes sequence order equal commit order, so that a reader who pages never skips one.
    await execute(connection, LOCK_JOB, [jobId]);
    await insertEventsOn(connection, jobId, events);
  });
}

const LOCK_JOB: Statement = {
  name: 'lock job',
  text: 'SELECT id FROM fine_tuning_jobs WHERE id = $1 FOR NO KEY UPDATE',
};

/** For transactions that hold the job's row lock already. */
export async function insertEvents(tx: DatabaseOrTransaction, jobId: string, events: NewEvent[]): Promise<void> {
  if (events.length === 0) return;
  await tx.fineTuningEvent.createMany({
    data: events.map((event) => ({
      id: eventId(jobId, event.dedupeKey),
      jobId,
      dedupeKey: event.dedupeKey,
      level: event.level ?? 'info',
      type: event.type ?? 'message',
      message: event.message,
      data: toNullableJson(event.data),
    })),
    skipDuplicates: true,
  });
}

/** The same on a connection of {@link inTransaction}. */
export async function insertEventsOn(
  connection: PoolClient,
  jobId: string,
  events: readonly NewEvent[],
): Promise<void> {
  if (events.length === 0) return;
  await execute(connection, INSERT_EVENTS, [
    jobId,
    events.map((event) => eventId(jobId, event.dedupeKey)),
    events.map((event) => event.dedupeKey),
    events.map((event) => event.level ?? 'info'),
    events.map((event) => event.type ?? 'message'),
    events.map((event) => event.message),
    events.map((event) => (event.data ? JSON.stringify(event.data) : null)),
  ]);
}

const INSERT_EVENTS: Statement = {
  name: 'insert events',
  text: `
    INSERT INTO fine_tuning_events (job_id, id, dedupe_key, level, type, message, data)
    SELECT $1, id, key, level::event_level, type, message, data::jsonb
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
      WITH ORDINALITY AS e(id, key, level, type, message, data, place)
    ORDER BY place
    ON CONFLICT DO NOTHING`,
};

/** Newest first. */
export async function listEvents(db: Database, jobId: string, request: PageRequest): Promise<Page<EventRecord>> {
  let before: number | null = null;
  if (request.after !== undefined) {
    before = await eventSequence(db, jobId, request.after);
    if (before === null) throw new UnknownCursorError(request.after);
  }
  const rows = await run(db, EVENTS, [jobId, before, request.limit + 1]);
  return toPage(rows, request.limit, (row) => row);
}

const EVENTS = listOf<EventRecord>(
  'events',
  `
    SELECT id, seq::float8 AS sequence, job_id AS "jobId", level::text AS level, type, message, data,
           created_at AS "createdAt"
    FROM fine_tuning_events
    WHERE job_id = $1 AND seq < COALESCE($2::bigint, 9223372036854775807)
    ORDER BY seq DESC LIMIT $3`,
  ['createdAt'],
);

/**
 * Oldest first, those after a sequence number: for a reader that follows a job.
 *
 * @param afterSequence 0 for all
 */
export async function listEventsSince(
  db: Database,
  jobId: string,
  afterSequence: number,
  limit: number,
): Promise<EventRecord[]> {
  const rows = await db.fineTuningEvent.findMany({
    where: { jobId, seq: { gt: BigInt(afterSequence) } },
    orderBy: { seq: 'asc' },
    take: limit,
  });
  return rows.map(toEventRecord);
}

/** How a reader who follows a job stands. */
export interface EventCursor {
  jobId: string;
  /** That of the last event it has; 0 before the first. */
  afterSequence: number;
}

/** What a reader has not seen yet. */
export interface EventNews {
  /** null when the job is gone */
  status: JobStatus | null;
  /** In order. */
  events: EventRecord[];
  /** Whether these are all that had happened when `status` was read. */
  complete: boolean;
}

/** Of each reader, however many there are. */
const LEAST_EVENTS = 10;

/**
 * News for many readers in two statements: what became of their jobs, and then the events that each has not seen, in order,
 * so that the last events of a job that has ended are among them. Readers at the same place of a job share what is read.
 *
 * @param limit events to read in all, about: each place has its equal part, so that nobody who is far behind keeps others waiting
 * @returns one for each reader
 */
export async function pollEvents(db: Database, readers: readonly EventCursor[], limit: number): Promise<EventNews[]> {
  const places = new Map(readers.map((reader) => [placeOf(reader), reader]));
  const asked = [...places.values()];
  const each = Math.max(LEAST_EVENTS, Math.floor(limit / Math.max(1, asked.length)));
  const jobIds = [...new Set(asked.map(({ jobId }) => jobId))];
  const jobs = await db.fineTuningJob.findMany({ where: { id: { in: jobIds } }, select: { id: true, status: true } });
  const statuses = new Map(jobs.map((job) => [job.id, job.status]));
  const rows = await db.$queryRaw<(FineTuningEventRow & { place: bigint })[]>`
    SELECT r.place, e.*
    FROM unnest(${asked.map(({ jobId }) => jobId)}::text[], ${asked.map((reader) => BigInt(reader.afterSequence))}::bigint[])
      WITH ORDINALITY AS r(job_id, after, place)
    CROSS JOIN LATERAL (
      SELECT id, seq, job_id AS "jobId", level::text AS level, type, message, data, created_at AS "createdAt"
      FROM fine_tuning_events WHERE job_id = r.job_id AND seq > r.after ORDER BY seq LIMIT ${each}) e
    ORDER BY r.place, e.seq`;
  const events = asked.map((): EventRecord[] => []);
  for (const row of rows) events[Number(row.place) - 1]!.push(toEventRecord(row));
  const news = new Map(
    asked.map((reader, i) => [
      placeOf(reader),
      { status: statuses.get(reader.jobId) ?? null, events: events[i]!, complete: events[i]!.length < each },
    ]),
  );
  return readers.map((reader) => news.get(placeOf(reader))!);
}

const placeOf = ({ jobId, afterSequence }: EventCursor): string => `${jobId} ${afterSequence}`;

/** The sequence number of an event of that job; null when it has none of that id. */
export async function eventSequence(db: Database, jobId: string, id: string): Promise<number | null> {
  const row = await db.fineTuningEvent.findFirst({ where: { id, jobId }, select: { seq: true } });
  return row && Number(row.seq);
}

type FineTuningEventRow = Omit<FineTuningEvent, 'dedupeKey'>;

/** The same happening has the same id in every replay. */
function eventId(jobId: string, dedupeKey: string): string {
  return `ftevent-${createHash('sha256').update(`${jobId}\n${dedupeKey}`).digest('hex').slice(0, 24)}`;
}

function toEventRecord(row: FineTuningEventRow): EventRecord {
  return {
    id: row.id,
    sequence: Number(row.seq),
    jobId: row.jobId,
    level: row.level,
    type: row.type === 'metrics' ? 'metrics' : 'message',
    message: row.message,
    data: row.data as JsonObject | null,
    createdAt: row.createdAt,
  };
}
