import { createHash } from 'node:crypto';
import { operations, type Upload, type UploadPart } from '@polymode/contracts';
import {
  addUploadPart,
  type Caller,
  cancelUpload,
  completeUpload,
  createUpload,
  type FileRecord,
  getFile,
  getUpload,
  listUploadParts,
  type UploadPartRecord,
  type UploadRecord,
} from '@polymode/db';
import { ObjectNotFoundError } from '@polymode/storage';
import type { FastifyInstance } from 'fastify';
import type { ApiDependencies } from '../dependencies.js';
import { type ApiError, badRequest, uploadNotFound, wrongState } from '../errors.js';
import { toFile } from '../file.js';
import { creationId, requireSameRequest } from '../idempotency.js';
import { newId, toSeconds } from '../ids.js';
import { JsonLinesCheck, requireJsonLinesName } from '../json-lines-check.js';
import { serve } from '../serve.js';
import { receivePart } from '../upload.js';
import { requireStorable } from '../validation.js';

/** Milliseconds that an upload may take. */
const UPLOAD_LIFE_MS = 3_600_000;
/** Twice as many as one completion may name. */
const MOST_PARTS = 20_000;

/** Large files in parts, which may come at once and in any order. */
export async function uploadRoutes(app: FastifyInstance, { db, storage }: ApiDependencies): Promise<void> {
  serve(app, operations.createUpload, async ({ body, caller }, request): Promise<Upload> => {
    requireStorable(body, []);
    if (body.purpose === 'fine-tune') requireJsonLinesName(body.filename, 'filename');
    const { id } = creationId(request, 'upload_', null);
    const asked = {
      filename: body.filename,
      purpose: body.purpose,
      mimeType: body.mime_type,
      bytes: body.bytes,
      fileExpiresAfter: body.expires_after?.seconds ?? null,
    };
    const expiresAt = new Date(Date.now() + UPLOAD_LIFE_MS);
    const upload = await createUpload(db, { id, projectId: caller.projectId, expiresAt, ...asked });
    const { filename, purpose, mimeType, bytes, fileExpiresAfter } = upload;
    const made = { filename, purpose, mimeType, bytes, fileExpiresAfter };
    requireSameRequest(JSON.stringify(made), JSON.stringify(asked));
    return toUpload(upload, null);
  });

  serve(app, operations.createUploadPart, async (incoming, request): Promise<UploadPart> => {
    const upload = await existingUpload(incoming);
    requirePending(upload);
    requireRoom(upload, await listUploadParts(db, upload.id));
    const id = newId('part_');
    const storageKey = `uploads/${upload.id}/${id}`;
    const { bytes } = await receivePart(request, storage, storageKey);
    const part = await addUploadPart(db, { id, uploadId: upload.id, bytes, storageKey });
    if (part) return toPart(part);
    await storage.delete(storageKey);
    throw notPending((await getUpload(db, incoming.caller.projectId, upload.id)) ?? upload);
  });

  serve(app, operations.completeUpload, async (incoming): Promise<Upload> => {
    const upload = await existingUpload(incoming);
    const { projectId } = incoming.caller;
    // A client that missed the answer asks again.
    if (upload.status === 'completed') return toUpload(upload, await fileOf(upload));
    requirePending(upload);
    const { part_ids, md5 } = incoming.body;
    const parts = chosenParts(upload, await listUploadParts(db, upload.id), part_ids);
    const storageKey = `files/${newId('file-')}`;
    const hash = createHash('md5');
    const check = new JsonLinesCheck();
    async function* joined(): AsyncGenerator<Uint8Array> {
      for (const part of parts) {
        for await (const piece of (await storage.get(part.storageKey)) as AsyncIterable<Uint8Array>) {
          hash.update(piece);
          if (upload.purpose === 'fine-tune') check.push(piece);
          yield piece;
        }
      }
    }
    try {
      const { bytes, sha256 } = await storage.put(storageKey, joined());
      const digest = hash.digest('hex');
      if (md5 && md5.toLowerCase() !== digest) {
        throw badRequest(`The parts come to the md5 ${digest}, not '${md5}'. Send them again.`, 'md5', 'md5_mismatch');
      }
      if (upload.purpose === 'fine-tune') check.finish('part_ids');
      const expiresAt = upload.fileExpiresAfter === null ? null : new Date(Date.now() + upload.fileExpiresAfter * 1000);
      const { filename, purpose } = upload;
      const file = { id: newId('file-'), projectId, filename, purpose, bytes, sha256, storageKey, expiresAt };
      const completed = await completeUpload(db, upload.id, file);
      if (completed) return toUpload(completed.upload, completed.file);
    } catch (error) {
      await storage.delete(storageKey);
      // Cancelled or completed meanwhile, its parts may be gone: that is what to tell then.
      if (!(error instanceof ObjectNotFoundError)) throw error;
    }
    await storage.delete(storageKey);
    const now = await existingUpload(incoming);
    if (now.status === 'completed') return toUpload(now, await fileOf(now));
    throw notPending(now);
  });

  serve(app, operations.cancelUpload, async (incoming): Promise<Upload> => {
    const { params, caller } = incoming;
    const upload = await cancelUpload(db, caller.projectId, params.upload_id);
    if (!upload) throw uploadNotFound(params.upload_id);
    if (upload.status !== 'cancelled') throw notPending(upload);
    return toUpload(upload, null);
  });

  async function existingUpload({
    params,
    caller,
  }: {
    params: { upload_id: string };
    caller: Caller;
  }): Promise<UploadRecord> {
    const upload = await getUpload(db, caller.projectId, params.upload_id);
    if (!upload) throw uploadNotFound(params.upload_id);
    return upload;
  }

  async function fileOf({ projectId, fileId }: UploadRecord): Promise<FileRecord | null> {
    return fileId === null ? null : getFile(db, projectId, fileId);
  }
}

/** @throws ApiError 400 for parts that are not there, are named twice, or do not come to what was announced */
function chosenParts(
  upload: UploadRecord,
  there: readonly UploadPartRecord[],
  ids: readonly string[],
): UploadPartRecord[] {
  const byId = new Map(there.map((part) => [part.id, part]));
  const parts = ids.map((id, i) => {
    const part = byId.get(id);
    if (!part) throw badRequest(`Upload ${upload.id} has no part '${id}'.`, `part_ids[${i}]`, 'part_not_found');
    // Named a second time it is not there any more.
    byId.delete(id);
    return part;
  });
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  if (bytes === upload.bytes) return parts;
  throw badRequest(
    `The parts come to ${bytes} bytes, and ${upload.bytes} were announced. Name all parts, or begin a new upload.`,
    'part_ids',
    'invalid_upload_size',
  );
}

/** A client may send a part again whose answer it missed, but not fill the disk. */
function requireRoom(upload: UploadRecord, parts: readonly UploadPartRecord[]): void {
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  if (parts.length < MOST_PARTS && bytes <= 2 * upload.bytes) return;
  const message = `Upload ${upload.id} has ${parts.length} parts of ${bytes} bytes already, and ${upload.bytes} were announced. Complete it, or begin a new one.`;
  throw badRequest(message, 'upload_id', 'upload_too_large');
}

function requirePending(upload: UploadRecord): void {
  if (upload.status !== 'pending') throw notPending(upload);
}

function notPending({ id, status }: UploadRecord): ApiError {
  return wrongState(400, `Upload ${id} is ${status}. Begin a new one.`, 'upload_id', 'upload_not_pending');
}

function toUpload(upload: UploadRecord, file: FileRecord | null): Upload {
  return {
    id: upload.id,
    object: 'upload',
    bytes: upload.bytes,
    created_at: toSeconds(upload.createdAt),
    expires_at: toSeconds(upload.expiresAt),
    filename: upload.filename,
    purpose: upload.purpose,
    status: upload.status,
    ...(file ? { file: toFile(file) } : {}),
  };
}

function toPart({ id, uploadId, createdAt }: UploadPartRecord): UploadPart {
  return { id, object: 'upload.part', created_at: toSeconds(createdAt), upload_id: uploadId };
}
