import {
  type ApiKey,
  type ApiKeyDeleted,
  type ApiKeyList,
  type AuditLog,
  type AuditLogList,
  type CreatedApiKey,
  operations,
  type Project,
  type ProjectList,
} from '@polymode/contracts';
import {
  type ApiKeyRecord,
  type AuditRecord,
  archiveProject,
  type Caller,
  createApiKey,
  createProject,
  getApiKey,
  getProject,
  listApiKeys,
  listAudit,
  listProjects,
  type ProjectRecord,
  renameProject,
  revokeApiKey,
} from '@polymode/db';
import type { FastifyInstance } from 'fastify';
import type { ApiDependencies } from '../dependencies.js';
import { ApiError, badRequest } from '../errors.js';
import { toSeconds } from '../ids.js';
import { toList } from '../pagination.js';
import { serve } from '../serve.js';
import { requireStorable } from '../validation.js';

interface ProjectPath {
  params: { project_id: string };
  caller: Caller;
}

/** Projects, their keys, and who changed what: for admin keys of the organization. */
export async function organizationRoutes(app: FastifyInstance, { db }: ApiDependencies): Promise<void> {
  serve(app, operations.createProject, async ({ body, caller }): Promise<Project> => {
    requireStorable(body, []);
    return toProject(await createProject(db, caller.organizationId, body.name, caller.keyId));
  });

  serve(app, operations.listProjects, async ({ query, caller }): Promise<ProjectList> => {
    const { include_archived: includeArchived, ...page } = query;
    return toList(await listProjects(db, caller.organizationId, { ...page, includeArchived }), toProject);
  });

  serve(app, operations.retrieveProject, async (incoming) => toProject(await existingProject(incoming)));

  serve(app, operations.updateProject, async (incoming): Promise<Project> => {
    const { caller, body } = incoming;
    requireStorable(body, []);
    const { id } = await existingProject(incoming);
    return toProject((await renameProject(db, caller.organizationId, id, body.name, caller.keyId))!);
  });

  serve(app, operations.archiveProject, async (incoming): Promise<Project> => {
    const { caller } = incoming;
    const { id } = await existingProject(incoming);
    if (id === caller.keyProjectId) {
      const message = 'This key belongs to the project, so it would shut itself out. Use a key of another project.';
      throw badRequest(message, 'project_id', 'project_in_use');
    }
    return toProject((await archiveProject(db, caller.organizationId, id, caller.keyId))!);
  });

  serve(app, operations.createApiKey, async (incoming): Promise<CreatedApiKey> => {
    const { body, caller } = incoming;
    requireStorable(body, []);
    const { id: projectId, archivedAt } = await existingProject(incoming);
    if (archivedAt !== null) {
      throw badRequest(`Project ${projectId} is archived: its keys are refused.`, 'project_id', 'project_archived');
    }
    const { name, scope, requests_per_minute: requestsPerMinute = null } = body;
    const { tokens_per_minute: tokensPerMinute = null } = body;
    const limits = { requestsPerMinute, tokensPerMinute };
    const { key, record } = await createApiKey(db, { projectId, name, scope, ...limits }, caller.keyId);
    return { ...toApiKey(record), value: key };
  });

  serve(app, operations.listApiKeys, async (incoming): Promise<ApiKeyList> => {
    const { id } = await existingProject(incoming);
    return toList(await listApiKeys(db, id, incoming.query), toApiKey);
  });

  serve(app, operations.retrieveApiKey, async (incoming): Promise<ApiKey> => {
    const { id } = await existingProject(incoming);
    const key = await getApiKey(db, id, incoming.params.api_key_id);
    if (!key || key.revokedAt !== null) throw keyNotFound(incoming.params.api_key_id);
    return toApiKey(key);
  });

  serve(app, operations.deleteApiKey, async (incoming): Promise<ApiKeyDeleted> => {
    const { caller, params } = incoming;
    const { id: projectId } = await existingProject(incoming);
    const id = params.api_key_id;
    if (id === caller.keyId) {
      throw badRequest('A key cannot revoke itself. Use another admin key.', 'api_key_id', 'key_in_use');
    }
    if (!(await revokeApiKey(db, projectId, id, caller.keyId))) throw keyNotFound(id);
    return { id, object: 'organization.project.api_key.deleted', deleted: true };
  });

  serve(app, operations.listAuditLogs, async ({ query, caller }): Promise<AuditLogList> => {
    const { event_types: types, project_ids: projectIds, actor_ids: actors, resource_ids: resourceIds } = query;
    const { after, before, limit, effective_at: effectiveAt } = query;
    const request = { after, before, limit, effectiveAt, types, projectIds, actors, resourceIds };
    return toList(await listAudit(db, caller.organizationId, request), toAuditLog);
  });

  async function existingProject({ params, caller }: ProjectPath): Promise<ProjectRecord> {
    const project = await getProject(db, caller.organizationId, params.project_id);
    if (project) return project;
    throw new ApiError(404, {
      message: `No such project: ${params.project_id}`,
      param: 'project_id',
      code: 'project_not_found',
    });
  }
}

function keyNotFound(id: string): ApiError {
  return new ApiError(404, { message: `No such API key: ${id}`, param: 'api_key_id', code: 'api_key_not_found' });
}

function toProject({ id, name, createdAt, archivedAt }: ProjectRecord): Project {
  return {
    id,
    object: 'organization.project',
    name,
    created_at: toSeconds(createdAt),
    archived_at: archivedAt && toSeconds(archivedAt),
    status: archivedAt === null ? 'active' : 'archived',
  };
}

function toApiKey({ id, name, prefix, createdAt, scope, ...limits }: ApiKeyRecord): ApiKey {
  const created_at = toSeconds(createdAt);
  return {
    id,
    object: 'organization.project.api_key',
    name,
    redacted_value: `${prefix}…`,
    created_at,
    last_used_at: null,
    owner: {
      type: 'service_account',
      service_account: { id, name, created_at, role: scope === 'admin' ? 'owner' : 'member' },
    },
    scope,
    requests_per_minute: limits.requestsPerMinute,
    tokens_per_minute: limits.tokensPerMinute,
  };
}

function toAuditLog({ id, type, createdAt, projectId, actor, data }: AuditRecord): AuditLog {
  const { id: changed, ...values } = data;
  return {
    id,
    type,
    effective_at: toSeconds(createdAt),
    ...(projectId === null ? {} : { project: { id: projectId } }),
    actor: actor.startsWith('key_') ? { type: 'api_key', api_key: { id: actor } } : { type: 'system' },
    [type]: { id: changed, [type.endsWith('.updated') ? 'changes_requested' : 'data']: values },
  };
}
