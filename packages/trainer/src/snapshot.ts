import type { ModelFolder, Weights } from '@polymode/policy';
import { readSafetensors, writeSafetensors } from '@polymode/policy';
import { TrainerInputError } from './errors.js';
import { MOMENT1, MOMENT2 } from './gradient-step.js';
import type { SnapshotFile } from './types.js';

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

const STATE_FILE = 'state/trainer.json';
const OPTIMIZER_FILE = 'state/optimizer.safetensors';
const TRAINED_FILE = 'state/trained.safetensors';
const WEIGHTS_FILE = 'model/model.safetensors';

export function snapshotFiles(
  model: Pick<ModelFolder, 'otherFiles'>,
  weights: Weights,
  { trained, moments, progress }: SavedState,
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
  const files: SnapshotFile[] = [
    { path: WEIGHTS_FILE, bytes: writeSafetensors(weights) },
    { path: TRAINED_FILE, bytes: writeSafetensors(trained) },
    { path: OPTIMIZER_FILE, bytes: writeSafetensors(moments) },
    { path: STATE_FILE, bytes: new TextEncoder().encode(`${JSON.stringify(state, null, 2)}\n`) },
  ];
  for (const [name, bytes] of model.otherFiles) files.push({ path: `model/${name}`, bytes });
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** @throws TrainerInputError when files are missing or the snapshot belongs to another job */
export function readSnapshot(files: ReadonlyMap<string, Uint8Array>, identity: JobIdentity): SavedState {
  const file = (path: string): Uint8Array => {
    const bytes = files.get(path);
    if (bytes === undefined) throw new TrainerInputError('invalid_snapshot', null, `the snapshot has no ${path}`);
    return bytes;
  };
  const state = JSON.parse(new TextDecoder().decode(file(STATE_FILE))) as StateFile;
  const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
  for (const key of ['seed', 'hyperparameters', 'trainRows'] as const) {
    if (!same(state[key], identity[key])) {
      throw new TrainerInputError('invalid_snapshot', null, `the snapshot was made with another ${key}`);
    }
  }
  return {
    trained: readSafetensors(file(TRAINED_FILE)),
    moments: readSafetensors(file(OPTIMIZER_FILE)),
    progress: state.progress,
  };
}

/** The optimizer's variables by the names that they have in the file. */
export function momentNames(parameters: readonly string[]): string[] {
  return parameters.flatMap((name) => [MOMENT1 + name, MOMENT2 + name]);
}
