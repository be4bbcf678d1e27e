export { createTrainer } from './create-trainer.js';
export { GradersFailedError, TrainerInputError } from './errors.js';
export type * from './types.js';
