import type { Device } from '@polymode/autodiff';
import { checkpointFormatsOf, fineTunedModelName, hyperparametersOf, ResolvedMethod } from '@polymode/contracts';
import {
  acquireLease,
  anyProject,
  type Database,
  failJob,
  findCheckpoint,
  getJob,
  type JobError,
  type JobRecord,
  type JobStatus,
  LeaseLostError,
  latestCheckpoint,
  markRunning,
  recordStep,
  releaseLease,
  renewLease,
  succeedJob,
} from '@polymode/db';
import type { TakeAgain } from '@polymode/queue';
import type { Storage } from '@polymode/storage';
import { jobLogger, type Logger } from '@polymode/telemetry';
import { type createTrainer, type StepReport, type Trainer, TrainerInputError } from '@polymode/trainer';
import type { GraderServices } from '@polymode/verifiers';
import { readCheckpoint, writeCheckpoint } from './checkpoint-writer.js';
import { failedEvent, startedEvent, succeededEvents, warningEvents } from './job-events.js';
import { readJobInput } from './job-input.js';
import { reportOf, samplesOf, stepEvent } from './method-report.js';
import { writeResultFile } from './result-file.js';

export interface RunJobContext {
  readonly db: Database;
  readonly storage: Storage;
  readonly logger: Logger;
  readonly createTrainer: typeof createTrainer;
  /** unique to this run of the worker process */
  readonly owner: string;
  readonly modelDirs: readonly string[];
  readonly graderServices: GraderServices;
  readonly device: Device;
  readonly threads: number;
  /** milliseconds that the lease lasts without renewal */
  readonly leaseMs: number;
  readonly snapshotSeconds: number;
  /** for files on their way into the storage */
  readonly scratchDir: string;
}

/** A job that was taken up this often without recording a step is given up: it kills its workers. */
const MOST_ATTEMPTS = 5;

/**
 * Runs one job from where it stands to its end, or until the worker is to stop.
 *
 * Everything that is written carries the lease's owner, so a worker that lost its lease writes nothing more. What a
 * crash cuts off is done again from the newest checkpoint, to the same bytes and under the same keys.
 *
 * @param stopping aborts when this worker is to hand its job back
 */
export async function runJob(
  context: RunJobContext,
  jobId: string,
  stopping: AbortSignal,
): Promise<TakeAgain | undefined> {
  const { db, owner, leaseMs } = context;
  const logger = jobLogger(context.logger, jobId);
  const job = await acquireLease(db, jobId, owner, leaseMs);
  if (job === null) {
    const now = await getJob(db, anyProject, jobId);
    // Somebody holds it, or held it and died: look again when that lease has run out.
    return now?.status === 'queued' || now?.status === 'running' ? { retryAfterMs: leaseMs / 2 } : undefined;
  }
  if (job.attempts > MOST_ATTEMPTS) {
    const message =
      `the worker ended ${MOST_ATTEMPTS} times without finishing a step, probably for lack of memory; ` +
      'lower batch_size, group_size or max_completion_tokens';
    await giveUp(context, jobId, { code: 'worker_died', message, param: null }, logger);
    return undefined;
  }

  const lease = keepLease(context, jobId, logger);
  let trainer: Trainer | null = null;
  try {
    const running = await markRunning(db, jobId, owner, [startedEvent()]);
    trainer = await openTrainer(context, running, logger);
    const finished = await train(context, running, trainer, logger, lease, stopping);
    if (finished) {
      await finish(context, running, trainer, logger);
      return undefined;
    }
    if (lease.ended() === 'lost') return undefined;
    await releaseLease(db, jobId, owner);
    const paused = (await getJob(db, anyProject, jobId))?.status === 'paused';
    logger.info({ step: trainer.step }, paused ? 'job paused' : 'job handed back');
    return paused ? undefined : { retryAfterMs: 0 };
  } catch (error) {
    if (error instanceof LeaseLostError) {
      logger.info({ status: error.status, heldBy: error.heldBy }, 'job is no longer ours');
      // Paused in the moment of its end: it will end when it is resumed.
      if (error.status === 'paused') await releaseLease(db, jobId, owner);
      return undefined;
    }
    if (isOutage(error)) throw error; // the job is fine; the reconciler brings it back
    await giveUp(context, jobId, describe(error), logger, error);
    return undefined;
  } finally {
    lease.stop();
    await trainer?.close();
  }
}

async function openTrainer(context: RunJobContext, job: JobRecord, logger: Logger): Promise<Trainer> {
  const { modelDirs, graderServices } = context;
  const input = await readJobInput(context.db, context.storage, job, modelDirs, graderServices);
  const checkpoint = await latestCheckpoint(context.db, job.id);
  const trainer = await context.createTrainer({
    ...input,
    device: context.device.provider,
    deviceId: context.device.deviceId,
    threads: context.threads,
    ...(await beginning(context, job)),
    ...(checkpoint === null ? {} : { resumeFrom: await readCheckpoint(context.storage, checkpoint) }),
  });
  logger.info(
    { step: trainer.step, totalSteps: trainer.totalSteps },
    checkpoint === null ? 'job started' : 'job resumed',
  );
  return trainer;
}

/** The checkpoint of another job that this one starts from. */
async function beginning(
  { db, storage }: RunJobContext,
  { startCheckpointId }: JobRecord,
): Promise<{ startFrom?: Map<string, Uint8Array> }> {
  if (startCheckpointId === null) return {};
  const checkpoint = await findCheckpoint(db, startCheckpointId);
  if (checkpoint !== null) return { startFrom: await readCheckpoint(storage, checkpoint) };
  throw new TrainerInputError('model_not_found', 'model', 'the checkpoint to start from does not exist any more');
}

/** @returns true when every step is done, false when it was told to stop before; then a snapshot holds where it stands */
async function train(
  context: RunJobContext,
  job: JobRecord,
  trainer: Trainer,
  logger: Logger,
  lease: Lease,
  stopping: AbortSignal,
): Promise<boolean> {
  const { db, storage, owner } = context;
  const method = ResolvedMethod.parse(job.method);
  const told = reportOf(method);
  const { checkpoint_formats: formats, gguf_type: ggufType } = checkpointFormatsOf(method);
  const { eval_interval: evalInterval } = hyperparametersOf(method);
  let saved = { step: trainer.step, announced: false, at: Date.now() };
  const save = async (announced: boolean, report: StepReport | null): Promise<void> => {
    const metrics = { step: trainer.step, ...(report === null ? {} : told.checkpointMetrics(report)) };
    await writeCheckpoint(db, storage, job, owner, trainer, {
      step: trainer.step,
      announced: announced ? { formats, ggufType } : null,
      metrics,
      scratch: context.scratchDir,
    });
    saved = { step: trainer.step, announced, at: Date.now() };
  };

  let lastReport: StepReport | null = null;
  const began = { step: trainer.step, at: Date.now() };
  while (trainer.step < trainer.totalSteps) {
    const why = lease.ended() ?? (stopping.aborted ? 'handing back' : null);
    if (why !== null) {
      // Whoever pauses a job may want to try what it has learned so far.
      const pending = saved.step !== trainer.step;
      if (why === 'paused' && trainer.step > 0 && (pending || !saved.announced)) await save(true, lastReport);
      else if (why === 'handing back' && pending) await save(false, null);
      return false;
    }
    const report = await trainer.runStep();
    lastReport = report;
    const status = await recordStep(db, {
      jobId: job.id,
      owner,
      step: report.step,
      metrics: told.data(report),
      events: [stepEvent(report, told), ...warningEvents(report)],
      trainedTokens: trainer.trainedTokens,
      estimatedFinishAt: estimatedFinish(began, trainer),
      samples: samplesOf(report),
    });
    lease.note(status);
    logger.debug({ step: report.step }, told.message(report).trim());
    const announced = report.step % evalInterval === 0 || report.step === trainer.totalSteps;
    if (announced) await save(true, report);
    else if (Date.now() - saved.at >= context.snapshotSeconds * 1000) await save(false, null);
  }
  return true;
}

/** As if the steps to come took as long as those since this worker took the job up. */
function estimatedFinish(began: { step: number; at: number }, { step, totalSteps }: Trainer): Date {
  const now = Date.now();
  return new Date(now + ((now - began.at) / Math.max(1, step - began.step)) * (totalSteps - step));
}

async function finish(context: RunJobContext, job: JobRecord, trainer: Trainer, logger: Logger): Promise<void> {
  const fineTunedModel = fineTunedModelName(job);
  const resultFile = await writeResultFile(
    context.db,
    context.storage,
    job,
    reportOf(ResolvedMethod.parse(job.method)),
  );
  await succeedJob(
    context.db,
    job.id,
    context.owner,
    { fineTunedModel, trainedTokens: trainer.trainedTokens, resultFiles: [resultFile] },
    succeededEvents(fineTunedModel),
  );
  logger.info({ model: fineTunedModel }, 'job succeeded');
}

interface Lease {
  /** That it was lost, or that the job is not to be run for now or any more; null while it is. */
  ended(): 'lost' | 'paused' | null;
  /** What the database said of the job just now; null when it is another's. */
  note(status: JobStatus | null): void;
  stop(): void;
}

/** Renews the lease until stopped. */
function keepLease(context: RunJobContext, jobId: string, logger: Logger): Lease {
  let over: 'lost' | 'paused' | null = null;
  const note = (status: JobStatus | null): void => {
    if (over === 'lost') return;
    if (status === 'paused') over = 'paused';
    else over = status === 'running' || status === 'queued' ? null : 'lost';
  };
  const timer = setInterval(async () => {
    try {
      note(await renewLease(context.db, jobId, context.owner, context.leaseMs));
    } catch (err) {
      // The database may be back before the lease runs out; if not, the next write finds out.
      logger.warn({ err }, 'lease could not be renewed');
    }
  }, context.leaseMs / 3);
  return { ended: () => over, note, stop: () => clearInterval(timer) };
}

async function giveUp(
  context: RunJobContext,
  jobId: string,
  error: JobError,
  logger: Logger,
  cause?: unknown,
): Promise<void> {
  logger.error({ err: cause, code: error.code }, `job failed: ${error.message}`);
  try {
    await failJob(context.db, jobId, context.owner, error, [failedEvent(error.message)]);
  } catch (failure) {
    if (!(failure instanceof LeaseLostError)) throw failure;
  }
}

/** Errors that know what the job's owner should change say so; others are ours. */
function describe(error: unknown): JobError {
  if (error instanceof Error && 'code' in error && 'param' in error && typeof error.code === 'string') {
    return { code: error.code, message: error.message, param: typeof error.param === 'string' ? error.param : null };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'internal_error', message: `the training stopped on an unexpected error: ${message}`, param: null };
}

/** Codes of a database or queue that is away for now: nothing is wrong with the job. */
const OUTAGES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  'P1001',
  'P1002',
  'P1008',
  'P1017',
  'P2024',
  '57P01',
]);

function isOutage(error: unknown): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string' && OUTAGES.has(at.code)) return true;
  }
  return false;
}
