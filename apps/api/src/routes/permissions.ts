import {
  type CheckpointPermission,
  type CheckpointPermissionDeleted,
  type CheckpointPermissionList,
  operations,
} from '@polymode/contracts';
import {
  type Caller,
  findSharedCheckpoint,
  getProject,
  grantPermissions,
  listPermissions,
  type PermissionRecord,
  revokePermission,
  type SharedCheckpoint,
} from '@polymode/db';
import type { FastifyInstance } from 'fastify';
import type { ApiDependencies } from '../dependencies.js';
import { ApiError } from '../errors.js';
import { toSeconds } from '../ids.js';
import { toList } from '../pagination.js';
import { serve } from '../serve.js';
import { requireStorable } from '../validation.js';

interface CheckpointPath {
  params: { fine_tuned_model_checkpoint: string };
  caller: Caller;
}

/** Which other projects of the organization may use a checkpoint. */
export async function permissionRoutes(app: FastifyInstance, { db }: ApiDependencies): Promise<void> {
  serve(app, operations.listCheckpointPermissions, async (incoming): Promise<CheckpointPermissionList> => {
    const { id } = await existingCheckpoint(incoming);
    const { project_id: projectId, ...query } = incoming.query;
    return toList(await listPermissions(db, id, { ...query, projectId }), toPermission);
  });

  serve(app, operations.createCheckpointPermissions, async (incoming): Promise<CheckpointPermissionList> => {
    const checkpoint = await existingCheckpoint(incoming);
    const { caller, body } = incoming;
    requireStorable(body, []);
    for (const [i, id] of body.project_ids.entries()) {
      const project = await getProject(db, caller.organizationId, id);
      if (project?.archivedAt === null) continue;
      throw new ApiError(400, {
        message: `Your organization has no project '${id}'. GET /v1/organization/projects lists those it has.`,
        param: `project_ids[${i}]`,
        code: 'project_not_found',
      });
    }
    const granted = await grantPermissions(db, checkpoint, [...new Set(body.project_ids)], caller.keyId);
    return toList({ data: granted, hasMore: false }, toPermission);
  });

  serve(app, operations.deleteCheckpointPermission, async (incoming): Promise<CheckpointPermissionDeleted> => {
    const checkpoint = await existingCheckpoint(incoming);
    const id = incoming.params.permission_id;
    if (await revokePermission(db, checkpoint, id, incoming.caller.keyId)) {
      return { id, object: 'checkpoint.permission', deleted: true };
    }
    throw new ApiError(404, {
      message: `No such permission: ${id}`,
      param: 'permission_id',
      code: 'permission_not_found',
    });
  });

  async function existingCheckpoint({ params, caller }: CheckpointPath): Promise<SharedCheckpoint> {
    const name = params.fine_tuned_model_checkpoint;
    const checkpoint = await findSharedCheckpoint(db, caller, name);
    if (checkpoint) return checkpoint;
    throw new ApiError(404, {
      message: `The checkpoint '${name}' does not exist in project ${caller.projectId}. A job's checkpoints are listed with their names under /v1/fine_tuning/jobs/{id}/checkpoints.`,
      param: 'fine_tuned_model_checkpoint',
      code: 'checkpoint_not_found',
    });
  }
}

function toPermission({ id, projectId, createdAt }: PermissionRecord): CheckpointPermission {
  return { id, object: 'checkpoint.permission', created_at: toSeconds(createdAt), project_id: projectId };
}
