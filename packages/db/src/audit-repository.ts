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
  /** Up to the item with this id, as `after` is from one on. */
  before?: string | undefined;
  /** Unix seconds of the second that it happened in. */
  effectiveAt?: {
    gt?: number | undefined;
    gte?: number | undefined;
    lt?: number | undefined;
    lte?: number | undefined;
  };
  /** Only these types. @defaultValue all, as of those below */
  types?: readonly string[] | undefined;
  /** Only what concerns these projects. */
  projectIds?: readonly string[] | undefined;
  /** Only what these keys did. */
  actors?: readonly AuditActor[] | undefined;
  /** Only what was done to these. */
  resourceIds?: readonly string[] | undefined;
}

/** Newest first. */
export async function listAudit(db: Database, organizationId: string, request: ListAudit): Promise<Page<AuditRecord>> {
  const { types, projectIds, actors, resourceIds, effectiveAt = {}, limit } = request;
  const [after, before] = [await seqOf('after'), await seqOf('before')];
  // The page that leads to an item is the nearest one, not the newest.
  const backwards = before !== undefined && after === undefined;
  const { gt, gte, lt, lte } = effectiveAt;
  const rows = await db.auditEvent.findMany({
    where: {
      organizationId,
      type: oneOf(types),
      projectId: oneOf(projectIds),
      actor: oneOf(actors),
      seq: { lt: after, gt: before },
      ...(resourceIds && { OR: resourceIds.map((id) => ({ data: { path: ['id'], equals: id } })) }),
      AND: [
        { createdAt: { gte: atSecond(gt, 1), lt: atSecond(lt, 0) } },
        { createdAt: { gte: atSecond(gte, 0), lt: atSecond(lte, 1) } },
      ],
    },
    orderBy: { seq: backwards ? 'asc' : 'desc' },
    take: limit + 1,
  });
  const page = toPage(rows, limit, ({ seq: _seq, ...row }) => ({ ...row, data: row.data as JsonObject }));
  return backwards ? { ...page, data: page.data.reverse() } : page;

  async function seqOf(param: 'after' | 'before'): Promise<bigint | undefined> {
    const id = request[param];
    if (id === undefined) return undefined;
    const cursor = await db.auditEvent.findFirst({ where: { id, organizationId }, select: { seq: true } });
    if (!cursor) throw new UnknownCursorError(id, param);
    return cursor.seq;
  }
}

function oneOf(values: readonly string[] | undefined): { in: string[] } | undefined {
  return values && { in: [...values] };
}

/** Where a second begins, or the one after it: times are told in whole seconds. */
function atSecond(second: number | undefined, later: 0 | 1): Date | undefined {
  return second === undefined ? undefined : new Date((second + later) * 1000);
}
