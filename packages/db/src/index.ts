export * from './api-keys-repository.js';
export * from './checkpoints-repository.js';
export {
  type ConnectOptions,
  connectDatabase,
  type Database,
  disconnectDatabase,
  type JsonObject,
  pingDatabase,
} from './client.js';
export * from './errors.js';
export { appendEvents, type EventRecord, listEvents, listEventsSince, type NewEvent } from './events-repository.js';
export * from './files-repository.js';
export type { EventLevel, FileStatus, JobStatus } from './generated/client.js';
export * from './jobs-repository.js';
export * from './metrics-repository.js';
export { type MigrateOptions, MigrationError, migrate } from './migrate.js';
export type { Page, PageRequest } from './pagination.js';
