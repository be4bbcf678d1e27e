import { amideTask } from './amide-lite/index.js';
import { booleanTask } from './boolean/index.js';
import { causalTask } from './causal/index.js';
import { countdownTask } from './countdown/index.js';
import { hypergridTask } from './hypergrid/index.js';
import { jsonSchemaTask } from './json-schema/index.js';
import { voxelTask } from './voxel/index.js';

/** One entry per task that graders can name. */
export const tasks = {
  'hypospace/boolean': booleanTask,
  'hypospace/causal': causalTask,
  'hypospace/voxel': voxelTask,
  hypergrid: hypergridTask,
  'arithmetic/countdown': countdownTask,
  'text/json-schema': jsonSchemaTask,
  'molecules/amide-lite': amideTask,
} as const;

export type TaskName = keyof typeof tasks;
