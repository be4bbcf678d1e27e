import { readSafetensors, safetensorsChunks, type Weights } from '@polymode/policy';
import { TrainerInputError } from './errors.js';
import { MOMENT1, MOMENT2 } from './gradient-step.js';
import type { LearnerHyperparameters, SnapshotFile } from './types.js';

/** What a job is, as far as its result depends on it; a snapshot of another job must not be resumed from. */
export interface JobIdentity {
  readonly seed: number;
  readonly hyperparameters: unknown;
  readonly trainRows: number;
}

/** Everything of the trainer's state that is no tensor. Random numbers are functions of (seed, step): the step is their state. */
export interface Progress {
  readonly step: number;
  /** optimizer updates so far; a step whose groups all lack spread makes none */
  readonly updates: number;
  /** updates that were no numbers, since the last that was one */
  readonly skippedInARow: number;
  readonly trainedTokens: number;
}

/** What a resumed job begins from. */
export interface SavedState {
  /** all weights, or the adapter */
  readonly trained: Weights;
  /** of AdamW, by the names that `momentNames` gives */
  readonly moments: Weights;
  readonly progress: Progress;
}

interface StateFile extends JobIdentity {
  readonly format: 1;
  readonly random: { readonly generator: 'philox4x32-10'; readonly seed: number; readonly step: number };
  readonly cursor: { readonly rowsRead: number };
  readonly progress: Progress;
}

export const STATE_FILE = 'state/trainer.json';
const OPTIMIZER_FILE = 'state/optimizer.safetensors';
export const TRAINED_FILE = 'state/trained.safetensors';

/** What is saved of a policy in training. */
export interface SnapshotSource {
  /** name and shape of everything that training moves */
  readonly trainable: Readonly<Record<string, readonly number[]>>;
  /** one of them, or a moment of one, as it is now */
  readonly read: (name: string) => Promise<Float32Array>;
  readonly progress: Progress;
}

/** @returns sorted by path */
export function snapshotFiles(
  { trainable, read, progress }: SnapshotSource,
  identity: JobIdentity,
  batchSize: number,
): SnapshotFile[] {
  const state: StateFile = {
    format: 1,
    ...identity,
    random: { generator: 'philox4x32-10', seed: identity.seed, step: progress.step },
    cursor: { rowsRead: progress.step * batchSize },
    progress,
  };
  const moments = Object.fromEntries(
    Object.entries(trainable).flatMap(([name, shape]) => momentNames([name]).map((moment) => [moment, shape] as const)),
  );
  return [
    { path: OPTIMIZER_FILE, chunks: () => safetensorsChunks(moments, read) },
    { path: TRAINED_FILE, chunks: () => safetensorsChunks(trainable, read) },
    {
      path: STATE_FILE,
      async *chunks() {
        yield new TextEncoder().encode(`${JSON.stringify(state, null, 2)}\n`);
      },
    },
  ].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** What another job had trained. */
export interface StartingPoint {
  /** all weights, or the adapter */
  readonly trained: Weights;
  /** how the adapter is made; null when all weights were trained */
  readonly lora: LearnerHyperparameters['lora'] | null;
}

/** @throws TrainerInputError when files are missing */
export function readStartingPoint(files: ReadonlyMap<string, Uint8Array>): StartingPoint {
  const { hyperparameters } = readState(files);
  const { trainable, lora } = hyperparameters as LearnerHyperparameters;
  return { trained: readSafetensors(fileOf(files, TRAINED_FILE)), lora: trainable === 'lora' ? lora : null };
}

/** @throws TrainerInputError when files are missing or the snapshot belongs to another job */
export function readSnapshot(files: ReadonlyMap<string, Uint8Array>, identity: JobIdentity): SavedState {
  const state = readState(files);
  const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
  for (const key of ['seed', 'hyperparameters', 'trainRows'] as const) {
    if (!same(state[key], identity[key])) {
      throw new TrainerInputError('invalid_snapshot', null, `the snapshot was made with another ${key}`);
    }
  }
  return {
    trained: readSafetensors(fileOf(files, TRAINED_FILE)),
    moments: readSafetensors(fileOf(files, OPTIMIZER_FILE)),
    progress: state.progress,
  };
}

function readState(files: ReadonlyMap<string, Uint8Array>): StateFile {
  return JSON.parse(new TextDecoder().decode(fileOf(files, STATE_FILE))) as StateFile;
}

function fileOf(files: ReadonlyMap<string, Uint8Array>, path: string): Uint8Array {
  const bytes = files.get(path);
  if (bytes === undefined) throw new TrainerInputError('invalid_snapshot', null, `the snapshot has no ${path}`);
  return bytes;
}

/** The optimizer's variables by the names that they have in the file. */
export function momentNames(parameters: readonly string[]): string[] {
  return parameters.flatMap((name) => [MOMENT1 + name, MOMENT2 + name]);
}
