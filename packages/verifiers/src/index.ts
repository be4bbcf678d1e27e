export { mayReach } from './endpoint/addresses.js';
export { EndpointUnreachable, postJson, RefusedAddress } from './endpoint/post.js';
export {
  type Grade,
  type GradeOptions,
  type Grader,
  type GraderConfig,
  GraderConfigError,
  type GraderErrorDetails,
  type GraderErrorKind,
  GraderRuntimeError,
  type Item,
  type ItemProblem,
  type Sample,
  type TokenUsage,
} from './grader.js';
export { compileGrader } from './graders/index.js';
export {
  GRADING_TIMEOUT_MS,
  type Gradable,
  type GradingFailure,
  type GradingOptions,
  type GradingResult,
  gradeAll,
} from './grading.js';
export {
  type IdealSummary,
  idealL1,
  idealRecovery,
  idealSummary,
  idealTopOutcomeShare,
  idealUniqueness,
} from './ideal-sampler.js';
export { schemaProblem } from './json-schema.js';
export {
  l1ToTarget,
  meanReward,
  parseRate,
  recovery,
  type Summary,
  summarize,
  topOutcomeShare,
  uniqueness,
  validity,
} from './metrics.js';
export { compileOutcome, type Outcome, type OutcomeConfig, UNPARSEABLE } from './outcome.js';
export { sampleOf } from './sample.js';
export { type GraderServices, inProject, type JudgeSettings } from './services.js';
export { type GraderSettings, openGraderServices, readGraderSettings, readModelNames } from './settings.js';
export {
  type Assessment,
  equalRewards,
  type GenerateOptions,
  type GradableTask,
  type PromptStyle,
  type Row,
  type Task,
} from './task.js';
export type { AmideOptions } from './tasks/amide-lite/choices.js';
export type { AmideAnswer } from './tasks/amide-lite/index.js';
export type { AmideInstance } from './tasks/amide-lite/item.js';
export type { Molecule, Route } from './tasks/amide-lite/molecule.js';
export type { Expression, Operator } from './tasks/boolean/expression.js';
export { type BooleanInstance, hypothesisSpace, type Observation } from './tasks/boolean/space.js';
export type { BooleanOptions } from './tasks/boolean/tables.js';
export type { CausalInstance, CausalObservation, Graph } from './tasks/causal/graph.js';
export type { CausalOptions } from './tasks/causal/perturbations.js';
export type { CountdownOptions } from './tasks/countdown/draws.js';
export type { Expression as CountdownExpression } from './tasks/countdown/expression.js';
export type { CountdownInstance } from './tasks/countdown/space.js';
export {
  type Cell,
  cells,
  type HypergridInstance,
  isModeCell,
  modeAxisValues,
  modeRegion,
  pathsTo,
} from './tasks/hypergrid/grid.js';
export type { HypergridOptions } from './tasks/hypergrid/sides.js';
export { type HypergridTarget, hypergridTarget } from './tasks/hypergrid/target.js';
export { type TaskName, tasks } from './tasks/index.js';
export type { JsonAnswer } from './tasks/json-schema/answer.js';
export type { JsonSchemaOptions } from './tasks/json-schema/draws.js';
export type { JsonSchemaInstance } from './tasks/json-schema/item.js';
export type { Structure, VoxelInstance } from './tasks/voxel/structure.js';
export type { VoxelOptions } from './tasks/voxel/views.js';
export { compileTemplate, type Template } from './template.js';
export { readToolCalls } from './tool-calls.js';
