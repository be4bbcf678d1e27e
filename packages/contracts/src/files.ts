import { z } from 'zod';
import { listOf, pageQuery } from './pagination.js';

/** What a client may upload a file for. */
export const FilePurpose = z.enum(['assistants', 'batch', 'fine-tune', 'vision', 'user_data', 'evals']);
export type FilePurpose = z.infer<typeof FilePurpose>;

/** A number in a form field. */
const formInteger = (minimum: number, maximum: number) =>
  z.preprocess(
    (value) => (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value),
    z.int().min(minimum).max(maximum),
  );

/** The fields of an upload next to `file`. */
export const CreateFileFields = z.strictObject({
  purpose: FilePurpose,
  expires_after: z
    .strictObject({
      anchor: z.enum(['created_at']),
      /** One hour to thirty days. */
      seconds: formInteger(3600, 2_592_000),
    })
    .optional(),
});
export type CreateFileFields = z.infer<typeof CreateFileFields>;

export const FileObject = z.object({
  id: z.string(),
  object: z.literal('file'),
  bytes: z.int(),
  created_at: z.int(),
  /** Absent when the file does not expire. */
  expires_at: z.int().optional(),
  filename: z.string(),
  purpose: z.enum([...FilePurpose.options, 'assistants_output', 'batch_output', 'fine-tune-results']),
  status: z.enum(['uploaded', 'processed', 'error']),
  status_details: z.string().optional(),
});
export type FileObject = z.infer<typeof FileObject>;

export const FileDeleted = z.object({ id: z.string(), object: z.literal('file'), deleted: z.literal(true) });
export type FileDeleted = z.infer<typeof FileDeleted>;

export const ListFilesQuery = z.object({
  ...pageQuery({ fallback: 10_000, maximum: 10_000 }),
  purpose: z.string().min(1).optional(),
  order: z.enum(['asc', 'desc']).default('desc'),
});
export type ListFilesQuery = z.infer<typeof ListFilesQuery>;

export const FileList = listOf(FileObject);
export type FileList = z.infer<typeof FileList>;
