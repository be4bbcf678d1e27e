export { type CreateLoggerOptions, createLogger, jobLogger, type Logger, loggerOptions } from './logger.js';
