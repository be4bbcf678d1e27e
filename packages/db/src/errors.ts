/** A list was asked to continue after an id that is not in it, or to lead to one. */
export class UnknownCursorError extends Error {
  override readonly name = 'UnknownCursorError';
  constructor(
    readonly id: string,
    readonly param: 'after' | 'before' = 'after',
  ) {
    super(`No item with id '${id}' to ${param === 'after' ? 'continue after' : 'lead to'}.`);
  }
}

/** A job names a file that does not exist, was deleted or has expired. */
export class FileMissingError extends Error {
  override readonly name = 'FileMissingError';
  constructor(
    readonly fileId: string,
    readonly param: 'training_file' | 'validation_file',
  ) {
    super(`No such File object: ${fileId}`);
  }
}

/** A job is to start from a checkpoint that was deleted meanwhile. */
export class CheckpointMissingError extends Error {
  override readonly name = 'CheckpointMissingError';
  constructor(readonly checkpointId: string) {
    super(`Checkpoint ${checkpointId} does not exist any more.`);
  }
}

/** A model or checkpoint is still needed by jobs that have not ended. */
export class ModelInUseError extends Error {
  override readonly name = 'ModelInUseError';
  constructor(
    readonly model: string,
    readonly jobIds: string[],
  ) {
    super(`The model '${model}' is used by ${jobIds.join(', ')}. Wait for the job to end, or cancel it first.`);
  }
}

/** The file is still needed by jobs that have not ended. */
export class FileInUseError extends Error {
  override readonly name = 'FileInUseError';
  constructor(
    readonly fileId: string,
    readonly jobIds: string[],
  ) {
    super(`File ${fileId} is used by ${jobIds.join(', ')}. Wait for the job to end, or cancel it first.`);
  }
}

/**
 * The caller no longer may write for this job: another worker has the lease, or the job is not running any more.
 * What it tried to write was not written. `status` says how the job stands, `null` when there is no such job.
 */
export class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError';
  constructor(
    readonly jobId: string,
    readonly owner: string,
    readonly status: string | null,
    readonly heldBy: string | null,
  ) {
    super(
      `${owner} no longer holds the lease of ${jobId} (status ${status ?? 'missing'}, lease held by ${heldBy ?? 'nobody'}).`,
    );
  }
}
