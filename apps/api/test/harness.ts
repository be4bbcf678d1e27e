import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { type ApiDependencies, buildApp } from '@polymode/api';
import {
  acquireLease,
  connectDatabase,
  createApiKey,
  type Database,
  disconnectDatabase,
  ensureDefaultProject,
  markRunning,
  recordCheckpoint,
} from '@polymode/db';
import { startTestDatabase } from '@polymode/db/testing';
import { type JobQueue, openQueue } from '@polymode/queue';
import { openStorage, type Storage } from '@polymode/storage';
import { createLogger } from '@polymode/telemetry';
import { openGraderServices } from '@polymode/verifiers';
import OpenAI, { APIError, toFile } from 'openai';

export interface TestApi {
  url: string;
  key: string;
  /** That the key belongs to. */
  projectId: string;
  client: OpenAI;
  db: Database;
  databaseUrl: string;
  storage: Storage;
  queue: JobQueue;
  /** Folder of the storage. */
  storageDir: string;
  /** Log lines so far. */
  logs: Record<string, unknown>[];
  stop(): Promise<void>;
}

/** The API on a free port, over a PostgreSQL, a queue and a storage of its own. */
export async function startTestApi(overrides: Partial<ApiDependencies> = {}): Promise<TestApi> {
  const database = await startTestDatabase();
  const storageDir = await mkdtemp(join(tmpdir(), 'polymode-test-storage-'));
  const db = connectDatabase(database.url);
  const storage = openStorage({ dir: storageDir });
  const queue = openQueue({ databaseUrl: database.url, timeoutMs: 30_000 });
  const logs: Record<string, unknown>[] = [];
  const destination = new Writable({
    write: (chunk, _encoding, done) => {
      for (const line of String(chunk).trim().split('\n')) logs.push(JSON.parse(line));
      done();
    },
  });
  const graderServices = openGraderServices({ endpointAllow: [] });
  const app = await buildApp({
    db,
    storage,
    queue,
    logger: createLogger({ name: 'api', destination }),
    listBaseModels: () => [
      { id: 'polymode-tiny', createdAt: 1_700_000_000 },
      { id: 'Qwen/Qwen3-0.6B', createdAt: 1_700_000_000 },
    ],
    parameterCount: async (model) => (model === 'polymode-tiny' ? 1_000_000 : undefined),
    specialTokens: async (model) => (model === 'polymode-tiny' ? ['<|user|>', '<|endoftext|>'] : ['<|im_end|>']),
    graderServices,
    maxUploadBytes: 1024 * 1024,
    checkResponses: true,
    ...overrides,
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const { id: projectId } = await ensureDefaultProject(db, 'acme');
  const { key } = await createApiKey(db, { projectId, name: 'test', scope: 'admin' }, 'cli');
  return {
    url,
    key,
    projectId,
    // Failures are tested for, so none may be hidden by a retry.
    client: new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 }),
    db,
    databaseUrl: database.url,
    storage,
    queue,
    storageDir,
    logs,
    stop: async () => {
      await app.close();
      graderServices.close();
      await queue.close();
      await disconnectDatabase(db);
      await database.stop();
      await rm(storageDir, { recursive: true, force: true });
    },
  };
}

/** What the SDK makes of a refusal. */
export async function refusal(call: PromiseLike<unknown>): Promise<APIError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof APIError) return error;
    throw error;
  }
  throw new Error('The request was not refused.');
}

/** The error in an answer that did not come through the SDK. */
export async function errorOf(response: Response): Promise<{ param?: unknown; code?: unknown }> {
  return ((await response.json()) as { error: object }).error;
}

export const voxelRow = (top: string) => ({
  messages: [{ role: 'user', content: `Which stacks look like ${top} from above?` }],
  grid: 2,
  max_height: 2,
  top,
});

export const jsonl = (...rows: unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

export async function uploadRows(client: OpenAI, ...rows: unknown[]): Promise<string> {
  const file = await toFile(Buffer.from(jsonl(...rows)), 'rows.jsonl');
  return (await client.files.create({ file, purpose: 'fine-tune' })).id;
}

export const voxelGrader = { type: 'task', name: 'voxel', task: 'hypospace/voxel' };

type JobBody = OpenAI.FineTuning.JobCreateParams;

/** A request for a job; the SDK's types know neither our graders nor our hyperparameters. */
export function jobBody(trainingFile: string, change: object = {}, hyperparameters: object = {}): JobBody {
  return {
    model: 'polymode-tiny',
    training_file: trainingFile,
    method: { type: 'reinforcement', reinforcement: { grader: voxelGrader, hyperparameters } },
    ...change,
  } as unknown as JobBody;
}

/** A checkpoint with these files, as a worker would leave it. */
export async function leaveCheckpoint(
  api: TestApi,
  jobId: string,
  step: number,
  files: Record<string, Uint8Array>,
  announced = true,
): Promise<string> {
  const owner = 'test-worker';
  await acquireLease(api.db, jobId, owner, 60_000);
  await markRunning(api.db, jobId, owner, []);
  const stored = [];
  for (const [path, data] of Object.entries(files)) {
    const storageKey = `checkpoints/${jobId}/step-${step}/${path}`;
    const { bytes, sha256 } = await api.storage.put(storageKey, data);
    stored.push({ path, bytes, sha256, storageKey });
  }
  const checkpoint = await recordCheckpoint(api.db, {
    jobId,
    owner,
    step,
    modelName: `ft:polymode-tiny:acme:demo:${jobId.slice(-8)}:ckpt-step-${step}`,
    metrics: { step, train_reward_mean: 0.5 },
    announced,
    files: stored,
    events: [],
  });
  return checkpoint.id;
}
