import { type FileDeleted, type FileList, type FileObject, operations } from '@polymode/contracts';
import { type Caller, createFile, deleteFile, type FileRecord, getFile, listFiles } from '@polymode/db';
import type { FastifyInstance } from 'fastify';
import type { ApiDependencies } from '../dependencies.js';
import { fileNotFound } from '../errors.js';
import { toFile } from '../file.js';
import { creationId, requireSameRequest } from '../idempotency.js';
import { newId } from '../ids.js';
import { toList } from '../pagination.js';
import { sendObject } from '../send-object.js';
import { serve } from '../serve.js';
import { receiveUpload } from '../upload.js';

const DEFAULT_MAX_UPLOAD_BYTES = 512 * 1024 * 1024;

export async function fileRoutes(
  app: FastifyInstance,
  { db, storage, maxUploadBytes = DEFAULT_MAX_UPLOAD_BYTES }: ApiDependencies,
): Promise<void> {
  const existingFile = async (incoming: { params: { file_id: string }; caller: Caller }): Promise<FileRecord> => {
    const file = await getFile(db, incoming.caller.projectId, incoming.params.file_id);
    if (!file) throw fileNotFound(incoming.params.file_id);
    return file;
  };

  serve(app, operations.createFile, async ({ caller }, request): Promise<FileObject> => {
    const { id } = creationId(request, 'file-', null);
    // A key of its own for each attempt: one that fails must not take away what another stored.
    const storageKey = `files/${newId('file-')}`;
    const upload = await receiveUpload(request, storage, storageKey, maxUploadBytes);
    const expiresAt = upload.expiresAfter === null ? null : new Date(Date.now() + upload.expiresAfter * 1000);
    const { filename, purpose, stored } = upload;
    const { bytes, sha256 } = stored;
    const { projectId } = caller;
    const file = await createFile(db, { id, projectId, filename, purpose, bytes, sha256, storageKey, expiresAt });
    if (file.storageKey !== storageKey) {
      await storage.delete(storageKey);
      requireSameRequest(
        JSON.stringify([file.sha256, file.filename, file.purpose]),
        JSON.stringify([sha256, filename, purpose]),
      );
    }
    return toFile(file);
  });

  serve(app, operations.listFiles, async ({ query, caller }): Promise<FileList> => {
    return toList(await listFiles(db, caller.projectId, query), toFile);
  });

  serve(app, operations.retrieveFile, async (incoming): Promise<FileObject> => toFile(await existingFile(incoming)));

  serve(app, operations.deleteFile, async ({ params, caller }): Promise<FileDeleted> => {
    const file = await deleteFile(db, caller.projectId, params.file_id);
    if (!file) throw fileNotFound(params.file_id);
    await storage.delete(file.storageKey);
    return { id: file.id, object: 'file', deleted: true };
  });

  serve(app, operations.retrieveFileContent, async (incoming, request, reply) => {
    const file = await existingFile(incoming);
    return sendObject(storage, { ...file, contentType: 'application/octet-stream' }, request, reply);
  });
}
