export { createTrainer } from './create-trainer.js';
export { GradersFailedError, TrainerInputError } from './errors.js';
export type { MemoryEstimate } from './memory.js';
export type { MemoryPlan } from './memory-plan.js';
export type * from './types.js';
