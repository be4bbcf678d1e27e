export { GradersFailedError, TrainerInputError } from './errors.js';
export { createTrainer } from './trainer.js';
export type * from './types.js';
