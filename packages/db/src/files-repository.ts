import type { Database, DatabaseOrTransaction, Prisma } from './client.js';
import { FileInUseError, UnknownCursorError } from './errors.js';
import type { File, FileStatus } from './generated/client.js';
import { type Page, type PageRequest, toPage } from './pagination.js';
import { anyProject, inProject, type ProjectScope } from './project-scope.js';
import { rowsOf, run } from './statements.js';

export interface FileRecord {
  id: string;
  projectId: string;
  filename: string;
  purpose: string;
  bytes: number;
  sha256: string;
  /** Where the bytes are in storage. */
  storageKey: string;
  status: FileStatus;
  statusDetails: string | null;
  createdAt: Date;
  expiresAt: Date | null;
}

export interface NewFile {
  id: string;
  projectId: string;
  filename: string;
  purpose: string;
  bytes: number;
  sha256: string;
  storageKey: string;
  /** @defaultValue 'processed' */
  status?: FileStatus;
  statusDetails?: string | null;
  /** The file is gone for every reader from then on. @defaultValue never */
  expiresAt?: Date | null;
}

/** Records a file whose bytes are already durable. The same id again changes nothing and returns what is there. */
export async function createFile(db: DatabaseOrTransaction, file: NewFile): Promise<FileRecord> {
  await db.file.createMany({ data: [{ ...file, bytes: BigInt(file.bytes) }], skipDuplicates: true });
  return toFileRecord(await db.file.findUniqueOrThrow({ where: { id: file.id } }));
}

/** The file, or null when the project has none, it was deleted, or it has expired. */
export async function getFile(db: Database, scope: ProjectScope, id: string): Promise<FileRecord | null> {
  const [row] = await run(db, FILE, [id, scope === anyProject ? null : scope, new Date()]);
  return row ?? null;
}

const FILE = rowsOf<FileRecord>(
  'file',
  `
    SELECT id, project_id AS "projectId", filename, purpose, bytes::float8 AS bytes, sha256, storage_key AS "storageKey",
           status::text AS status, status_details AS "statusDetails", created_at AS "createdAt", expires_at AS "expiresAt"
    FROM files
    WHERE id = $1 AND ($2::text IS NULL OR project_id = $2) AND deleted_at IS NULL
      AND (expires_at IS NULL OR expires_at > $3)`,
  ['createdAt', 'expiresAt'],
);

export interface ListFiles extends PageRequest {
  purpose?: string | undefined;
  /** By time of creation. @defaultValue 'desc' */
  order?: 'asc' | 'desc' | undefined;
}

export async function listFiles(db: Database, projectId: string, request: ListFiles): Promise<Page<FileRecord>> {
  const order = request.order ?? 'desc';
  let beyond: Prisma.FileWhereInput = {};
  if (request.after !== undefined) {
    // A deleted file still marks a place in the list, so a client may delete while it pages.
    const cursor = await db.file.findFirst({ where: { id: request.after, projectId }, select: { seq: true } });
    if (!cursor) throw new UnknownCursorError(request.after);
    beyond = { seq: order === 'desc' ? { lt: cursor.seq } : { gt: cursor.seq } };
  }
  const rows = await db.file.findMany({
    where: {
      projectId,
      ...readable(new Date()),
      ...beyond,
      ...(request.purpose === undefined ? {} : { purpose: request.purpose }),
    },
    orderBy: { seq: order },
    take: request.limit + 1,
  });
  return toPage(rows, request.limit, toFileRecord);
}

/**
 * Deletes a file for every reader. The caller then deletes the bytes under the returned `storageKey`.
 *
 * @returns the file as it was, or null when the project has none
 * @throws FileInUseError while a job that has not ended names it
 */
export async function deleteFile(db: Database, scope: ProjectScope, id: string): Promise<FileRecord | null> {
  return db.$transaction(async (tx) => {
    // The lock keeps a job from being created on this file between the check and the deletion: createJob locks it too.
    const locked = await tx.$queryRaw<{ id: string }[]>`
      SELECT id FROM files WHERE id = ${id} AND deleted_at IS NULL FOR UPDATE`;
    if (locked.length === 0) return null;
    if ((await tx.file.count({ where: { id, ...inProject(scope) } })) === 0) return null;
    const users = await tx.fineTuningJob.findMany({
      where: {
        status: { in: ['validating_files', 'queued', 'running', 'paused'] },
        OR: [{ trainingFileId: id }, { validationFileId: id }],
      },
      select: { id: true },
      orderBy: { seq: 'asc' },
    });
    if (users.length > 0)
      throw new FileInUseError(
        id,
        users.map((user) => user.id),
      );
    return toFileRecord(await tx.file.update({ where: { id }, data: { deletedAt: new Date() } }));
  });
}

/** Files past their expiry that still count as stored; a housekeeper deletes each with {@link deleteFile} and then its bytes. */
export async function listExpiredFiles(db: Database, limit: number): Promise<FileRecord[]> {
  const rows = await db.file.findMany({
    where: { deletedAt: null, expiresAt: { lte: new Date() } },
    orderBy: { seq: 'asc' },
    take: limit,
  });
  return rows.map(toFileRecord);
}

/** Of these storage keys, those under which a file has its bytes. */
export async function storedFileKeys(db: Database, keys: readonly string[]): Promise<Set<string>> {
  const rows = await db.file.findMany({
    where: { storageKey: { in: [...keys] }, deletedAt: null },
    select: { storageKey: true },
  });
  return new Set(rows.map(({ storageKey }) => storageKey));
}

function readable(now: Date): Prisma.FileWhereInput {
  return { deletedAt: null, OR: [{ expiresAt: null }, { expiresAt: { gt: now } }] };
}

function toFileRecord(row: File): FileRecord {
  const { seq: _seq, deletedAt: _deletedAt, ...file } = row;
  return { ...file, bytes: Number(row.bytes) };
}
