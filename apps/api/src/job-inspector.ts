import { appendEvents, type JobRecord } from '@polymode/db';
import type { ApiDependencies } from './dependencies.js';
import { inspectPlan, warningsOf } from './inspection.js';
import type { JobPlan } from './job-plan.js';

/** Milliseconds that a worker may take. */
const INSPECT_MS = 60_000;
/** Jobs that are inspected at a time; those that are made meanwhile are not. */
const MOST_AT_ONCE = 4;
/** Milliseconds before anybody looks for a worker again where there was none. */
const NO_WORKER_MS = 5000;

/**
 * Warns, in the events of jobs that were just made, of rows that do not fit and of memory that is not there, where a worker is
 * live to say so. Nobody waits for it: the job's own worker says the same when it begins.
 */
export class JobInspector {
  private readonly closing = new AbortController();
  private readonly running = new Set<Promise<void>>();
  private quietUntil = 0;

  constructor(private readonly deps: Pick<ApiDependencies, 'db' | 'logger'>) {}

  warn(job: JobRecord, plan: JobPlan): void {
    if (this.closing.signal.aborted || this.running.size >= MOST_AT_ONCE || Date.now() < this.quietUntil) return;
    const run = this.inspect(job.id, plan).finally(() => this.running.delete(run));
    this.running.add(run);
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    this.closing.abort();
    await Promise.all(this.running);
  }

  private async inspect(jobId: string, plan: JobPlan): Promise<void> {
    const { db, logger } = this.deps;
    try {
      const { found, workers } = await inspectPlan(db, plan, { timeoutMs: INSPECT_MS, signal: this.closing.signal });
      if (workers === 0) this.quietUntil = Date.now() + NO_WORKER_MS;
      const warnings = found === null ? [] : warningsOf(found);
      if (warnings.length === 0) return;
      await appendEvents(
        db,
        jobId,
        warnings.map((message, i) => ({ dedupeKey: `inspection:${i}`, level: 'warn' as const, message })),
      );
    } catch (err) {
      logger.warn({ err, jobId }, 'job could not be inspected');
    }
  }
}
