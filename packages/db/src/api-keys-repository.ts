import { hash, randomBytes } from 'node:crypto';
import { type AuditActor, recordAudit } from './audit-repository.js';
import type { Database, DatabaseOrTransaction } from './client.js';
import { UnknownCursorError } from './errors.js';
import type { ApiKey, KeyScope } from './generated/client.js';
import { type Page, type PageRequest, toPage } from './pagination.js';
import { defaultProject } from './projects-repository.js';
import { rowsOf, run } from './statements.js';

export interface ApiKeyRecord {
  id: string;
  projectId: string;
  name: string;
  /** The first characters of the key. */
  prefix: string;
  scope: KeyScope;
  /** null: as many as the service allows each key. */
  requestsPerMinute: number | null;
  /** Of completions. null: as many as the service allows each key. */
  tokensPerMinute: number | null;
  createdAt: Date;
  revokedAt: Date | null;
}

/** Who calls, as a presented key tells. */
export interface Caller {
  keyId: string;
  /** The project that it acts in. */
  projectId: string;
  /** The project that the key belongs to. */
  keyProjectId: string;
  organizationId: string;
  scope: KeyScope;
  requestsPerMinute: number | null;
  tokensPerMinute: number | null;
}

export interface NewApiKey {
  projectId: string;
  name: string;
  scope: KeyScope;
  requestsPerMinute?: number | null;
  tokensPerMinute?: number | null;
  /** A key of the caller's own choice, at least 16 characters. @defaultValue a generated one */
  key?: string;
}

/** A new bearer key: `pmk-` and 192 random bits. */
export function generateApiKey(): string {
  return `pmk-${randomBytes(24).toString('base64url')}`;
}

/** Stores the hash of a key. The key itself is in the answer only, and nowhere else. */
export async function createApiKey(
  db: Database,
  { key = generateApiKey(), ...options }: NewApiKey,
  actor: AuditActor,
): Promise<{ key: string; record: ApiKeyRecord }> {
  return db.$transaction(async (tx) => {
    const row = await tx.apiKey.create({ data: newRow(options, key) });
    await audit(tx, row, 'api_key.created', actor);
    return { key, record: toApiKeyRecord(row) };
  });
}

/**
 * Who presents a key, or null when it is unknown or revoked, or its project is archived.
 *
 * The lookup compares hashes, so its duration tells nothing about how much of a guess was right.
 */
export async function verifyApiKey(db: Database, key: string): Promise<Caller | null> {
  const [row] = await run(db, CALLER, [hashOf(key)]);
  return row ?? null;
}

/** Every request asks this, so that a key that is revoked is refused at once, by every process. */
const CALLER = rowsOf<Caller>(
  'caller',
  `
    SELECT k.id AS "keyId", k.project_id AS "projectId", k.project_id AS "keyProjectId", p.organization_id AS "organizationId",
           k.scope::text AS "scope", k.requests_per_minute AS "requestsPerMinute",
           k.tokens_per_minute AS "tokensPerMinute"
    FROM api_keys k JOIN projects p ON p.id = k.project_id
    WHERE k.sha256 = $1 AND k.revoked_at IS NULL AND p.archived_at IS NULL`,
);

/** @returns the key as it is now; null when that project has no such key. Again is harmless. */
export async function revokeApiKey(
  db: Database,
  projectId: string,
  id: string,
  actor: AuditActor,
): Promise<ApiKeyRecord | null> {
  return db.$transaction(async (tx) => {
    const { count } = await tx.apiKey.updateMany({
      where: { id, projectId, revokedAt: null },
      data: { revokedAt: new Date() },
    });
    const row = await tx.apiKey.findFirst({ where: { id, projectId } });
    if (row && count === 1) await audit(tx, row, 'api_key.deleted', actor);
    return row && toApiKeyRecord(row);
  });
}

/** A key of that project, revoked or not. */
export async function getApiKey(db: Database, projectId: string, id: string): Promise<ApiKeyRecord | null> {
  const row = await db.apiKey.findFirst({ where: { id, projectId } });
  return row && toApiKeyRecord(row);
}

export interface ListApiKeys extends PageRequest {
  includeRevoked?: boolean | undefined;
}

/** Oldest first. */
export async function listApiKeys(db: Database, projectId: string, request: ListApiKeys): Promise<Page<ApiKeyRecord>> {
  let beyond: bigint | undefined;
  if (request.after !== undefined) {
    const cursor = await db.apiKey.findFirst({ where: { id: request.after, projectId }, select: { seq: true } });
    if (!cursor) throw new UnknownCursorError(request.after);
    beyond = cursor.seq;
  }
  const rows = await db.apiKey.findMany({
    where: {
      projectId,
      ...(request.includeRevoked ? {} : { revokedAt: null }),
      ...(beyond === undefined ? {} : { seq: { gt: beyond } }),
    },
    orderBy: { seq: 'asc' },
    take: request.limit + 1,
  });
  return toPage(rows, request.limit, toApiKeyRecord);
}

/**
 * Makes sure that there is a key to call the service with, in the organization's first project. Several processes may call
 * it at once.
 *
 * @param options.environmentKey the key that the operator set; it works from now on, whatever other keys there are, unless
 *   it was revoked
 * @returns the key to show, once, when this call generated it; null otherwise
 */
export async function ensureFirstKey(
  db: Database,
  options: { organizationId: string; environmentKey?: string | undefined },
): Promise<string | null> {
  return db.$transaction(async (tx) => {
    // Two processes that start together must not both generate one.
    await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('polymode.api_keys', 0))`;
    const { id: projectId } = await defaultProject(tx, options.organizationId);
    const { environmentKey } = options;
    const key = environmentKey || generateApiKey();
    const data = newRow({ projectId, name: environmentKey ? 'environment' : 'first', scope: 'admin' }, key);
    if (!environmentKey && (await tx.apiKey.count({ where: { revokedAt: null } })) > 0) return null;
    const { count } = await tx.apiKey.createMany({ data: [data], skipDuplicates: true });
    if (count === 1) await audit(tx, data, 'api_key.created', 'start');
    return environmentKey ? null : key;
  });
}

type KeyRow = Pick<ApiKey, 'id' | 'projectId' | 'name' | 'prefix' | 'scope'>;

async function audit(tx: DatabaseOrTransaction, row: KeyRow, type: string, actor: AuditActor): Promise<void> {
  const { organizationId } = await tx.project.findUniqueOrThrow({ where: { id: row.projectId } });
  const { id, projectId, name, prefix, scope } = row;
  await recordAudit(tx, { organizationId, projectId, type, actor, data: { id, name, prefix, scope } });
}

function newRow(options: Omit<NewApiKey, 'key'>, key: string) {
  if (key.length < 16) {
    throw new Error(`An API key needs at least 16 characters, this one has ${key.length}. Choose a longer one.`);
  }
  return { ...options, id: `key_${randomBytes(12).toString('hex')}`, prefix: key.slice(0, 8), sha256: hashOf(key) };
}

function hashOf(key: string): string {
  return hash('sha256', key);
}

function toApiKeyRecord(row: ApiKey): ApiKeyRecord {
  const { sha256: _sha256, seq: _seq, ...record } = row;
  return record;
}
