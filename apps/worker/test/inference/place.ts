import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Engine } from '@polymode/autodiff';
import { type GenerateEvent, type GenerateFailure, GenerateRequest } from '@polymode/contracts';
import {
  acquireLease,
  type CheckpointRecord,
  connectDatabase,
  createFile,
  createJob,
  type Database,
  disconnectDatabase,
  ensureDefaultProject,
  markRunning,
} from '@polymode/db';
import { startTestDatabase } from '@polymode/db/testing';
import { Policy, parameterShapes, readModel, type Tokenizer, tokenizerOf } from '@polymode/policy';
import { findBaseModel } from '@polymode/policy/registry';
import { openStorage, type Storage } from '@polymode/storage';
import { createLogger } from '@polymode/telemetry';
import { createTrainer, type LearnerHyperparameters, readTrainedModel, TRAINED_MODEL_FILES } from '@polymode/trainer';
import { readCheckpoint, writeCheckpoint } from '../../dist/checkpoint-writer.js';
import type { InferenceConfig } from '../../dist/inference/config.js';
import { type InferenceService, startInference } from '../../dist/inference/service.js';

export const TINY = 'polymode-tiny';
const { path: TINY_PATH } = findBaseModel(TINY)!;

/** A real database and storage, and what workers find there. */
export interface Place {
  readonly db: Database;
  readonly databaseUrl: string;
  readonly storage: Storage;
  readonly dir: string;
  readonly projectId: string;
  /** A checkpoint of a short supervised job that really ran. */
  checkpoint(trainable: 'lora' | 'full', seed: number): Promise<CheckpointRecord>;
  /** A server of its own, with its own engine. */
  serve(config?: Partial<InferenceConfig>): Promise<Server>;
  close(): Promise<void>;
}

export interface Server {
  readonly url: string;
  readonly token: string;
  readonly service: InferenceService;
  generate(request: PartialRequest, signal?: AbortSignal): Promise<Answer>;
  /** the response as it comes */
  post(request: PartialRequest, options?: { token?: string; signal?: AbortSignal }): Promise<Response>;
  metrics(): Promise<Record<string, number>>;
  /** Ids of what it has loaded. */
  models(): Promise<string[]>;
}

export type PartialRequest = Partial<GenerateRequest> & Pick<GenerateRequest, 'input'>;

export interface Answer {
  readonly events: readonly GenerateEvent[];
  readonly texts: string[];
}

/** A request that could not be served. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly failure: GenerateFailure,
  ) {
    super(failure.message);
  }
}

export async function openPlace(): Promise<Place> {
  const server = await startTestDatabase();
  const db = connectDatabase(server.url);
  const dir = await mkdtemp(join(tmpdir(), 'polymode-inference-'));
  const storage = openStorage({ dir: join(dir, 'storage') });
  const { id: projectId } = await ensureDefaultProject(db, 'org');
  const servers: InferenceService[] = [];
  const place: Place = {
    db,
    databaseUrl: server.url,
    storage,
    dir,
    projectId,
    checkpoint: (trainable, seed) => trainedCheckpoint(place, trainable, seed),
    serve: async (config = {}) => {
      const opened = await serve(place, config);
      servers.push(opened.service);
      return opened;
    },
    close: async () => {
      for (const service of servers) await service.stop();
      await disconnectDatabase(db);
      await server.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return place;
}

async function serve(place: Place, config: Partial<InferenceConfig>): Promise<Server> {
  const owner = `worker-${randomBytes(4).toString('hex')}`;
  const service = await startInference({
    config: {
      host: '127.0.0.1',
      port: 0,
      url: undefined,
      threads: 1,
      memoryBytes: 2 ** 30,
      idleSeconds: 600,
      metricsToken: undefined,
      ...config,
    },
    db: place.db,
    storage: place.storage,
    logger: createLogger({ name: 'worker', level: 'silent' }),
    modelDirs: [join(place.dir, 'models')],
    device: { provider: 'cpu', deviceId: 0, why: 'asked for' },
    owner,
  });
  const { url, token } = await place.db.inferenceWorker.findUniqueOrThrow({ where: { id: owner } });
  const post: Server['post'] = (request, { token: shown = token, signal } = {}) =>
    fetch(`${url}/generate`, {
      method: 'POST',
      headers: { authorization: `Bearer ${shown}`, 'content-type': 'application/json' },
      body: JSON.stringify(full(request)),
      ...(signal === undefined ? {} : { signal }),
    });
  return {
    url,
    token,
    service,
    post,
    generate: async (request, signal) => {
      const response = await post(request, signal === undefined ? {} : { signal });
      if (response.status !== 200) throw new Refusal(response.status, (await response.json()) as GenerateFailure);
      const events = (await response.text())
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as GenerateEvent);
      return { events, texts: textsOf(events) };
    },
    metrics: async () => {
      const text = await (await fetch(`${url}/metrics`)).text();
      const lines = text.split('\n').filter((line) => line.startsWith('polymode_'));
      return Object.fromEntries(
        lines.map((line) => {
          const at = line.lastIndexOf(' ');
          return [line.slice(0, at), Number(line.slice(at + 1))];
        }),
      );
    },
    models: async () => {
      const response = await fetch(`${url}/healthz`, { headers: { authorization: `Bearer ${token}` } });
      return ((await response.json()) as { models: string[] }).models;
    },
  };
}

/** A request with what OpenAI's API has by default. */
export function full(request: PartialRequest): GenerateRequest {
  return GenerateRequest.parse({
    model: TINY,
    baseModel: TINY,
    checkpointId: null,
    n: 1,
    seed: 1,
    maxTokens: 24,
    temperature: 1,
    topP: 1,
    presencePenalty: 0,
    frequencyPenalty: 0,
    logitBias: [],
    stop: [],
    logprobs: null,
    echo: false,
    format: { type: 'text' },
    ...request,
  });
}

export const chat = (content: string): GenerateRequest['input'] => ({
  type: 'chat',
  messages: [{ role: 'user', content }],
  tools: [],
  toolChoice: 'auto',
  parallelToolCalls: true,
});
export const text = (content: string): GenerateRequest['input'] => ({ type: 'text', text: content });

/** The deltas of each completion, joined. */
export function textsOf(events: readonly GenerateEvent[]): string[] {
  const texts: string[] = [];
  for (const event of events) {
    if (event.type === 'finish') texts[event.index] ??= '';
    if (event.type === 'delta') texts[event.index] = (texts[event.index] ?? '') + event.text;
  }
  return texts;
}

const hyperparameters: LearnerHyperparameters = {
  batch_size: 4,
  max_steps: 2,
  trainable: 'lora',
  lora: { rank: 4, alpha: 16, rslora: false, target_modules: 'all-linear' },
  learning_rate: 1e-2,
  lr_schedule: 'constant',
  warmup_steps: 0,
  optimizer: { weight_decay: 0, beta1: 0.9, beta2: 0.999, epsilon: 1e-5, max_grad_norm: 1 },
  eval_interval: 2,
  memory_budget_mb: null,
} as LearnerHyperparameters;

async function trainedCheckpoint(
  { db, storage, dir, projectId }: Place,
  trainable: 'lora' | 'full',
  seed: number,
): Promise<CheckpointRecord> {
  const owner = 'trainer';
  const id = `file-${randomBytes(8).toString('hex')}`;
  const file = await createFile(db, {
    id,
    projectId,
    filename: 'rows.jsonl',
    purpose: 'fine-tune',
    bytes: 1,
    sha256: 'a'.repeat(64),
    storageKey: `files/${id}`,
  });
  const { job } = await createJob(
    db,
    {
      id: `ftjob-${randomBytes(8).toString('hex')}`,
      projectId,
      model: TINY,
      organizationId: 'org',
      trainingFileId: file.id,
      method: { type: 'supervised' },
      seed,
    },
    [],
  );
  await acquireLease(db, job.id, owner, 600_000);
  const running = await markRunning(db, job.id, owner, []);
  const word = ['red', 'green', 'blue', 'white'][seed % 4]!;
  const trainer = await createTrainer({
    method: 'supervised',
    model: { path: TINY_PATH, name: TINY },
    trainRows: Array.from({ length: 8 }, (_, i) => ({
      messages: [
        { role: 'user', content: `Say ${i}.` },
        { role: 'assistant', content: `${word} `.repeat(3 + (i % 3)) },
      ],
    })),
    validationRows: [],
    hyperparameters: { ...hyperparameters, trainable, ...(trainable === 'full' ? { learning_rate: 2e-3 } : {}) },
    seed,
  });
  try {
    for (let step = 0; step < 2; step++) await trainer.runStep();
    return await writeCheckpoint(db, storage, running, owner, trainer, {
      step: trainer.step,
      announced: { formats: [], ggufType: 'F16' },
      metrics: {},
      scratch: join(dir, 'scratch'),
    });
  } finally {
    await trainer.close();
  }
}

/** A model by itself, as the trainer would sample from it: what answers are compared with. */
export async function referencePolicy(
  place: Place,
  checkpoint: CheckpointRecord | null,
): Promise<{ policy: Policy; tokenizer: Tokenizer; bytes: number; close(): Promise<void> }> {
  const engine = new Engine({ threads: 1 });
  const { config, weights, otherFiles } = await readModel(TINY_PATH);
  const tokenizer = await tokenizerOf(otherFiles);
  const trained = checkpoint === null ? null : readTrainedModel(await readCheckpoint(place.storage, checkpoint));
  const lora = trained?.lora ?? null;
  const policy = new Policy(config, engine, {
    paddingToken: tokenizer.paddingToken,
    ...(lora === null ? {} : { lora }),
  });
  await policy.setWeights(trained !== null && lora === null ? trained.weights : weights);
  if (trained !== null && lora !== null) await policy.setAdapter(trained.weights);
  const bytes = Object.values(parameterShapes(config)).reduce((n, s) => n + 4 * s.reduce((a, b) => a * b, 1), 0);
  return { policy, tokenizer, bytes, close: () => engine.close() };
}

export function trainedBytes(checkpoint: CheckpointRecord): number {
  return checkpoint.files.find((f) => f.path === TRAINED_MODEL_FILES.weights)!.bytes;
}
