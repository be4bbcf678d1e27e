import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  createJobWorker,
  type JobHandler,
  type JobQueue,
  type JobWorkerOptions,
  openQueue,
  type QueueConfig,
  reconcile,
  startReconciler,
} from '@polymode/queue';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

export interface QueueService {
  config: QueueConfig;
  /** Loses all that the queue holds, as a wiped server would. */
  wipe(): Promise<void>;
  stop(): Promise<void>;
}

/** What every backend must do. */
export function testQueueOn(name: string, start: () => Promise<QueueService>): void {
  describe(name, () => {
    let service: QueueService;
    let queue: JobQueue;
    const toClose: { close(): Promise<void> }[] = [];

    beforeAll(async () => {
      service = await start();
      queue = openQueue(service.config);
    });
    afterEach(async () => {
      for (const thing of toClose.splice(0).reverse()) await thing.close();
      // Also forgets when the last look for dead workers was, which holds off the next for as long as that worker's interval.
      await service.wipe();
    });
    afterAll(async () => {
      await queue?.close();
      await service?.stop();
    });

    const work = (handler: JobHandler, options?: JobWorkerOptions) => {
      const worker = createJobWorker(service.config, handler, options);
      toClose.push(worker);
      return worker;
    };
    const newIds = (count: number) => Array.from({ length: count }, () => `ftjob-${randomBytes(8).toString('hex')}`);

    it('runs each job once, over several workers', async () => {
      const ids = newIds(60);
      const runs: string[] = [];
      const handler: JobHandler = async (jobId) => {
        await sleep(1);
        runs.push(jobId);
        return undefined;
      };
      for (let n = 0; n < 3; n++) work(handler, { concurrency: 4 });
      await Promise.all(ids.map((id) => queue.enqueue(id)));
      await until(() => runs.length >= ids.length);
      await sleep(100); // a second run would show now
      expect(runs.toSorted()).toEqual(ids.toSorted());
    });

    it('ignores a job that waits already or is being worked on', async () => {
      const [id = ''] = newIds(1);
      const added = await Promise.all([queue.enqueue(id), queue.enqueue(id), queue.enqueue(id)]);
      await queue.enqueueNew(id);
      expect(added).toContain(true);
      expect(await queue.enqueue(id)).toBe(false);
      let open = () => {};
      const gate = new Promise<undefined>((resolve) => {
        open = () => resolve(undefined);
      });
      let runs = 0;
      work(() => {
        runs++;
        return gate;
      });
      await until(() => runs === 1);
      expect(await queue.enqueue(id)).toBe(false);
      open();
      await sleep(100);
      expect(runs).toBe(1);
    });

    it('takes a job again after it ended or failed', async () => {
      const [id = ''] = newIds(1);
      let runs = 0;
      work(async () => {
        runs++;
        if (runs === 1) throw new Error('the first run fails');
        return undefined;
      });
      // Adding does nothing while a run is not quite over, so try until the next one begins.
      await untilAsync(async () => {
        await queue.enqueue(id);
        return runs >= 3;
      });
    });

    it('keeps the lock of a job that takes much longer than the lock lasts', async () => {
      const [id = ''] = newIds(1);
      const runs: string[] = [];
      const handler: JobHandler = async (jobId) => {
        runs.push(jobId);
        await sleep(4000);
        return undefined;
      };
      work(handler, { lockDurationMs: 1500, stalledIntervalMs: 300 });
      work(handler, { lockDurationMs: 1500, stalledIntervalMs: 300 });
      await queue.enqueue(id);
      await until(() => runs.length > 0);
      await sleep(4100);
      expect(runs).toEqual([id]);
    });

    it('gives the job of a killed worker to another one', async () => {
      const [id = ''] = newIds(1);
      const victim = startStuckWorker(service.config);
      toClose.push({ close: () => kill(victim) });
      await queue.enqueue(id);
      const [line] = await once(victim.stdout!, 'data');
      expect(String(line).trim()).toBe(id);
      await kill(victim);
      const runs: string[] = [];
      work(
        async (jobId) => {
          runs.push(jobId);
          return undefined;
        },
        { lockDurationMs: 1000, stalledIntervalMs: 200 },
      );
      await until(() => runs.length > 0, 20_000);
      expect(runs).toEqual([id]);
    });

    it('closing aborts the signal, waits for the handler, and the job handed back goes to the next worker', async () => {
      const [id = ''] = newIds(1);
      const log: string[] = [];
      const first = work(async (jobId, signal) => {
        log.push(`first took ${jobId}`);
        await once(signal, 'abort');
        await sleep(50); // saves its work
        log.push('first handed back');
        return { retryAfterMs: 0 };
      });
      await queue.enqueue(id);
      await until(() => log.length === 1);
      await first.close();
      expect(log).toEqual([`first took ${id}`, 'first handed back']);
      work(async (jobId) => {
        log.push(`second took ${jobId}`);
        return undefined;
      });
      await until(() => log.length === 3);
      expect(log[2]).toBe(`second took ${id}`);
    });

    it('brings a job back after the time that its handler asked for', async () => {
      const [id = ''] = newIds(1);
      const times: number[] = [];
      work(async () => {
        times.push(Date.now());
        return times.length === 1 ? { retryAfterMs: 400 } : undefined;
      });
      await queue.enqueue(id);
      await until(() => times.length === 2);
      expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(390);
      expect(times).toHaveLength(2);
    });

    it('a removed job is not run', async () => {
      const [gone = '', stays = ''] = newIds(2);
      await queue.enqueue(gone);
      await queue.enqueue(stays);
      await queue.remove(gone);
      await queue.remove('ftjob-never-there');
      const runs: string[] = [];
      work(async (jobId) => {
        runs.push(jobId);
        return undefined;
      });
      await until(() => runs.length > 0);
      await sleep(100);
      expect(runs).toEqual([stays]);
    });

    it('recovers from a wiped queue: the reconciler puts back what the database wants run', async () => {
      const ids = newIds(5);
      for (const id of ids) await queue.enqueue(id);
      await service.wipe();
      const runnable = new Set(ids);
      const runs: string[] = [];
      work(async (jobId) => {
        runs.push(jobId);
        runnable.delete(jobId);
        return undefined;
      });
      await sleep(200);
      expect(runs).toEqual([]);
      expect(await reconcile(async () => [...runnable], queue)).toEqual(ids);
      await until(() => runs.length === ids.length);
      expect(runs).toEqual(ids);
      expect(await reconcile(async () => [...runnable], queue)).toEqual([]);
    });

    it('the reconciler runs at once and again, survives a failing database, and stops', async () => {
      const [early = '', late = ''] = newIds(2);
      const runnable = [early];
      let failing = false;
      const errors: unknown[] = [];
      const requeued: string[] = [];
      const reconciler = startReconciler({
        listRunnableJobs: async () => {
          if (failing) throw new Error('the database is away');
          return runnable;
        },
        queue,
        intervalMs: 20,
        onRequeued: (ids) => requeued.push(...ids),
        onError: (error) => errors.push(error),
      });
      await until(() => requeued.length === 1);
      failing = true;
      await until(() => errors.length >= 2);
      runnable.push(late);
      failing = false;
      await until(() => requeued.length === 2);
      await reconciler.stop();
      expect(requeued).toEqual([early, late]);
      const seen = errors.length;
      failing = true;
      await sleep(80);
      expect(errors.length).toBe(seen);
      await queue.remove(early);
      await queue.remove(late);
    });

    it('answers a ping', async () => {
      await queue.ping();
    });
  });
}

function startStuckWorker(config: QueueConfig): ChildProcess {
  const script = fileURLToPath(new URL('./support/stuck-worker.mjs', import.meta.url));
  return spawn(process.execPath, [script, JSON.stringify(config)], { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function until(condition: () => boolean, timeoutMs = 15_000): Promise<void> {
  await untilAsync(async () => condition(), timeoutMs);
}

async function untilAsync(condition: () => Promise<boolean>, timeoutMs = 15_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('waited in vain');
    await sleep(10);
  }
}
