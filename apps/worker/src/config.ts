import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { DeviceError, parseDevice } from '@polymode/autodiff';
import { modelDirs } from '@polymode/policy/registry';
import { machineBytes } from '@polymode/trainer';
import { type GraderSettings, readGraderSettings } from '@polymode/verifiers';
import { ConfigError, numberFrom } from './environment.js';
import { type InferenceConfig, readInferenceConfig } from './inference/config.js';

export { ConfigError } from './environment.js';

/** Everything the worker reads from its environment, parsed once. */
export interface WorkerConfig {
  readonly databaseUrl: string;
  /** The queue is on Redis when set, else in the database. */
  readonly redisUrl: string | undefined;
  /** Stored files are in its folder `storage`. */
  readonly dataDir: string;
  /** Folders of more base models. */
  readonly modelDirs: readonly string[];
  /** `auto`, `cpu`, `webgpu`, `cuda` or `cuda:n`; `resolveDevice` finds out what that is here. */
  readonly device: string;
  /** Threads of the engine. */
  readonly threads: number;
  /** Milliseconds that a job stays ours without a sign of life, in the queue and in the database. */
  readonly lockMs: number;
  /** Seconds between the snapshots that a crash resumes from. */
  readonly snapshotSeconds: number;
  /** Touched while the worker is alive, for health checks from outside. */
  readonly healthFile: string | undefined;
  readonly graders: GraderSettings;
  /** null: this worker only trains */
  readonly inference: InferenceConfig | null;
  readonly logLevel: string | undefined;
}

/** @throws ConfigError */
export function readConfig(env: NodeJS.ProcessEnv): WorkerConfig {
  const databaseUrl = env.DATABASE_URL;
  if (!databaseUrl) throw new ConfigError('DATABASE_URL is not set. Set postgres://user:password@host:port/database.');
  const threads = numberFrom(env, 'POLYMODE_THREADS', availableParallelism(), 1);
  return {
    databaseUrl,
    redisUrl: env.REDIS_URL || undefined,
    dataDir: resolve(env.POLYMODE_DATA_DIR || '.polymode'),
    modelDirs: modelDirs(resolve(env.POLYMODE_DATA_DIR || '.polymode'), env.POLYMODE_MODELS_DIR),
    device: deviceName(env.POLYMODE_DEVICE || 'cpu'),
    threads,
    lockMs: numberFrom(env, 'POLYMODE_LOCK_MS', 30_000, 500),
    snapshotSeconds: numberFrom(env, 'POLYMODE_SNAPSHOT_SECONDS', 10, 0),
    healthFile: env.POLYMODE_HEALTH_FILE || undefined,
    graders: graderSettings(env),
    inference: readInferenceConfig(env, threads, machineBytes()),
    logLevel: env.LOG_LEVEL || undefined,
  };
}

function deviceName(text: string): string {
  try {
    parseDevice(text);
    return text;
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    throw new ConfigError(`POLYMODE_DEVICE: ${error.message}`);
  }
}

function graderSettings(env: NodeJS.ProcessEnv): GraderSettings {
  try {
    return readGraderSettings(env);
  } catch (error) {
    throw new ConfigError((error as Error).message);
  }
}
