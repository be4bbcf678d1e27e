import { fileOperations } from './files.js';
import { fineTuningOperations } from './fine-tuning.js';
import { inferenceOperations } from './inference.js';
import { modelOperations } from './models.js';
import { organizationOperations } from './organization.js';

/** Everything that the API does under `/v1`. */
export const operations = {
  ...fileOperations,
  ...fineTuningOperations,
  ...inferenceOperations,
  ...modelOperations,
  ...organizationOperations,
} as const;
