import type { JobQueue } from './job-queue.js';

/** The ids of the jobs that should be in the queue, as the database has it. */
export type ListRunnableJobs = () => Promise<string[]>;

/**
 * Puts every job into the queue that the database wants run and the queue does not have.
 *
 * @returns the ids that were missing
 */
export async function reconcile(
  listRunnableJobs: ListRunnableJobs,
  queue: Pick<JobQueue, 'enqueue'>,
): Promise<string[]> {
  const missing: string[] = [];
  for (const jobId of await listRunnableJobs()) {
    if (await queue.enqueue(jobId)) missing.push(jobId);
  }
  return missing;
}

export interface ReconcilerOptions {
  listRunnableJobs: ListRunnableJobs;
  queue: Pick<JobQueue, 'enqueue'>;
  /** Milliseconds between the end of one run and the next. @defaultValue 10000 */
  intervalMs?: number | undefined;
  /** Called with the ids that a run put in, when there were any. */
  onRequeued?: ((jobIds: string[]) => void) | undefined;
  /** Called when a run failed, as it does while the database or the queue is away. The next one comes as usual. */
  onError?: ((error: unknown) => void) | undefined;
}

export interface Reconciler {
  /** Ends the runs; waits for the one under way. */
  stop(): Promise<void>;
}

/** Reconciles now and then again and again, so that a wiped or unreachable queue loses nothing. Any number may run. */
export function startReconciler(options: ReconcilerOptions): Reconciler {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let running = Promise.resolve();
  const run = async () => {
    try {
      const missing = await reconcile(options.listRunnableJobs, options.queue);
      if (missing.length > 0) options.onRequeued?.(missing);
    } catch (error) {
      options.onError?.(error);
    }
    if (!stopped) timer = setTimeout(start, options.intervalMs ?? 10_000);
  };
  const start = () => {
    running = run();
  };
  start();
  return {
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      return running;
    },
  };
}
