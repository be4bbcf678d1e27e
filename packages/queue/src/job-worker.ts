import { openBackendWorker, putBack, type QueueConfig } from './backend.js';
import { parsePayload } from './payload.js';

/** The job stays in the queue and may be taken again after that many milliseconds; 0 for at once. */
export interface TakeAgain {
  retryAfterMs: number;
}

/**
 * Works on one job.
 *
 * @param signal aborts when the worker is being closed: hand the job back soon, and return `{ retryAfterMs: 0 }`
 * @returns nothing when the queue may forget the job. A handler that throws makes it forget the job too, so put what went
 *   wrong where it belongs first (`onError` is told as well); the reconciler brings the job back if the database still wants it run.
 */
export type JobHandler = (jobId: string, signal: AbortSignal) => Promise<TakeAgain | undefined>;

export interface JobWorkerOptions {
  /** Jobs at a time, at least 1. @defaultValue 1 */
  concurrency?: number | undefined;
  /**
   * Milliseconds that a job stays ours without a sign of life. It is renewed at half of that, so the process must not block
   * its event loop for longer. After it another worker takes the job. @defaultValue 30000
   */
  lockDurationMs?: number | undefined;
  /** Milliseconds between two looks for jobs whose worker died. @defaultValue half of `lockDurationMs` */
  stalledIntervalMs?: number | undefined;
}

export interface JobWorker {
  /** Takes no more jobs, aborts the signals of those being worked on, and waits for their handlers. Safe to call again. */
  close(): Promise<void>;
  /** Resolves when the worker can take jobs. */
  ready(): Promise<void>;
}

/** Starts taking jobs. Each goes to one worker at a time; a job whose worker dies goes to another one. */
export function createJobWorker(config: QueueConfig, handler: JobHandler, options: JobWorkerOptions = {}): JobWorker {
  const lockDuration = options.lockDurationMs ?? 30_000;
  const closing = new AbortController();
  const worker = openBackendWorker(
    config,
    async (job, token) => {
      const { jobId } = parsePayload(job.data);
      // Taken in the moment of closing: leave it to others.
      const outcome = closing.signal.aborted ? { retryAfterMs: 0 } : await tell(handler(jobId, closing.signal));
      if (outcome) await putBack(job, token, outcome.retryAfterMs);
    },
    {
      concurrency: options.concurrency ?? 1,
      lockDuration,
      stalledInterval: options.stalledIntervalMs ?? lockDuration / 2,
      // A long job may outlive many workers. Whether it is to be given up is decided in the database, not here.
      maxStalledCount: 1_000_000,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    },
  );
  async function tell<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      config.onError?.(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  }
  let closed: Promise<void> | undefined;
  return {
    ready: async () => {
      await worker.waitUntilReady();
    },
    close: () => {
      closing.abort(new Error('The worker is being closed.'));
      closed ??= worker.close();
      return closed;
    },
  };
}
