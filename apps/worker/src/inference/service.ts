import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { type Device, Engine } from '@polymode/autodiff';
import {
  announceInferenceWorker,
  type Database,
  removeInferenceWorker,
  removeSilentInferenceWorkers,
} from '@polymode/db';
import type { Storage } from '@polymode/storage';
import { createInferenceMetrics, type Logger } from '@polymode/telemetry';
import { inspectJob } from '../inspect-job.js';
import type { InferenceConfig } from './config.js';
import { ModelPool } from './model-pool.js';
import { openModelSource } from './model-source.js';
import { startInferenceServer } from './server.js';

export interface InferenceServiceOptions {
  readonly config: InferenceConfig;
  readonly db: Database;
  readonly storage: Storage;
  readonly logger: Logger;
  readonly modelDirs: readonly string[];
  readonly device: Device;
  /** unique to this run of the worker process */
  readonly owner: string;
}

export interface InferenceService {
  readonly url: string;
  /** Takes itself off the list, ends what runs, and frees everything. */
  stop(): Promise<void>;
}

/** How often the database hears of it; the API may count a worker as gone after three times as long. */
export const HEARTBEAT_MS = 5000;
/** Rows of workers that were killed are kept for so long. */
const FORGET_MS = 3_600_000;

/**
 * Answers inference requests beside the jobs that this process trains, with an engine of its own, which starts with the first
 * request.
 *
 * @throws Error when its address cannot be had
 */
export async function startInference(options: InferenceServiceOptions): Promise<InferenceService> {
  const { config, db, storage, logger, modelDirs, device, owner } = options;
  const metrics = createInferenceMetrics(() => pool.load);
  const pool = new ModelPool({
    source: openModelSource(db, storage, modelDirs),
    openEngine: () => new Engine({ provider: device.provider, deviceId: device.deviceId, threads: config.threads }),
    budgetBytes: config.memoryBytes,
    idleMs: config.idleSeconds * 1000,
    ...(config.segmentTokens === undefined ? {} : { segmentTokens: config.segmentTokens }),
    onLoaded: (name, seconds) => {
      metrics.loaded(name.baseModel, seconds);
      logger.info({ ...name, seconds }, 'model loaded');
      void announce();
    },
  });
  const token = randomBytes(32).toString('base64url');
  const { host, metricsToken } = config;
  const server = await startInferenceServer({
    host,
    port: config.port,
    token,
    metricsToken,
    pool,
    inspect: (request, signal) => inspectJob({ storage, modelDirs, device }, request, signal),
    metrics,
    logger,
  });
  const url = config.url ?? `http://${reachable(host)}:${server.port}`;
  let stopped = false;
  const announce = async (): Promise<void> => {
    try {
      if (!stopped) await announceInferenceWorker(db, { id: owner, url, token, models: pool.loaded });
    } catch (err) {
      logger.warn({ err }, 'the inference server could not be announced');
    }
  };
  await announce();
  await removeSilentInferenceWorkers(db, FORGET_MS).catch(() => 0);
  const timer = setInterval(() => void announce(), HEARTBEAT_MS);
  logger.info(
    { url, threads: config.threads, memoryMb: Math.round(config.memoryBytes / 2 ** 20) },
    'inference is ready',
  );
  return {
    url,
    stop: async () => {
      stopped = true;
      clearInterval(timer);
      await removeInferenceWorker(db, owner).catch((err) => logger.warn({ err }, 'inference worker not removed'));
      await server.close();
      await pool.close();
    },
  };
}

/** The host of a URL for a server that listens on this one; what listens on every address is found by the machine's name. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return hostname();
  return host.includes(':') ? `[${host}]` : host;
}
