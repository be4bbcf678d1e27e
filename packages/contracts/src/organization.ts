import { z } from 'zod';
import { KeyScope } from './operation.js';
import { listOf, pageQuery, queryFlag, queryInteger } from './pagination.js';

const Name = z.string().trim().min(1).max(128);

export const ProjectRequest = z.strictObject({ name: Name });
export type ProjectRequest = z.infer<typeof ProjectRequest>;

/** Files, jobs and models belong to one project and are invisible from every other. */
export const Project = z.object({
  id: z.string(),
  object: z.literal('organization.project'),
  name: z.string(),
  created_at: z.int(),
  archived_at: z.int().nullable(),
  status: z.enum(['active', 'archived']),
});
export type Project = z.infer<typeof Project>;

export const ListProjectsQuery = z.object({
  ...pageQuery({ fallback: 20, maximum: 100 }),
  include_archived: queryFlag,
});
export const ProjectList = listOf(Project);
export type ProjectList = z.infer<typeof ProjectList>;

export const CreateApiKeyRequest = z.strictObject({
  name: Name,
  /** @defaultValue 'write' */
  scope: KeyScope.default('write'),
  /** Left out: as many as the service allows each key. */
  requests_per_minute: z.int().min(1).max(1_000_000).nullish(),
  /** Of prompts and completions. Left out: as many as the service allows each key. */
  tokens_per_minute: z.int().min(1).max(1_000_000_000).nullish(),
});
export type CreateApiKeyRequest = z.infer<typeof CreateApiKeyRequest>;

const apiKeyFields = {
  id: z.string(),
  object: z.literal('organization.project.api_key'),
  name: z.string(),
  /** The first characters, to tell keys apart. */
  redacted_value: z.string(),
  created_at: z.int(),
  /** Not recorded. */
  last_used_at: z.null(),
  owner: z.object({
    type: z.literal('service_account'),
    service_account: z.object({
      id: z.string(),
      name: z.string(),
      created_at: z.int(),
      role: z.enum(['owner', 'member']),
    }),
  }),
  scope: KeyScope,
  requests_per_minute: z.int().nullable(),
  tokens_per_minute: z.int().nullable(),
};

export const ApiKey = z.object(apiKeyFields);
export type ApiKey = z.infer<typeof ApiKey>;

export const CreatedApiKey = z.object({
  ...apiKeyFields,
  /** The key itself, shown this once. */
  value: z.string(),
});
export type CreatedApiKey = z.infer<typeof CreatedApiKey>;

export const ApiKeyDeleted = z.object({
  id: z.string(),
  object: z.literal('organization.project.api_key.deleted'),
  deleted: z.literal(true),
});
export type ApiKeyDeleted = z.infer<typeof ApiKeyDeleted>;

export const ListApiKeysQuery = z.object(pageQuery({ fallback: 20, maximum: 100 }));
export const ApiKeyList = listOf(ApiKey);
export type ApiKeyList = z.infer<typeof ApiKeyList>;

const list = z.preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(z.string().min(1)));

/** Up to the end of the year 9999. */
const seconds = queryInteger(0, 253_402_300_799).optional();

export const ListAuditLogsQuery = z.object({
  ...pageQuery({ fallback: 20, maximum: 100 }),
  /** Id of the first item of the page after: the page that leads to it. */
  before: z.string().min(1).optional(),
  /** Unix seconds, of which every bound counts. */
  effective_at: z.object({ gt: seconds, gte: seconds, lt: seconds, lte: seconds }).optional(),
  event_types: list.optional(),
  project_ids: list.optional(),
  /** Ids of keys. */
  actor_ids: list.optional(),
  /** Ids of what was changed: keys, projects, permissions, webhook endpoints. */
  resource_ids: list.optional(),
});

/** Who changed what about keys, projects, permissions and webhooks. What was changed lies under the event's own type, as `{id, data}`. */
export const AuditLog = z.looseObject({
  id: z.string(),
  /** Such as `api_key.created`. */
  type: z.string(),
  effective_at: z.int(),
  project: z.object({ id: z.string() }).optional(),
  actor: z.object({ type: z.enum(['api_key', 'system']), api_key: z.object({ id: z.string() }).optional() }),
});
export type AuditLog = z.infer<typeof AuditLog>;
export const AuditLogList = listOf(AuditLog);
export type AuditLogList = z.infer<typeof AuditLogList>;
