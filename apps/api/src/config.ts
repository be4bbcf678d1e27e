import { resolve } from 'node:path';
import { modelDirs } from '@polymode/policy/registry';
import { type GraderSettings, readGraderSettings, readModelNames } from '@polymode/verifiers';
import { z } from 'zod';
import type { ModelAliases } from './base-models.js';
import { readWandbSettings, type WandbSettings } from './wandb/settings.js';

const optional = z
  .string()
  .optional()
  .transform((text) => text || undefined);
const wholeNumber = (name: string, fallback: number, minimum: number, maximum: number) =>
  optional.transform((text, context) => {
    const value = text === undefined ? fallback : Number(text);
    if (Number.isInteger(value) && value >= minimum && value <= maximum) return value;
    context.addIssue({
      code: 'custom',
      message: `${name} is '${text}'. Set a whole number from ${minimum} to ${maximum}.`,
    });
    return z.NEVER;
  });

const Environment = z.object({
  DATABASE_URL: z
    .string({ error: 'DATABASE_URL is not set. Set postgres://user:password@host:port/database.' })
    .min(1, {
      error: 'DATABASE_URL is empty. Set postgres://user:password@host:port/database.',
    }),
  REDIS_URL: optional,
  POLYMODE_API_KEY: optional,
  POLYMODE_HOST: optional.transform((host) => host ?? '127.0.0.1'),
  POLYMODE_PORT: wholeNumber('POLYMODE_PORT', 8000, 0, 65_535),
  POLYMODE_DATA_DIR: optional.transform((dir) => resolve(dir ?? '.polymode')),
  POLYMODE_MODELS_DIR: optional,
  POLYMODE_ORGANIZATION: optional.transform((text, context) => {
    const value = text ?? 'polymode';
    // It is a part of model names, which colons separate.
    if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(value)) return value;
    context.addIssue({
      code: 'custom',
      message: `POLYMODE_ORGANIZATION is '${value}'. Set up to 64 letters, digits, '.', '_' and '-'.`,
    });
    return z.NEVER;
  }),
  POLYMODE_REQUESTS_PER_MINUTE: wholeNumber('POLYMODE_REQUESTS_PER_MINUTE', 6000, 0, 1_000_000_000),
  POLYMODE_TOKENS_PER_MINUTE: wholeNumber('POLYMODE_TOKENS_PER_MINUTE', 0, 0, 1_000_000_000),
  POLYMODE_MAX_UPLOAD_BYTES: wholeNumber('POLYMODE_MAX_UPLOAD_BYTES', 512 * 1024 * 1024, 1, Number.MAX_SAFE_INTEGER),
  LOG_LEVEL: optional,
});

export interface ApiConfig {
  databaseUrl: string;
  /** The queue is on Redis when set, else in the database. */
  redisUrl?: string | undefined;
  /** A key that works from the start. When absent and there is none yet, one is generated. */
  apiKey?: string | undefined;
  host: string;
  /** 0: any free one. */
  port: number;
  /** Stored files are in its folder `storage`. */
  dataDir: string;
  /** Folders of more base models. */
  modelDirs: string[];
  modelAliases: ModelAliases;
  organizationId: string;
  maxUploadBytes: number;
  /** Of each key that has no number of its own; 0 for no limit. */
  requestsPerMinute: number;
  /** Of completions, of each key that has no number of its own; 0 for no limit. */
  tokensPerMinute: number;
  graders: GraderSettings;
  /** null: jobs cannot be sent to Weights & Biases. */
  wandb: WandbSettings | null;
  logLevel?: string | undefined;
}

/** @throws Error that names every variable that is wrong */
export function parseConfig(environment: Record<string, string | undefined>): ApiConfig {
  const parsed = Environment.safeParse(environment);
  if (!parsed.success) throw new Error(parsed.error.issues.map((issue) => issue.message).join(' '));
  const env = parsed.data;
  return {
    databaseUrl: env.DATABASE_URL,
    redisUrl: env.REDIS_URL,
    apiKey: env.POLYMODE_API_KEY,
    host: env.POLYMODE_HOST,
    port: env.POLYMODE_PORT,
    dataDir: env.POLYMODE_DATA_DIR,
    modelDirs: modelDirs(env.POLYMODE_DATA_DIR, env.POLYMODE_MODELS_DIR),
    modelAliases: readModelNames('POLYMODE_MODEL_ALIASES', environment.POLYMODE_MODEL_ALIASES),
    organizationId: env.POLYMODE_ORGANIZATION,
    maxUploadBytes: env.POLYMODE_MAX_UPLOAD_BYTES,
    requestsPerMinute: env.POLYMODE_REQUESTS_PER_MINUTE,
    tokensPerMinute: env.POLYMODE_TOKENS_PER_MINUTE,
    graders: readGraderSettings(environment),
    wandb: readWandbSettings(environment),
    logLevel: env.LOG_LEVEL,
  };
}
