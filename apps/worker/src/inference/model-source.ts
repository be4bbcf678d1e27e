import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { type CheckpointRecord, type Database, findCheckpoint } from '@polymode/db';
import { type BaseModel, findBaseModel } from '@polymode/policy/registry';
import type { Storage } from '@polymode/storage';
import { readTrainedModel, TRAINED_MODEL_FILES, type TrainedModel } from '@polymode/trainer';

/** Where models come from. */
export interface ModelSource {
  /** null when there is none of that id */
  baseModel(id: string): BaseModel | null;
  /** null when there is none, or it was deleted */
  checkpoint(id: string): Promise<CheckpointRecord | null>;
  /** @throws Error naming a file that is missing or damaged */
  trained(checkpoint: CheckpointRecord): Promise<TrainedModel>;
}

/** Base models of the registry; checkpoints of the database, with their files in the storage. */
export function openModelSource(db: Database, storage: Storage, modelDirs: readonly string[]): ModelSource {
  return {
    baseModel: (id) => findBaseModel(id, modelDirs) ?? null,
    checkpoint: (id) => findCheckpoint(db, id),
    trained: async (checkpoint) => {
      const files = new Map<string, Uint8Array>();
      for (const path of Object.values(TRAINED_MODEL_FILES)) files.set(path, await read(storage, checkpoint, path));
      return readTrainedModel(files);
    },
  };
}

/** Bytes of what was trained, as its file says. */
export function trainedBytes(checkpoint: CheckpointRecord): number {
  return checkpoint.files.find((f) => f.path === TRAINED_MODEL_FILES.weights)?.bytes ?? 0;
}

async function read(storage: Storage, checkpoint: CheckpointRecord, path: string): Promise<Uint8Array> {
  const file = checkpoint.files.find((f) => f.path === path);
  if (file === undefined) throw new Error(`checkpoint ${checkpoint.id} has no ${path}`);
  const bytes = await buffer(await storage.get(file.storageKey));
  if (createHash('sha256').update(bytes).digest('hex') !== file.sha256) {
    throw new Error(`checkpoint ${checkpoint.id} is damaged: ${path} no longer has the sha256 it was stored with`);
  }
  return bytes;
}
