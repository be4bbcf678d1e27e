/** The queue's name, in Redis and in PostgreSQL. */
export const queueName = 'fine-tuning';

/** What a queued job says: only which job to look at. Everything else is in the database. */
export interface JobPayload {
  /** Also the queue's own job id, which makes adding twice harmless. */
  jobId: string;
}

/** @throws Error for a payload that something else put into the queue */
export function parsePayload(data: unknown): JobPayload {
  if (typeof data === 'object' && data !== null && 'jobId' in data && typeof data.jobId === 'string') {
    return { jobId: data.jobId };
  }
  throw new Error(`Not a payload of queue '${queueName}': ${JSON.stringify(data)}`);
}
