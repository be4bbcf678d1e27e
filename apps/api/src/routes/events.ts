import { Readable } from 'node:stream';
import { type FineTuningJobEvent, type FineTuningJobEventList, operations } from '@polymode/contracts';
import { type EventRecord, eventSequence, listEvents, UnknownCursorError } from '@polymode/db';
import type { FastifyInstance } from 'fastify';
import type { ApiDependencies } from '../dependencies.js';
import { EventHub } from '../event-hub.js';
import { toSeconds } from '../ids.js';
import { existingJobId } from '../job.js';
import { toList } from '../pagination.js';
import { serve } from '../serve.js';

/** A job's events: pages of them, or a stream as they happen. */
export async function eventRoutes(app: FastifyInstance, { db, logger }: ApiDependencies): Promise<void> {
  const hub = new EventHub(db, logger);
  app.addHook('preClose', async () => hub.close());

  serve(
    app,
    operations.listFineTuningEvents,
    async (incoming, request, reply): Promise<FineTuningJobEventList | typeof reply> => {
      const jobId = await existingJobId(db, incoming);
      const { query } = incoming;
      if (!query.stream) return toList(await listEvents(db, jobId, query), toEvent);
      const header = request.headers['last-event-id'];
      const after = typeof header === 'string' && header !== '' ? header : query.after;
      const sequence = after === undefined ? 0 : await eventSequence(db, jobId, after);
      if (sequence === null) throw new UnknownCursorError(after ?? '');
      // Buffering proxies would hold events back.
      reply
        .headers({ 'cache-control': 'no-cache', 'x-accel-buffering': 'no' })
        .type('text/event-stream; charset=utf-8');
      if (request.method === 'HEAD') return reply.send(Readable.from([]));
      // The stream itself cannot tell: it ends only after the news that it waits for.
      const gone = new AbortController();
      reply.raw.once('close', () => gone.abort());
      return reply.send(Readable.from(serverSentEvents(hub, jobId, sequence, gone.signal), { objectMode: false }));
    },
  );
}

/** Each event with its id, for `Last-Event-ID`; `[DONE]` when the job has ended, as OpenAI's first fine-tuning API had it. */
async function* serverSentEvents(
  hub: EventHub,
  jobId: string,
  afterSequence: number,
  signal: AbortSignal,
): AsyncGenerator<string> {
  yield ': events of this job follow\n\n';
  for await (const { events, ended } of hub.follow(jobId, afterSequence, signal)) {
    if (events.length === 0 && !ended) yield ': nothing new\n\n';
    for (const event of events) yield `id: ${event.id}\ndata: ${JSON.stringify(toEvent(event))}\n\n`;
    if (ended) yield 'data: [DONE]\n\n';
  }
}

function toEvent(event: EventRecord): FineTuningJobEvent {
  return {
    id: event.id,
    object: 'fine_tuning.job.event',
    created_at: toSeconds(event.createdAt),
    level: event.level,
    message: event.message,
    type: event.type,
    data: event.data,
  };
}
