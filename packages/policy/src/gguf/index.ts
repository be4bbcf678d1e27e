export { GgufError } from './error.js';
export type { Config } from './families.js';
export { type GgufModel, ggufParameterCount, readGgufModel } from './model.js';
export { type GgufOutput, writeGguf } from './write.js';
