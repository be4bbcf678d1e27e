import type { Database, DatabaseOrTransaction } from './client.js';
import { createFile, type FileRecord, type NewFile } from './files-repository.js';
import type { Upload, UploadPart } from './generated/client.js';

export interface UploadRecord {
  id: string;
  projectId: string;
  filename: string;
  purpose: string;
  mimeType: string;
  /** As announced. */
  bytes: number;
  status: 'pending' | 'completed' | 'cancelled' | 'expired';
  createdAt: Date;
  expiresAt: Date;
  /** Seconds that the file lives; null: for ever. */
  fileExpiresAfter: number | null;
  fileId: string | null;
}

export interface UploadPartRecord {
  id: string;
  uploadId: string;
  bytes: number;
  storageKey: string;
  createdAt: Date;
}

export type NewUpload = Omit<UploadRecord, 'status' | 'createdAt' | 'fileId'>;

/** The same id again changes nothing and returns what is there. */
export async function createUpload(db: Database, upload: NewUpload): Promise<UploadRecord> {
  await db.upload.createMany({ data: [{ ...upload, bytes: BigInt(upload.bytes) }], skipDuplicates: true });
  return toUpload(await db.upload.findUniqueOrThrow({ where: { id: upload.id } }));
}

export async function getUpload(
  db: DatabaseOrTransaction,
  projectId: string,
  id: string,
): Promise<UploadRecord | null> {
  const row = await db.upload.findFirst({ where: { id, projectId } });
  return row && toUpload(row);
}

/**
 * Records a part whose bytes are durable.
 *
 * @returns null when the upload takes no parts any more; the caller then deletes the bytes
 */
export async function addUploadPart(
  db: Database,
  part: Omit<UploadPartRecord, 'createdAt'>,
): Promise<UploadPartRecord | null> {
  return db.$transaction(async (tx) => {
    const upload = await lockUpload(tx, part.uploadId);
    if (upload?.status !== 'pending') return null;
    return toPart(await tx.uploadPart.create({ data: { ...part, bytes: BigInt(part.bytes) } }));
  });
}

/** In no order. */
export async function listUploadParts(db: Database, uploadId: string): Promise<UploadPartRecord[]> {
  return (await db.uploadPart.findMany({ where: { uploadId } })).map(toPart);
}

/**
 * `pending` to `completed`, with the file that the parts made, whose bytes are durable.
 *
 * @returns what the upload is now and its file; null when it could not be completed any more
 */
export async function completeUpload(
  db: Database,
  id: string,
  file: NewFile,
): Promise<{ upload: UploadRecord; file: FileRecord } | null> {
  return db.$transaction(async (tx) => {
    const upload = await lockUpload(tx, id);
    if (upload?.status !== 'pending') return null;
    const made = await createFile(tx, file);
    const row = await tx.upload.update({ where: { id }, data: { status: 'completed', fileId: made.id } });
    return { upload: toUpload(row), file: made };
  });
}

/** `pending` to `cancelled`. @returns the upload as it is now; null when there is none */
export async function cancelUpload(db: Database, projectId: string, id: string): Promise<UploadRecord | null> {
  await db.upload.updateMany({
    where: { id, projectId, status: 'pending', expiresAt: { gt: new Date() } },
    data: { status: 'cancelled' },
  });
  return getUpload(db, projectId, id);
}

/** Ids of uploads that have ended in any way and whose parts' bytes are still in storage. */
export async function listEndedUploads(db: Database, limit: number): Promise<string[]> {
  const rows = await db.upload.findMany({
    where: { cleared: false, OR: [{ status: { not: 'pending' } }, { expiresAt: { lte: new Date() } }] },
    take: limit,
    select: { id: true },
  });
  return rows.map(({ id }) => id);
}

/** Of these uploads, those that still take parts. */
export async function pendingUploads(db: Database, ids: readonly string[]): Promise<Set<string>> {
  const rows = await db.upload.findMany({
    where: { id: { in: [...ids] }, status: 'pending', expiresAt: { gt: new Date() } },
    select: { id: true },
  });
  return new Set(rows.map(({ id }) => id));
}

/** Follows the deletion of its parts' bytes. */
export async function markUploadCleared(db: Database, id: string): Promise<void> {
  await db.$transaction([
    db.uploadPart.deleteMany({ where: { uploadId: id } }),
    db.upload.updateMany({ where: { id }, data: { cleared: true } }),
  ]);
}

async function lockUpload(tx: DatabaseOrTransaction, id: string): Promise<UploadRecord | null> {
  await tx.$queryRaw`SELECT id FROM uploads WHERE id = ${id} FOR UPDATE`;
  const row = await tx.upload.findUnique({ where: { id } });
  return row && toUpload(row);
}

function toUpload({ cleared: _cleared, ...row }: Upload): UploadRecord {
  const expired = row.status === 'pending' && row.expiresAt <= new Date();
  return { ...row, bytes: Number(row.bytes), status: expired ? 'expired' : row.status };
}

function toPart(row: UploadPart): UploadPartRecord {
  return { ...row, bytes: Number(row.bytes) };
}
