export * from './api-keys-repository.js';
export { type AuditActor, type AuditRecord, type ListAudit, listAudit } from './audit-repository.js';
export {
  type CheckpointFileRecord,
  type CheckpointRecord,
  checkpointId,
  findCheckpoint,
  forgetResumeSnapshots,
  getCheckpoint,
  latestCheckpoint,
  listCheckpoints,
  type NewCheckpoint,
  recordCheckpoint,
} from './checkpoints-repository.js';
export {
  type ConnectOptions,
  connectDatabase,
  type Database,
  disconnectDatabase,
  type JsonObject,
  pingDatabase,
} from './client.js';
export * from './errors.js';
export {
  appendEvents,
  type EventCursor,
  type EventNews,
  type EventRecord,
  eventSequence,
  listEvents,
  listEventsSince,
  type NewEvent,
  pollEvents,
} from './events-repository.js';
export * from './files-repository.js';
export type { EventLevel, FileStatus, JobStatus, KeyScope } from './generated/client.js';
export * from './inference-workers-repository.js';
export * from './jobs-repository.js';
export * from './metrics-repository.js';
export { type MigrateOptions, MigrationError, migrate } from './migrate.js';
export * from './models-repository.js';
export type { Page, PageRequest } from './pagination.js';
export * from './permissions-repository.js';
export { anyProject, type ProjectScope } from './project-scope.js';
export {
  archiveProject,
  createProject,
  ensureDefaultProject,
  getProject,
  type ListProjects,
  listProjects,
  type ProjectRecord,
  renameProject,
} from './projects-repository.js';
export { type ListSamples, listSamples, type NewSample, type SampleRecord } from './samples-repository.js';
export * from './uploads-repository.js';
export { claimWandbRuns, settleWandbRun, type WandbOutcome, type WandbRunRecord } from './wandb-repository.js';
export {
  claimDeliveries,
  createWebhookEndpoint,
  deleteWebhookEndpoint,
  forgetDeliveries,
  getWebhookEndpoint,
  listWebhookEndpoints,
  settleDelivery,
  type WebhookDeliveryRecord,
  type WebhookEndpointRecord,
  type WebhookEvent,
} from './webhooks-repository.js';
