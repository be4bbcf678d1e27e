export {
  groupShape,
  type PackedBatch,
  type PackedGroups,
  packGroups,
  packSequences,
  positionRows,
  roundedLength,
  type Sequence,
  type SequenceGroup,
} from './batch.js';
export { type ChatMessage, presentMessage, presentTools } from './chat-messages.js';
export { saidWithCalls } from './chat-tools.js';
export { type FamilyName, type ModelConfig, UnsupportedConfigError } from './config.js';
export {
  type AllowedOptions,
  Constraint,
  compileConstraint,
  compileSchema,
  compileToolCalls,
  compileToolConstraint,
  constraintOf,
  SchemaError,
  type Tool,
  type ToolCallOptions,
} from './constraint/index.js';
export {
  ExportError,
  type ExportFormat,
  type ExportOptions,
  type ExportReport,
  type ExportSource,
  exportPolicy,
  promptLogits,
} from './export/index.js';
export { familyOf, parameterShapes, parseModelConfig } from './families/index.js';
export {
  adapterNames,
  adapterShapes,
  initialAdapter,
  type LoraOptions,
  LoraTargetError,
  loraModules,
  loraScale,
  mergeAdapter,
} from './lora.js';
export { type MicroBatch, microBatches } from './micro-batches.js';
export { type ModelFolder, readModel, readModelDescription, readModelFolder } from './model-folder.js';
export { ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE, AdapterError, readAdapter, writeAdapter } from './peft.js';
export {
  type Completion,
  Policy,
  type PolicyOptions,
  type SamplingOptions,
  type UniformSource,
  type Weights,
} from './policy.js';
export { type Draw, normals, philox4x32, seededPermutation, uniforms } from './random.js';
export { readSafetensors, readWeights, SafetensorsError, safetensorsChunks, writeSafetensors } from './safetensors.js';
export type { CacheMemory } from './sampling/cache-memory.js';
export { type SamplingSize, samplingBytes } from './sampling/memory.js';
export { type Alternative, checkOptions } from './sampling/options.js';
export { type PromptScores, promptLogProbabilities, scorePrompt } from './sampling/prompt-scores.js';
export {
  type Progress,
  RunningBatch,
  type RunningBatchOptions,
  type RunningRequest,
  type SamplingRequest,
} from './sampling/running-batch.js';
export { SessionCache } from './sampling/sessions.js';
export { heldBack } from './sampling/text.js';
export { type ChatOptions, loadTokenizer, type Tokenizer, tokenizerOf } from './tokenizer.js';
export type { GroupShape } from './transformer/attention.js';
export { groupHidden, sequenceHidden } from './transformer/hidden.js';
export { type GroupCounts, groupInputs, parameterInputs, sequenceInputs } from './transformer/inputs.js';
export type { ParameterTensors } from './transformer/parameters.js';
export { type TokenStatistics, tokenStatistics, vocabularyLogits } from './transformer/statistics.js';
export { after, chunkOf, type VocabularyChunks, vocabularyChunks } from './transformer/vocabulary-chunks.js';
