/** Constrained decoding. Loads neither the engine nor a tokenizer: the API checks schemas with it. */
export {
  ANY_OBJECT,
  compileConstraint,
  compileToolConstraint,
  constraintOf,
  type Vocabulary,
  type VocabularyOptions,
} from './compile.js';
export { type AllowedOptions, Constraint } from './constraint.js';
export { SchemaError } from './error.js';
export { FORMATS } from './formats.js';
export type { Grammar } from './grammar.js';
export type { JsonStyle } from './json-rules.js';
export { compileSchema } from './schema.js';
export { compileToolCalls, type Tool, type ToolCallOptions } from './tool-calls.js';
