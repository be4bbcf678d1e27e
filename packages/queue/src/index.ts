export type { QueueConfig } from './backend.js';
export { type JobQueue, type OpenQueueOptions, openQueue } from './job-queue.js';
export {
  createJobWorker,
  type JobHandler,
  type JobWorker,
  type JobWorkerOptions,
  type TakeAgain,
} from './job-worker.js';
export { type JobPayload, queueName } from './payload.js';
export {
  type ListRunnableJobs,
  type Reconciler,
  type ReconcilerOptions,
  reconcile,
  startReconciler,
} from './reconciler.js';
