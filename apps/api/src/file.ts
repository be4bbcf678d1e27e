import { FileObject } from '@polymode/contracts';
import type { FileRecord } from '@polymode/db';
import { toSeconds } from './ids.js';

/** A file as the API shows it. */
export function toFile(file: FileRecord): FileObject {
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
