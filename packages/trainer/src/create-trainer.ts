import { Engine } from '@polymode/autodiff';
import { readModel, tokenizerOf } from '@polymode/policy';
import type { JobParts } from './job-trainer.js';
import { PreferenceTrainer } from './preference-trainer.js';
import { ReinforcementTrainer } from './reinforcement-trainer.js';
import { SupervisedTrainer } from './supervised-trainer.js';
import type { Trainer, TrainerOptions } from './types.js';

/**
 * Prepares a job: reads the model, turns rows into tokens, starts the engine and restores a snapshot if there is one.
 *
 * @throws TrainerInputError for data or a snapshot that cannot be trained on, naming lines
 * @throws UnsupportedConfigError for a model that this engine cannot run
 */
export async function createTrainer(options: TrainerOptions): Promise<Trainer> {
  const model = await readModel(options.model.path);
  const tokenizer = await tokenizerOf(model.otherFiles);
  const engine = new Engine({
    provider: options.device ?? 'cpu',
    deviceId: options.deviceId ?? 0,
    threads: options.threads ?? 1,
  });
  try {
    const trainer = trainerOf(options, { model, tokenizer, engine });
    await trainer.restore(model.weights);
    return trainer;
  } catch (error) {
    await engine.close();
    throw error;
  }
}

function trainerOf(
  options: TrainerOptions,
  parts: JobParts,
): ReinforcementTrainer | SupervisedTrainer | PreferenceTrainer {
  switch (options.method) {
    case 'reinforcement':
      return new ReinforcementTrainer(options, parts);
    case 'supervised':
      return new SupervisedTrainer(options, parts);
    case 'dpo':
      return new PreferenceTrainer(options, parts);
  }
}
