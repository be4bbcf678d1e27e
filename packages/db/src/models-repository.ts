import { type CheckpointRecord, toCheckpointRecord, withFiles } from './checkpoints-repository.js';
import type { Database, DatabaseOrTransaction, Prisma } from './client.js';
import { ModelInUseError } from './errors.js';

/** A fine-tuned model or a checkpoint, by the name that requests use. */
export interface TunedModel {
  model: string;
  jobId: string;
  organizationId: string;
  createdAt: Date;
}

/** What a name of a fine-tuned model or checkpoint stands for. */
export interface ServedModel {
  model: string;
  baseModel: string;
  checkpoint: CheckpointRecord;
  /** of the job that made it */
  projectId: string;
  organizationId: string;
  method: Record<string, unknown>;
}

/**
 * Fine-tuned models and checkpoints of a project, and checkpoints that others let it use; newest first of each.
 *
 * @param model only those of this name
 */
export async function listTunedModels(db: Database, projectId: string, model?: string): Promise<TunedModel[]> {
  const [jobs, checkpoints] = await Promise.all([
    db.fineTuningJob.findMany({
      where: { projectId, status: 'succeeded', fineTunedModel: model ?? { not: null }, modelDeletedAt: null },
      orderBy: { seq: 'desc' },
      select: { id: true, fineTunedModel: true, organizationId: true, finishedAt: true, createdAt: true },
    }),
    db.checkpoint.findMany({
      where: { modelName: model, announced: true, deletedAt: null, ...usableBy(projectId) },
      orderBy: { seq: 'desc' },
      select: { jobId: true, modelName: true, createdAt: true, job: { select: { organizationId: true } } },
    }),
  ]);
  return [
    ...jobs.map((job) => ({
      model: job.fineTunedModel ?? '',
      jobId: job.id,
      organizationId: job.organizationId,
      createdAt: job.finishedAt ?? job.createdAt,
    })),
    ...checkpoints.map(({ jobId, modelName, createdAt, job: { organizationId } }) => ({
      model: modelName,
      jobId,
      organizationId,
      createdAt,
    })),
  ];
}

/**
 * The checkpoint behind a model name: of `…:ckpt-step-n` that one, of a job's `fine_tuned_model` its last.
 *
 * @returns null when the project has no such model and nobody lets it use one of that name
 */
export async function findServedModel(
  db: DatabaseOrTransaction,
  projectId: string,
  model: string,
): Promise<ServedModel | null> {
  const row = await db.checkpoint.findFirst({
    where: {
      announced: true,
      deletedAt: null,
      OR: [
        { modelName: model, ...usableBy(projectId) },
        { job: { projectId, fineTunedModel: model, status: 'succeeded', modelDeletedAt: null } },
      ],
    },
    orderBy: { step: 'desc' },
    include: {
      ...withFiles,
      job: { select: { projectId: true, organizationId: true, baseModel: true, method: true } },
    },
  });
  if (!row) return null;
  const { projectId: owner, organizationId, baseModel, method } = row.job;
  return {
    model,
    baseModel,
    checkpoint: toCheckpointRecord(row),
    projectId: owner,
    organizationId,
    method: method as Record<string, unknown>,
  };
}

/**
 * Deletes a fine-tuned model or a checkpoint for every reader. Of a fine-tuned model the checkpoint that holds its weights,
 * its job's last, goes too. The caller then deletes the files of {@link listDeletedCheckpoints}.
 *
 * @returns whether the project had it
 * @throws ModelInUseError while its own job, or one that starts from it, has not ended
 */
export async function deleteTunedModel(db: Database, projectId: string, model: string): Promise<boolean> {
  return db.$transaction(async (tx) => {
    const served = await findServedModel(tx, projectId, model);
    if (!served || served.projectId !== projectId) return false;
    const { id, jobId } = served.checkpoint;
    // createJob takes a lock on the checkpoint that it starts from.
    await tx.$queryRaw`SELECT id FROM checkpoints WHERE id = ${id} FOR UPDATE`;
    const users = await tx.fineTuningJob.findMany({
      where: {
        status: { in: ['validating_files', 'queued', 'running', 'paused'] },
        OR: [{ id: jobId }, { startCheckpointId: id }],
      },
      select: { id: true },
      orderBy: { seq: 'asc' },
    });
    if (users.length > 0) {
      throw new ModelInUseError(
        model,
        users.map((user) => user.id),
      );
    }
    const now = new Date();
    await tx.checkpoint.update({ where: { id }, data: { deletedAt: now } });
    await tx.checkpointPermission.deleteMany({ where: { checkpointId: id } });
    const last = await tx.checkpoint.findFirst({ where: { jobId, announced: true }, orderBy: { step: 'desc' } });
    // The name must not come to mean an earlier checkpoint.
    if (last?.id === id) await tx.fineTuningJob.update({ where: { id: jobId }, data: { modelDeletedAt: now } });
    return true;
  });
}

/** Deleted checkpoints whose files are still in storage; {@link forgetCheckpointFiles} follows their deletion. */
export async function listDeletedCheckpoints(db: Database, limit: number): Promise<CheckpointRecord[]> {
  const rows = await db.checkpoint.findMany({
    where: { deletedAt: { not: null }, files: { some: {} } },
    orderBy: { seq: 'asc' },
    take: limit,
    include: withFiles,
  });
  return rows.map(toCheckpointRecord);
}

export async function forgetCheckpointFiles(db: Database, checkpointId: string): Promise<void> {
  await db.checkpointFile.deleteMany({ where: { checkpointId, checkpoint: { deletedAt: { not: null } } } });
}

function usableBy(projectId: string): Prisma.CheckpointWhereInput {
  return { OR: [{ job: { projectId } }, { permissions: { some: { projectId } } }] };
}
