import { z } from 'zod';
import { CreateFileFields, FileObject, FilePurpose } from './files.js';

/** Largest upload, in bytes: 8 GB. */
export const MAX_UPLOAD_BYTES = 8 * 1024 ** 3;
/** Largest part, in bytes: 64 MB. */
export const MAX_PART_BYTES = 64 * 1024 ** 2;

export const CreateUploadRequest = z.strictObject({
  /** What the parts will come to. */
  bytes: z.int().min(1).max(MAX_UPLOAD_BYTES),
  filename: z.string().min(1).max(255),
  mime_type: z.string().min(1).max(255),
  purpose: FilePurpose,
  expires_after: CreateFileFields.shape.expires_after.nullable(),
});
export type CreateUploadRequest = z.infer<typeof CreateUploadRequest>;

export const CompleteUploadRequest = z.strictObject({
  /** In the order in which they make the file. */
  part_ids: z.array(z.string().min(1)).min(1).max(10_000),
  /** Hexadecimal, of the whole file. */
  md5: z
    .string()
    .regex(/^[0-9a-fA-F]{32}$/, { error: 'Expected 32 hexadecimal digits.' })
    .nullish(),
});
export type CompleteUploadRequest = z.infer<typeof CompleteUploadRequest>;

export const Upload = z.object({
  id: z.string(),
  object: z.literal('upload'),
  /** As announced. */
  bytes: z.int(),
  created_at: z.int(),
  /** One hour after its creation. */
  expires_at: z.int(),
  filename: z.string(),
  purpose: z.string(),
  status: z.enum(['pending', 'completed', 'cancelled', 'expired']),
  /** Present once completed. */
  file: FileObject.optional(),
});
export type Upload = z.infer<typeof Upload>;

export const UploadPart = z.object({
  id: z.string(),
  object: z.literal('upload.part'),
  created_at: z.int(),
  upload_id: z.string(),
});
export type UploadPart = z.infer<typeof UploadPart>;
