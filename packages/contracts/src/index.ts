/** Request and response schemas of Polymode's API, shared by its server and its clients. Depends on zod alone. */
export * from './checkpoint-formats.js';
export { changedHyperparameters } from './derived-hyperparameters.js';
export * from './dry-run.js';
export * from './errors.js';
export * from './files.js';
export * from './fine-tuning-jobs.js';
export * from './graders.js';
export * from './hyperparameters.js';
export * from './imitation-hyperparameters.js';
export * from './inference/chat-completions.js';
export type { ChatMessage } from './inference/chat-messages.js';
export type { FunctionTool, ToolChoice } from './inference/chat-tools.js';
export * from './inference/completions.js';
export * from './inference/inspect.js';
export * from './inference/protocol.js';
export { CompletionUsage } from './inference/usage.js';
export * from './integrations.js';
export * from './job-records.js';
export {
  HyperparameterError,
  LoraHyperparameters,
  OptimizerHyperparameters,
  type TrainingData,
} from './learner-hyperparameters.js';
export * from './models.js';
export { type OpenApiInfo, openApiDocument } from './openapi.js';
export * from './operation.js';
export { operations } from './operations/index.js';
export * from './organization.js';
export * from './permissions.js';
export { type RequestProblem, requestProblem } from './request-problem.js';
export { ResponseFormat } from './response-format.js';
export * from './uploads.js';
export * from './webhooks.js';
