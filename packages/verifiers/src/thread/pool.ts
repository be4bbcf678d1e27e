import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { GraderRuntimeError, UnreadableAnswerError } from '../grader.js';
import type { JobReply, JobRequest, ThrownInThread } from './jobs.js';

/** Mebibytes of JavaScript objects that a thread may have. */
const HEAP_MB = 1024;

const PROGRAM = new URL('./main.js', import.meta.url);

interface Job {
  readonly request: JobRequest;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Threads that do one job after the other. They start when they are first needed, and keep no process alive when idle. */
export class ThreadPool {
  private readonly idle: Worker[] = [];
  private readonly queue: Job[] = [];
  /** started and not ended */
  private threads = 0;

  constructor(private readonly size = Math.min(2, availableParallelism())) {}

  /**
   * @param signal ends the job: one that has begun ends with its thread, whatever it is in the middle of
   * @throws what the job throws; the signal's reason; GraderRuntimeError when the thread ends, as it does without memory
   */
  run(request: JobRequest, signal?: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const abandon = (): void => {
        const at = this.queue.indexOf(job);
        if (at >= 0) this.queue.splice(at, 1);
        reject(signal?.reason);
      };
      const job: Job = { request, signal, resolve, reject };
      if (signal?.aborted) return abandon();
      signal?.addEventListener('abort', abandon, { once: true });
      this.queue.push(job);
      this.dispatch();
    });
  }

  private dispatch(): void {
    while (this.queue.length > 0) {
      const worker = this.idle.pop() ?? (this.threads < this.size ? this.start() : undefined);
      if (worker === undefined) return;
      this.give(worker, this.queue.shift()!);
    }
  }

  private start(): Worker {
    const worker = new Worker(PROGRAM, {
      name: 'long answers',
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    });
    this.threads++;
    // Whoever waits for it hears of it too.
    worker.on('error', () => {});
    worker.once('exit', () => {
      this.threads--;
      const at = this.idle.indexOf(worker);
      if (at >= 0) this.idle.splice(at, 1);
      this.dispatch();
    });
    return worker;
  }

  private give(worker: Worker, { request, signal, resolve, reject }: Job): void {
    const settle = (): void => {
      worker.off('message', answered).off('error', failed).off('exit', ended);
      signal?.removeEventListener('abort', aborted);
    };
    const answered = (reply: JobReply): void => {
      settle();
      worker.unref();
      this.idle.push(worker);
      if ('thrown' in reply) reject(errorOf(reply.thrown));
      else resolve(reply.result);
      this.dispatch();
    };
    const failed = (error: Error & { code?: string }): void => {
      settle();
      reject(lost(error.message, error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'memory' : 'crash'));
    };
    const ended = (): void => {
      settle();
      reject(lost('it ended in the middle', 'crash'));
    };
    const aborted = (): void => {
      settle();
      reject(signal?.reason);
      void worker.terminate();
    };
    worker.on('message', answered).on('error', failed).on('exit', ended);
    signal?.addEventListener('abort', aborted, { once: true });
    worker.ref();
    try {
      worker.postMessage(request);
    } catch (error) {
      // Something in the row or the answer is no plain data.
      answered({ thrown: { type: 'other', message: String(error) } });
    }
  }
}

function lost(how: string, reason: 'memory' | 'crash'): GraderRuntimeError {
  return new GraderRuntimeError(`The thread that grades long answers failed: ${how}.`, 'other_error', { reason });
}

function errorOf({ type, message, kind = 'other_error', details, reason }: ThrownInThread): GraderRuntimeError {
  const own = type === 'unreadable' ? UnreadableAnswerError : GraderRuntimeError;
  return new own(message, kind, { details, reason });
}
