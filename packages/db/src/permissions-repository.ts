import { randomBytes } from 'node:crypto';
import { type AuditActor, recordAudit } from './audit-repository.js';
import type { Database, DatabaseOrTransaction } from './client.js';
import { UnknownCursorError } from './errors.js';
import { type Page, type PageRequest, toPage } from './pagination.js';

export interface PermissionRecord {
  id: string;
  projectId: string;
  createdAt: Date;
}

/** A checkpoint that may be shared. */
export interface SharedCheckpoint {
  id: string;
  modelName: string;
  /** of the job that made it */
  projectId: string;
  organizationId: string;
}

/** An announced checkpoint of a project's own by its model name; null when it has none. */
export async function findSharedCheckpoint(
  db: DatabaseOrTransaction,
  { projectId, organizationId }: { projectId: string; organizationId: string },
  modelName: string,
): Promise<SharedCheckpoint | null> {
  const row = await db.checkpoint.findFirst({
    where: { modelName, announced: true, deletedAt: null, job: { projectId } },
    select: { id: true },
  });
  return row && { id: row.id, modelName, projectId, organizationId };
}

/** Lets projects use a checkpoint. Those that may already keep their permission. @returns theirs, in the order given */
export async function grantPermissions(
  db: Database,
  checkpoint: SharedCheckpoint,
  projectIds: readonly string[],
  actor: AuditActor,
): Promise<PermissionRecord[]> {
  const checkpointId = checkpoint.id;
  return db.$transaction(async (tx) => {
    const granted: PermissionRecord[] = [];
    for (const projectId of projectIds) {
      const id = `cp_${randomBytes(12).toString('hex')}`;
      const { count } = await tx.checkpointPermission.createMany({
        data: [{ id, checkpointId, projectId }],
        skipDuplicates: true,
      });
      const row = await tx.checkpointPermission.findUniqueOrThrow({
        where: { checkpointId_projectId: { checkpointId, projectId } },
      });
      granted.push(toPermission(row));
      if (count === 1) await audit(tx, checkpoint, row, 'checkpoint.permission.created', actor);
    }
    return granted;
  });
}

export interface ListPermissions extends PageRequest {
  projectId?: string | undefined;
  order: 'ascending' | 'descending';
}

export async function listPermissions(
  db: Database,
  checkpointId: string,
  request: ListPermissions,
): Promise<Page<PermissionRecord>> {
  const up = request.order === 'ascending';
  let beyond = {};
  if (request.after !== undefined) {
    const cursor = await db.checkpointPermission.findFirst({
      where: { id: request.after, checkpointId },
      select: { seq: true },
    });
    if (!cursor) throw new UnknownCursorError(request.after);
    beyond = { seq: up ? { gt: cursor.seq } : { lt: cursor.seq } };
  }
  const rows = await db.checkpointPermission.findMany({
    where: { checkpointId, ...(request.projectId === undefined ? {} : { projectId: request.projectId }), ...beyond },
    orderBy: { seq: up ? 'asc' : 'desc' },
    take: request.limit + 1,
  });
  return toPage(rows, request.limit, toPermission);
}

/** @returns false when the checkpoint has no such permission */
export async function revokePermission(
  db: Database,
  checkpoint: SharedCheckpoint,
  id: string,
  actor: AuditActor,
): Promise<boolean> {
  return db.$transaction(async (tx) => {
    const row = await tx.checkpointPermission.findFirst({ where: { id, checkpointId: checkpoint.id } });
    if (!row) return false;
    await tx.checkpointPermission.deleteMany({ where: { id } });
    await audit(tx, checkpoint, row, 'checkpoint.permission.deleted', actor);
    return true;
  });
}

async function audit(
  tx: DatabaseOrTransaction,
  { modelName, projectId, organizationId }: SharedCheckpoint,
  row: PermissionRecord,
  type: string,
  actor: AuditActor,
): Promise<void> {
  const data = { id: row.id, fine_tuned_model_checkpoint: modelName, project_id: row.projectId };
  await recordAudit(tx, { organizationId, projectId, type, actor, data });
}

function toPermission({ id, projectId, createdAt }: PermissionRecord): PermissionRecord {
  return { id, projectId, createdAt };
}
