import { type FineTuningJobEvent, type FineTuningJobEventList, operations } from '@polymode/contracts';
import { type EventRecord, listEvents } from '@polymode/db';
import type { FastifyInstance } from 'fastify';
import type { ApiDependencies } from '../dependencies.js';
import { toSeconds } from '../ids.js';
import { existingJob } from '../job.js';
import { toList } from '../pagination.js';
import { serve } from '../serve.js';

export async function eventRoutes(app: FastifyInstance, { db }: ApiDependencies): Promise<void> {
  serve(app, operations.listFineTuningEvents, async (incoming): Promise<FineTuningJobEventList> => {
    const job = await existingJob(db, incoming);
    return toList(await listEvents(db, job.id, incoming.query), toEvent);
  });
}

export function toEvent(event: EventRecord): FineTuningJobEvent {
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
