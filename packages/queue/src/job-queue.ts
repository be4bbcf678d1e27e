import { type BackendQueue, openBackendQueue, type QueueConfig } from './backend.js';

/** Says to workers "look at job X now". Losing it loses nothing: the database is the truth, see the reconciler. */
export interface JobQueue {
  /** Which of the two backends it is on. */
  backend: 'postgres' | 'redis';
  /**
   * Puts a job in, unless it is in already, waiting or being worked on.
   *
   * @returns whether it was put in
   * @throws Error when the queue cannot be reached within `timeoutMs`; the reconciler will put the job in later
   */
  enqueue(jobId: string): Promise<boolean>;
  /** The same for a job that no queue has seen yet, in one step. @throws as `enqueue` does */
  enqueueNew(jobId: string): Promise<void>;
  /** Takes a waiting job out. Nothing happens when it is not there or is being worked on. */
  remove(jobId: string): Promise<void>;
  /** Resolves when the queue answers. @throws Error when it does not within `timeoutMs` */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface OpenQueueOptions extends QueueConfig {
  /** Milliseconds that one call may take. @defaultValue 5000 */
  timeoutMs?: number | undefined;
}

/** Opens the queue for those who put jobs in. Connects in the background; calls wait for the connection. */
export function openQueue(options: OpenQueueOptions): JobQueue {
  const timeoutMs = options.timeoutMs ?? 5000;
  const queue = openBackendQueue(options);
  const inTime = <T>(action: Promise<T>) => withTimeout(action, timeoutMs);
  return {
    backend: options.redisUrl ? 'redis' : 'postgres',
    enqueue: (jobId) => inTime(enqueue(queue, jobId)),
    enqueueNew: (jobId) => inTime(add(queue, jobId)),
    remove: (jobId) => inTime(removeUnlessActive(queue, jobId)),
    ping: () => inTime(queue.getJobCounts().then(() => {})),
    close: () => queue.close(),
  };
}

async function enqueue(queue: BackendQueue, jobId: string): Promise<boolean> {
  await queue.waitUntilReady();
  const state = await queue.getJobState(jobId);
  // What is left of an ended run would make the queue take the new one for a duplicate.
  if (state === 'completed' || state === 'failed') await queue.remove(jobId);
  await add(queue, jobId);
  return state === 'completed' || state === 'failed' || state === 'unknown';
}

async function add(queue: BackendQueue, jobId: string): Promise<void> {
  await queue.waitUntilReady();
  await queue.add('run', { jobId }, { jobId, removeOnComplete: true, removeOnFail: true });
}

async function removeUnlessActive(queue: BackendQueue, jobId: string): Promise<void> {
  await queue.waitUntilReady();
  if ((await queue.getJobState(jobId)) === 'active') return;
  await queue.remove(jobId).catch(async (error) => {
    // A worker may take it between the two calls; then it is its business.
    if ((await queue.getJobState(jobId)) !== 'active') throw error;
  });
}

async function withTimeout<T>(action: Promise<T>, timeoutMs: number): Promise<T> {
  // An answer that comes too late must not be an unhandled rejection.
  action.catch(() => {});
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`The queue did not answer within ${timeoutMs} ms.`)), timeoutMs);
  });
  try {
    return await Promise.race([action, late]);
  } finally {
    clearTimeout(timer);
  }
}
