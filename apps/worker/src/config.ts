import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { DeviceError, parseDevice } from '@polymode/autodiff';
import { modelDirs } from '@polymode/policy/registry';
import { type GraderSettings, readGraderSettings } from '@polymode/verifiers';

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
  readonly logLevel: string | undefined;
}

/** The environment does not make a configuration; the message names the variable and what to set. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

/** @throws ConfigError */
export function readConfig(env: NodeJS.ProcessEnv): WorkerConfig {
  const databaseUrl = env.DATABASE_URL;
  if (!databaseUrl) throw new ConfigError('DATABASE_URL is not set. Set postgres://user:password@host:port/database.');
  return {
    databaseUrl,
    redisUrl: env.REDIS_URL || undefined,
    dataDir: resolve(env.POLYMODE_DATA_DIR || '.polymode'),
    modelDirs: modelDirs(resolve(env.POLYMODE_DATA_DIR || '.polymode'), env.POLYMODE_MODELS_DIR),
    device: deviceName(env.POLYMODE_DEVICE || 'cpu'),
    threads: numberFrom(env, 'POLYMODE_THREADS', availableParallelism(), 1),
    lockMs: numberFrom(env, 'POLYMODE_LOCK_MS', 30_000, 500),
    snapshotSeconds: numberFrom(env, 'POLYMODE_SNAPSHOT_SECONDS', 10, 0),
    healthFile: env.POLYMODE_HEALTH_FILE || undefined,
    graders: graderSettings(env),
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

function numberFrom(env: NodeJS.ProcessEnv, name: string, fallback: number, least: number): number {
  const text = env[name];
  if (!text) return fallback;
  const value = Number(text);
  if (!Number.isFinite(value) || value < least) {
    throw new ConfigError(`${name} is '${text}'. Set a number of at least ${least}.`);
  }
  return value;
}
