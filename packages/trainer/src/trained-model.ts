import type { LoraOptions, Weights } from '@polymode/policy';
import { adapterOptions } from './learner.js';
import { readStartingPoint, STATE_FILE, TRAINED_FILE } from './snapshot.js';

/** The files of a checkpoint that hold what was trained: how, and the weights themselves. */
export const TRAINED_MODEL_FILES = { description: STATE_FILE, weights: TRAINED_FILE } as const;

/** What a checkpoint is beside its base model. */
export interface TrainedModel {
  /** all weights, or the adapter's */
  readonly weights: Weights;
  /** null when all weights were trained */
  readonly lora: LoraOptions | null;
}

/**
 * @param files those that {@link TRAINED_MODEL_FILES} names
 * @throws TrainerInputError when one is missing
 */
export function readTrainedModel(files: ReadonlyMap<string, Uint8Array>): TrainedModel {
  const { trained, lora } = readStartingPoint(files);
  return { weights: trained, lora: lora === null ? null : adapterOptions(lora) };
}
