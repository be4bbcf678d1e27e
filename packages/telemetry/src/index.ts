export {
  createInferenceMetrics,
  type InferenceLoad,
  type InferenceMetrics,
  type RequestOutcome,
} from './inference-metrics.js';
export { type CreateLoggerOptions, createLogger, jobLogger, type Logger, loggerOptions } from './logger.js';
