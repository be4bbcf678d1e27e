import { SandboxProcess, type SandboxProgram } from './process.js';
import type { SandboxAnswer, SandboxCall, SandboxFailure } from './protocol.js';

interface Job {
  readonly call: SandboxCall;
  readonly resolve: (answer: SandboxAnswer) => void;
}

interface Worker {
  readonly process: SandboxProcess;
  state: 'starting' | 'idle' | 'busy';
  /** of its last call: it is quicker for the same one */
  source: string | null;
}

/**
 * Processes of one language that take calls in turn. They start when they are first needed and are replaced when they
 * end, be it over their caps. The time that a call waits for its turn does not count as its own.
 */
export class SandboxPool {
  private readonly workers = new Set<Worker>();
  private readonly waiting: Job[] = [];
  private closed = false;

  constructor(
    private readonly program: () => SandboxProgram,
    private readonly size: number,
  ) {}

  /** Starts every process. @throws Error when one cannot start */
  async warm(): Promise<void> {
    while (!this.closed && this.workers.size < this.size) this.add();
    await Promise.all([...this.workers].map(({ process }) => process.ready));
  }

  /**
   * Never rejects: what went wrong is in the answer.
   *
   * @param signal takes a call that waits for its turn out of the line; one under way has its own cap
   */
  run(call: SandboxCall, signal?: AbortSignal): Promise<SandboxAnswer> {
    if (this.closed) return Promise.resolve({ ok: false, failure: CLOSED });
    if (signal?.aborted) return Promise.resolve({ ok: false, failure: GIVEN_UP });
    return new Promise((resolve) => {
      const leave = (): void => {
        const at = this.waiting.indexOf(job);
        if (at < 0) return;
        this.waiting.splice(at, 1);
        resolve({ ok: false, failure: GIVEN_UP });
      };
      const job: Job = {
        call,
        resolve: (answer) => {
          signal?.removeEventListener('abort', leave);
          resolve(answer);
        },
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.waiting.push(job);
      this.dispatch();
    });
  }

  /** Ends all processes. Calls under way and calls that wait fail. */
  close(): void {
    this.closed = true;
    for (const { resolve } of this.waiting.splice(0)) resolve({ ok: false, failure: CLOSED });
    for (const { process } of this.workers) process.stop();
    this.workers.clear();
  }

  private dispatch(): void {
    while (this.waiting.length > 0) {
      const worker = this.idleFor(this.waiting[0]!.call.source);
      if (!worker) break;
      void this.work(worker, this.waiting.shift()!);
    }
    const starting = this.inState('starting').length;
    for (let wanted = this.waiting.length - starting; wanted > 0 && this.workers.size < this.size; wanted--) this.add();
  }

  private idleFor(source: string): Worker | undefined {
    const idle = this.inState('idle');
    return idle.find((worker) => worker.source === source) ?? idle[0];
  }

  private inState(state: Worker['state']): Worker[] {
    return [...this.workers].filter((worker) => worker.state === state);
  }

  private add(): void {
    const process = new SandboxProcess(this.program());
    const worker: Worker = { process, state: 'starting', source: null };
    this.workers.add(worker);
    process.ready.then(
      () => {
        worker.state = 'idle';
        this.dispatch();
      },
      (error: Error) => {
        this.workers.delete(worker);
        // Where no process starts, nobody waits for one.
        if (this.workers.size > 0) return;
        const failure: SandboxFailure = { kind: 'unavailable', message: error.message };
        for (const { resolve } of this.waiting.splice(0)) resolve({ ok: false, failure });
      },
    );
  }

  private async work(worker: Worker, { call, resolve }: Job): Promise<void> {
    worker.state = 'busy';
    worker.source = call.source;
    const answer = await worker.process.call(call);
    resolve(answer);
    worker.state = 'idle';
    if (!worker.process.alive) {
      this.workers.delete(worker);
      // The next call finds a warm one.
      if (!this.closed) this.add();
    }
    this.dispatch();
  }
}

const GIVEN_UP: SandboxFailure = { kind: 'unavailable', message: 'The call was given up before its turn.' };
const CLOSED: SandboxFailure = { kind: 'unavailable', message: 'The sandbox has been closed.' };
