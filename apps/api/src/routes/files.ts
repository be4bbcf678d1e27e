import { type FileDeleted, type FileList, FileObject, ListFilesQuery } from '@polymode/contracts';
import { createFile, deleteFile, type FileRecord, getFile, listFiles } from '@polymode/db';
import type { FastifyInstance } from 'fastify';
import type { ApiDependencies } from '../dependencies.js';
import { fileNotFound } from '../errors.js';
import { newId, toSeconds } from '../ids.js';
import { toList } from '../pagination.js';
import { sendObject } from '../send-object.js';
import { receiveUpload } from '../upload.js';
import { parseRequest } from '../validation.js';

const DEFAULT_MAX_UPLOAD_BYTES = 512 * 1024 * 1024;

export async function fileRoutes(
  app: FastifyInstance,
  { db, storage, maxUploadBytes }: ApiDependencies,
): Promise<void> {
  const existingFile = async (id: string): Promise<FileRecord> => {
    const file = await getFile(db, id);
    if (!file) throw fileNotFound(id);
    return file;
  };

  app.post('/files', async (request): Promise<FileObject> => {
    const id = newId('file-');
    const storageKey = `files/${id}`;
    const upload = await receiveUpload(request, storage, storageKey, maxUploadBytes ?? DEFAULT_MAX_UPLOAD_BYTES);
    const expiresAt = upload.expiresAfter === null ? null : new Date(Date.now() + upload.expiresAfter * 1000);
    const { filename, purpose, stored } = upload;
    const { bytes, sha256 } = stored;
    return toFile(await createFile(db, { id, filename, purpose, bytes, sha256, storageKey, expiresAt }));
  });

  app.get('/files', async (request): Promise<FileList> => {
    return toList(await listFiles(db, parseRequest(ListFilesQuery, request.query)), toFile);
  });

  app.get<{ Params: { file: string } }>('/files/:file', async (request): Promise<FileObject> => {
    return toFile(await existingFile(request.params.file));
  });

  app.delete<{ Params: { file: string } }>('/files/:file', async (request): Promise<FileDeleted> => {
    const file = await deleteFile(db, request.params.file);
    if (!file) throw fileNotFound(request.params.file);
    await storage.delete(file.storageKey);
    return { id: file.id, object: 'file', deleted: true };
  });

  app.get<{ Params: { file: string } }>('/files/:file/content', async (request, reply) => {
    const file = await existingFile(request.params.file);
    return sendObject(storage, { ...file, contentType: 'application/octet-stream' }, request, reply);
  });
}

function toFile(file: FileRecord): FileObject {
  return {
    id: file.id,
    object: 'file',
    bytes: file.bytes,
    created_at: toSeconds(file.createdAt),
    ...(file.expiresAt ? { expires_at: toSeconds(file.expiresAt) } : {}),
    filename: file.filename,
    purpose: FileObject.shape.purpose.parse(file.purpose),
    status: file.status,
    ...(file.statusDetails ? { status_details: file.statusDetails } : {}),
  };
}
