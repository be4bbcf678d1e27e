import { z } from 'zod';
import { listOf, pageQuery } from './pagination.js';

export const CreatePermissionsRequest = z.strictObject({ project_ids: z.array(z.string().min(1)).min(1).max(100) });
export type CreatePermissionsRequest = z.infer<typeof CreatePermissionsRequest>;

/** A project that may use a checkpoint. */
export const CheckpointPermission = z.object({
  id: z.string(),
  object: z.literal('checkpoint.permission'),
  created_at: z.int(),
  project_id: z.string(),
});
export type CheckpointPermission = z.infer<typeof CheckpointPermission>;

export const ListPermissionsQuery = z.object({
  ...pageQuery({ fallback: 10, maximum: 100 }),
  order: z.enum(['ascending', 'descending']).default('descending'),
  project_id: z.string().min(1).optional(),
});
export type ListPermissionsQuery = z.infer<typeof ListPermissionsQuery>;

export const CheckpointPermissionList = listOf(CheckpointPermission);
export type CheckpointPermissionList = z.infer<typeof CheckpointPermissionList>;

export const CheckpointPermissionDeleted = z.object({
  id: z.string(),
  object: z.literal('checkpoint.permission'),
  deleted: z.literal(true),
});
export type CheckpointPermissionDeleted = z.infer<typeof CheckpointPermissionDeleted>;
