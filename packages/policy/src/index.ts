export { type PackedBatch, packSequences, positionRows, roundedLength, type Sequence } from './batch.js';
export { type LlamaConfig, parseLlamaConfig, UnsupportedConfigError } from './config.js';
export {
  parameterInputs,
  parameterShapes,
  sequenceHidden,
  type TokenStatistics,
  tokenStatistics,
  vocabularyLogits,
} from './llama.js';
export { type ModelFolder, readModelFolder } from './model-folder.js';
export {
  type Completion,
  Policy,
  type SamplingOptions,
  trainingInputs,
  type UniformSource,
  type Weights,
} from './policy.js';
export { type Draw, normals, philox4x32, seededPermutation, uniforms } from './random.js';
export { readSafetensors, readWeights, SafetensorsError, writeSafetensors } from './safetensors.js';
export { samplerGraph } from './sampler.js';
export { type ChatMessage, loadTokenizer, type Tokenizer } from './tokenizer.js';
