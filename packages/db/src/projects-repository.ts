import { randomBytes } from 'node:crypto';
import { type AuditActor, recordAudit } from './audit-repository.js';
import type { Database, DatabaseOrTransaction, Prisma } from './client.js';
import { UnknownCursorError } from './errors.js';
import type { Project } from './generated/client.js';
import { type Page, type PageRequest, toPage } from './pagination.js';

export interface ProjectRecord {
  id: string;
  organizationId: string;
  name: string;
  createdAt: Date;
  /** From then on its keys are refused. */
  archivedAt: Date | null;
}

/** The first project of an organization; both are made when they are not there. Several processes may call it at once. */
export async function ensureDefaultProject(db: Database, organizationId: string): Promise<ProjectRecord> {
  return db.$transaction((tx) => defaultProject(tx, organizationId));
}

/** The same, inside a transaction. */
export async function defaultProject(tx: Prisma.TransactionClient, organizationId: string): Promise<ProjectRecord> {
  // Two processes that start together must not both make one.
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('polymode.projects', 0))`;
  await tx.organization.createMany({ data: [{ id: organizationId }], skipDuplicates: true });
  const first = await tx.project.findFirst({
    where: { organizationId, archivedAt: null },
    orderBy: { seq: 'asc' },
  });
  return toProjectRecord(first ?? (await insertProject(tx, organizationId, 'Default')));
}

export async function createProject(
  db: Database,
  organizationId: string,
  name: string,
  actor: AuditActor,
): Promise<ProjectRecord> {
  return db.$transaction(async (tx) => {
    const project = await insertProject(tx, organizationId, name);
    const data = { id: project.id, name };
    await recordAudit(tx, { organizationId, projectId: project.id, type: 'project.created', actor, data });
    return toProjectRecord(project);
  });
}

/** A project of that organization, archived or not; null when there is none. */
export async function getProject(
  db: DatabaseOrTransaction,
  organizationId: string,
  id: string,
): Promise<ProjectRecord | null> {
  const row = await db.project.findFirst({ where: { id, organizationId } });
  return row && toProjectRecord(row);
}

export interface ListProjects extends PageRequest {
  includeArchived?: boolean | undefined;
}

/** Newest first. */
export async function listProjects(
  db: Database,
  organizationId: string,
  request: ListProjects,
): Promise<Page<ProjectRecord>> {
  let before: bigint | undefined;
  if (request.after !== undefined) {
    const cursor = await db.project.findFirst({ where: { id: request.after, organizationId }, select: { seq: true } });
    if (!cursor) throw new UnknownCursorError(request.after);
    before = cursor.seq;
  }
  const rows = await db.project.findMany({
    where: {
      organizationId,
      ...(request.includeArchived ? {} : { archivedAt: null }),
      ...(before === undefined ? {} : { seq: { lt: before } }),
    },
    orderBy: { seq: 'desc' },
    take: request.limit + 1,
  });
  return toPage(rows, request.limit, toProjectRecord);
}

/** @returns the project as it is now; null when there is none */
export async function renameProject(
  db: Database,
  organizationId: string,
  id: string,
  name: string,
  actor: AuditActor,
): Promise<ProjectRecord | null> {
  return change(db, organizationId, id, { name }, { type: 'project.updated', data: { id, name }, actor });
}

/** Ends a project: its keys are refused from now on. Again is harmless. @returns null when there is none */
export async function archiveProject(
  db: Database,
  organizationId: string,
  id: string,
  actor: AuditActor,
): Promise<ProjectRecord | null> {
  const there = await getProject(db, organizationId, id);
  if (there === null || there.archivedAt !== null) return there;
  return change(
    db,
    organizationId,
    id,
    { archivedAt: new Date() },
    { type: 'project.archived', data: { id, name: there.name }, actor },
  );
}

async function change(
  db: Database,
  organizationId: string,
  id: string,
  data: { name?: string; archivedAt?: Date },
  audit: { type: string; data: Record<string, unknown>; actor: AuditActor },
): Promise<ProjectRecord | null> {
  return db.$transaction(async (tx) => {
    const { count } = await tx.project.updateMany({ where: { id, organizationId }, data });
    if (count === 0) return null;
    await recordAudit(tx, { organizationId, projectId: id, ...audit });
    return getProject(tx, organizationId, id);
  });
}

function insertProject(tx: DatabaseOrTransaction, organizationId: string, name: string): Promise<Project> {
  return tx.project.create({ data: { id: `proj_${randomBytes(12).toString('hex')}`, organizationId, name } });
}

function toProjectRecord({ id, organizationId, name, createdAt, archivedAt }: ProjectRecord): ProjectRecord {
  return { id, organizationId, name, createdAt, archivedAt };
}
