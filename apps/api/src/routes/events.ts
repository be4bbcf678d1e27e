import { type FineTuningJobEvent, type FineTuningJobEventList, ListEventsQuery } from '@polymode/contracts';
import { type EventRecord, listEvents } from '@polymode/db';
import type { FastifyInstance } from 'fastify';
import type { ApiDependencies } from '../dependencies.js';
import { toSeconds } from '../ids.js';
import { existingJob } from '../job.js';
import { toList } from '../pagination.js';
import { parseRequest } from '../validation.js';

export async function eventRoutes(app: FastifyInstance, { db }: ApiDependencies): Promise<void> {
  app.get<{ Params: { job: string } }>(
    '/fine_tuning/jobs/:job/events',
    async (request): Promise<FineTuningJobEventList> => {
      const query = parseRequest(ListEventsQuery, request.query);
      const job = await existingJob(db, request);
      return toList(await listEvents(db, job.id, query), toEvent);
    },
  );
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
