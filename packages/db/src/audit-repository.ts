import { randomBytes } from 'node:crypto';
import { type Database, type DatabaseOrTransaction, type JsonObject, toJson } from './client.js';
import { UnknownCursorError } from './errors.js';
import { type Page, type PageRequest, toPage } from './pagination.js';

/** Id of the API key that asked, or `cli` for whoever has the database. */
export type AuditActor = string;

export interface AuditRecord {
  id: string;
  organizationId: string;
  projectId: string | null;
  /** Such as `api_key.created`. */
  type: string;
  actor: AuditActor;
  data: JsonObject;
  createdAt: Date;
}

/** Belongs into the transaction of the change that it tells of. `data` never holds a secret. */
export async function recordAudit(
  tx: DatabaseOrTransaction,
  event: Omit<AuditRecord, 'id' | 'createdAt'>,
): Promise<void> {
  await tx.auditEvent.create({
    data: { ...event, data: toJson(event.data), id: `audit_log-${randomBytes(12).toString('hex')}` },
  });
}

export interface ListAudit extends PageRequest {
  /** Only these types. @defaultValue all */
  types?: readonly string[] | undefined;
  /** Only what concerns these projects. @defaultValue all */
  projectIds?: readonly string[] | undefined;
}

/** Newest first. */
export async function listAudit(db: Database, organizationId: string, request: ListAudit): Promise<Page<AuditRecord>> {
  let before: bigint | undefined;
  if (request.after !== undefined) {
    const cursor = await db.auditEvent.findFirst({
      where: { id: request.after, organizationId },
      select: { seq: true },
    });
    if (!cursor) throw new UnknownCursorError(request.after);
    before = cursor.seq;
  }
  const rows = await db.auditEvent.findMany({
    where: {
      organizationId,
      ...(request.types === undefined ? {} : { type: { in: [...request.types] } }),
      ...(request.projectIds === undefined ? {} : { projectId: { in: [...request.projectIds] } }),
      ...(before === undefined ? {} : { seq: { lt: before } }),
    },
    orderBy: { seq: 'desc' },
    take: request.limit + 1,
  });
  return toPage(rows, request.limit, ({ seq: _seq, ...row }) => ({ ...row, data: row.data as JsonObject }));
}
