import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type Device, DeviceError, resolveDevice } from '@polymode/autodiff';
import { connectDatabase, disconnectDatabase, listRunnableJobIds } from '@polymode/db';
import { createJobWorker, openQueue, startReconciler } from '@polymode/queue';
import { openStorage } from '@polymode/storage';
import { createLogger } from '@polymode/telemetry';
import { createTrainer } from '@polymode/trainer';
import { openGraderServices } from '@polymode/verifiers';
import { ConfigError, readConfig } from './config.js';
import { type InferenceService, startInference } from './inference/service.js';
import { runJob } from './run-job.js';
import { openScratch } from './scratch.js';

/** A worker that has not handed its job back by then is ended; what it did since the last snapshot will be done again. */
const STOP_WITHIN_MS = 60_000;

/** How often the health file is touched: an event loop that is stuck lets it grow old. */
const HEALTH_INTERVAL_MS = 5000;

function configuration(): ReturnType<typeof readConfig> {
  try {
    return readConfig(process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(2);
  }
}

/** Before anything is opened: a device that cannot be used should end the worker, not its jobs. */
async function chosenDevice(): Promise<Device> {
  try {
    return await resolveDevice(config.device, { threads: config.threads });
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    process.stderr.write(`POLYMODE_DEVICE: ${error.message}\n`);
    process.exit(2);
  }
}

async function openInference(): Promise<InferenceService | null> {
  if (config.inference === null) return null;
  const { host, port } = config.inference;
  try {
    return await startInference({ ...context, config: config.inference });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall !== 'listen') throw error;
    process.stderr.write(
      `POLYMODE_INFERENCE_HOST and POLYMODE_INFERENCE_PORT: cannot listen on ${host}:${port} (${(error as Error).message}). ` +
        'Set others, or POLYMODE_INFERENCE=off.\n',
    );
    process.exit(2);
  }
}

const config = configuration();
const logger = createLogger({ name: 'worker', level: config.logLevel });
const device = await chosenDevice();
const db = connectDatabase(config.databaseUrl);
const queueConfig = {
  databaseUrl: config.databaseUrl,
  redisUrl: config.redisUrl,
  onError: (err: Error) => logger.warn({ err }, 'queue trouble'),
};
const queue = openQueue(queueConfig);
const graderServices = openGraderServices(config.graders);
const context = {
  db,
  logger,
  createTrainer,
  storage: openStorage({ dir: join(config.dataDir, 'storage') }),
  owner: `${hostname()}:${process.pid}:${randomUUID()}`,
  modelDirs: config.modelDirs,
  graderServices,
  scratchDir: await openScratch(config.dataDir),
  device,
  threads: config.threads,
  leaseMs: config.lockMs,
  snapshotSeconds: config.snapshotSeconds,
};
const worker = createJobWorker(queueConfig, (jobId, signal) => runJob(context, jobId, signal), {
  lockDurationMs: config.lockMs,
});
const reconciler = startReconciler({
  listRunnableJobs: () => listRunnableJobIds(db),
  queue,
  intervalMs: Math.min(10_000, config.lockMs),
  onRequeued: (jobIds) => logger.info({ jobIds }, 'jobs put back into the queue'),
  onError: (err) => logger.warn({ err }, 'reconciling failed'),
});
await worker.ready();
const inference = await openInference();
logger.info(
  { queue: queue.backend, device: device.provider, why: device.why, threads: config.threads },
  'worker is ready',
);

const { healthFile } = config;
if (healthFile !== undefined) {
  const touch = (): void => writeFileSync(healthFile, new Date().toISOString());
  touch();
  setInterval(touch, HEALTH_INTERVAL_MS).unref();
}

let stopping = false;
async function stop(reason: string): Promise<void> {
  if (stopping) return;
  stopping = true;
  logger.info({ reason }, 'worker is stopping');
  setTimeout(() => {
    logger.error(`worker did not stop within ${STOP_WITHIN_MS} ms`);
    process.exit(1);
  }, STOP_WITHIN_MS).unref();
  await Promise.all([inference?.stop(), worker.close()]);
  await reconciler.stop();
  graderServices.close();
  await queue.close();
  await disconnectDatabase(db);
  logger.info('worker has stopped');
  process.exit(0);
}
process.on('SIGTERM', () => void stop('SIGTERM'));
process.on('SIGINT', () => void stop('SIGINT'));
// Started by another process with a channel: when that process dies, so does this one.
process.on('disconnect', () => void stop('the parent process is gone'));
