export { createTrainer } from './create-trainer.js';
export { GradersFailedError, TrainerInputError } from './errors.js';
export { type InspectedFile, type Inspection, type InspectOptions, inspectJob } from './inspect-job.js';
export { type MemoryEstimate, weightBytes } from './memory.js';
export { type MemoryPlan, machineBytes } from './memory-plan.js';
export { readTrainedModel, TRAINED_MODEL_FILES, type TrainedModel } from './trained-model.js';
export type * from './types.js';
