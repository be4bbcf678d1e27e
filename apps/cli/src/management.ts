import {
  type ApiKeyRecord,
  archiveProject,
  connectDatabase,
  createApiKey,
  createProject,
  disconnectDatabase,
  ensureDefaultProject,
  getProject,
  listApiKeys,
  listProjects,
  type Page,
  type ProjectRecord,
  revokeApiKey,
} from '@polymode/db';
import OpenAI, { APIError } from 'openai';
import { CommandError } from './command-error.js';

export interface ProjectSummary {
  readonly id: string;
  readonly name: string;
  readonly status: 'active' | 'archived';
}

export interface KeySummary {
  readonly id: string;
  readonly name: string;
  /** Its first characters. */
  readonly redacted: string;
  readonly scope: string;
}

export interface NewKey {
  readonly name: string;
  readonly scope: 'read' | 'write' | 'admin';
  readonly requestsPerMinute: number | null;
  readonly tokensPerMinute: number | null;
}

/** Projects and keys, over the API or in the database itself. Every function throws CommandError for what is not there. */
export interface Management {
  /** The project that is meant when none is named. */
  ownProject(): Promise<string>;
  createKey(projectId: string, key: NewKey): Promise<KeySummary & { value: string }>;
  /** Those that are not revoked, oldest first. */
  listKeys(projectId: string): Promise<KeySummary[]>;
  revokeKey(projectId: string, id: string): Promise<void>;
  createProject(name: string): Promise<ProjectSummary>;
  /** Newest first. */
  listProjects(archivedToo: boolean): Promise<ProjectSummary[]>;
  archiveProject(id: string): Promise<ProjectSummary>;
  close(): Promise<void>;
}

/**
 * Over the API whoever has an admin key manages an installation from anywhere. Whoever has the database needs no key, which is
 * how the first one is made, and how one gets in again when all are lost.
 *
 * @throws CommandError when the environment lacks what it takes
 */
export async function openManagement(local: boolean): Promise<Management> {
  return local ? openLocal(process.env) : openRemote(process.env);
}

const PAGE = 100;

function openRemote(env: NodeJS.ProcessEnv): Management {
  const key = env.POLYMODE_API_KEY;
  if (!key) {
    throw new CommandError(
      'POLYMODE_API_KEY is not set. Set an admin key, or use --local where DATABASE_URL names the database.',
      2,
    );
  }
  const baseURL = env.POLYMODE_BASE_URL || 'http://127.0.0.1:8000/v1';
  const client = new OpenAI({ apiKey: key, adminAPIKey: key, baseURL });
  const { projects } = client.admin.organization;
  return {
    ownProject: () =>
      told(async () => {
        const response = await projects.list({ limit: 1 }).asResponse();
        return response.headers.get('openai-project') ?? '';
      }),
    createKey: (projectId, { name, scope, requestsPerMinute, tokensPerMinute }) =>
      told(async () => {
        // The SDK makes keys for service accounts only.
        const body = { name, scope, requests_per_minute: requestsPerMinute, tokens_per_minute: tokensPerMinute };
        const path = `/organization/projects/${encodeURIComponent(projectId)}/api_keys`;
        const made = await client.post<RemoteKey & { value: string }>(path, { body });
        return { ...remoteKey(made), value: made.value };
      }),
    listKeys: (projectId) =>
      told(async () => {
        const keys: KeySummary[] = [];
        for await (const one of projects.apiKeys.list(projectId, { limit: PAGE })) {
          keys.push(remoteKey(one as unknown as RemoteKey));
        }
        return keys;
      }),
    revokeKey: (projectId, id) =>
      told(async () => {
        await projects.apiKeys.delete(id, { project_id: projectId });
      }),
    createProject: (name) => told(async () => remoteProject(await projects.create({ name }))),
    listProjects: (archivedToo) =>
      told(async () => {
        const all: ProjectSummary[] = [];
        for await (const one of projects.list({ limit: PAGE, include_archived: archivedToo })) {
          all.push(remoteProject(one));
        }
        return all;
      }),
    archiveProject: (id) => told(async () => remoteProject(await projects.archive(id))),
    close: async () => {},
  };
}

interface RemoteKey {
  id: string;
  name: string;
  redacted_value: string;
  scope: string;
}

const remoteKey = ({ id, name, redacted_value: redacted, scope }: RemoteKey): KeySummary => ({
  id,
  name,
  redacted,
  scope,
});

const remoteProject = ({ id, name, archived_at }: OpenAI.Admin.Organization.Projects.Project): ProjectSummary => ({
  id,
  name: name ?? '',
  status: archived_at ? 'archived' : 'active',
});

/** What the API says is for the user to read, not for us to trace. */
async function told<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof APIError) {
      throw new CommandError(
        error.status === undefined ? `The API cannot be reached: ${error.message}` : error.message,
        1,
      );
    }
    throw error;
  }
}

async function openLocal(env: NodeJS.ProcessEnv): Promise<Management> {
  const url = env.DATABASE_URL;
  if (!url) throw new CommandError('DATABASE_URL is not set. Set postgres://user:password@host:port/database.', 2);
  const organizationId = env.POLYMODE_ORGANIZATION || 'polymode';
  const actor = 'cli';
  const db = connectDatabase(url, { maxConnections: 1 });
  const existing = async (projectId: string): Promise<ProjectRecord> => {
    const project = await getProject(db, organizationId, projectId);
    if (project) return project;
    throw new CommandError(`No such project: ${projectId}. 'polymode projects list --local' lists those there are.`, 1);
  };
  return {
    ownProject: async () => (await ensureDefaultProject(db, organizationId)).id,
    createKey: async (projectId, options) => {
      const { archivedAt } = await existing(projectId);
      if (archivedAt !== null) throw new CommandError(`Project ${projectId} is archived: its keys are refused.`, 1);
      const { key, record } = await createApiKey(db, { projectId, ...options }, actor);
      return { ...localKey(record), value: key };
    },
    listKeys: async (projectId) => {
      await existing(projectId);
      return (await everyPage((page) => listApiKeys(db, projectId, page))).map(localKey);
    },
    revokeKey: async (projectId, id) => {
      await existing(projectId);
      if (!(await revokeApiKey(db, projectId, id, actor))) throw new CommandError(`No such API key: ${id}`, 1);
    },
    createProject: async (name) => {
      await ensureDefaultProject(db, organizationId);
      return localProject(await createProject(db, organizationId, name.trim(), actor));
    },
    listProjects: async (includeArchived) =>
      (await everyPage((page) => listProjects(db, organizationId, { ...page, includeArchived }))).map(localProject),
    archiveProject: async (id) => {
      await existing(id);
      return localProject((await archiveProject(db, organizationId, id, actor))!);
    },
    close: () => disconnectDatabase(db),
  };
}

async function everyPage<Row extends { id: string }>(
  read: (page: { limit: number; after?: string }) => Promise<Page<Row>>,
): Promise<Row[]> {
  const all: Row[] = [];
  for (;;) {
    const last = all.at(-1);
    const { data, hasMore } = await read({ limit: PAGE, ...(last && { after: last.id }) });
    all.push(...data);
    if (!hasMore) return all;
  }
}

const localKey = ({ id, name, prefix, scope }: ApiKeyRecord): KeySummary => ({
  id,
  name,
  redacted: `${prefix}…`,
  scope,
});

const localProject = ({ id, name, archivedAt }: ProjectRecord): ProjectSummary => ({
  id,
  name,
  status: archivedAt === null ? 'active' : 'archived',
});
