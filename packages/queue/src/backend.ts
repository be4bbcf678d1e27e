import {
  createPostgresBackend,
  createRedisBackend,
  DelayedError,
  type Job,
  type JobsOptions,
  WaitingError,
  type WorkerOptions,
  withBackend,
} from 'bullmq';
import { type JobPayload, queueName } from './payload.js';

/** Where the queue lives. */
export interface QueueConfig {
  /** `redis://…`. When absent or empty, the queue lives in the PostgreSQL database, in the schema `bullmq`. */
  redisUrl?: string | undefined;
  databaseUrl: string;
  /**
   * Called with errors that no call of ours returns, such as a lost connection, which is then made anew.
   * @defaultValue they are dropped
   */
  onError?: ((error: Error) => void) | undefined;
}

/** What we use of BullMQ's queue, the same on both backends. */
export interface BackendQueue {
  waitUntilReady(): Promise<unknown>;
  add(name: string, data: JobPayload, options: JobsOptions): Promise<unknown>;
  getJobState(jobId: string): Promise<string>;
  remove(jobId: string): Promise<number>;
  getJobCounts(): Promise<Record<string, number>>;
  close(): Promise<void>;
}

/** What we use of BullMQ's worker, the same on both backends. */
export interface BackendWorker {
  waitUntilReady(): Promise<unknown>;
  close(force?: boolean): Promise<void>;
}

/** What we use of a job that is being worked on. */
export type ActiveJob = Pick<Job<JobPayload>, 'id' | 'data' | 'moveToWait' | 'moveToDelayed'>;

type WorkOn = (job: ActiveJob, token: string | undefined) => Promise<void>;

const onPostgres = withBackend(createPostgresBackend);
const onRedis = withBackend(createRedisBackend);

export function openBackendQueue(config: QueueConfig): BackendQueue {
  const queue = config.redisUrl
    ? new onRedis.Queue<JobPayload, void>(queueName, {
        // A request must not hang on an unreachable Redis: three tries, then the error. The reconciler makes up for it.
        connection: { url: config.redisUrl, maxRetriesPerRequest: 3 },
      })
    : new onPostgres.Queue<JobPayload, void>(queueName, { connection: postgresConnection(config) });
  queue.on('error', (error) => config.onError?.(error));
  return queue;
}

export function openBackendWorker(
  config: QueueConfig,
  workOn: WorkOn,
  options: Omit<WorkerOptions, 'connection'>,
): BackendWorker {
  const worker = config.redisUrl
    ? new onRedis.Worker<JobPayload, void>(queueName, workOn, {
        ...options,
        // BullMQ demands endless retries of a worker, which waits for Redis to come back.
        connection: { url: config.redisUrl, maxRetriesPerRequest: null },
      })
    : new onPostgres.Worker<JobPayload, void>(queueName, workOn, {
        ...options,
        connection: postgresConnection(config),
      });
  worker.on('error', (error) => config.onError?.(error));
  return worker;
}

/**
 * Ends the work on a job and leaves it in the queue. Throws always: that is how BullMQ is told.
 *
 * @param afterMs milliseconds until it may be taken again
 */
export async function putBack(job: ActiveJob, token: string | undefined, afterMs: number): Promise<never> {
  if (afterMs <= 0) {
    await job.moveToWait(token);
    throw new WaitingError();
  }
  await job.moveToDelayed(Date.now() + afterMs, token);
  throw new DelayedError();
}

function postgresConnection(config: QueueConfig) {
  return { connectionString: config.databaseUrl, migrate: true, max: 4 };
}
