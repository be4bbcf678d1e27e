import { createHash, randomBytes } from 'node:crypto';
import type { Database } from './client.js';
import type { ApiKey } from './generated/client.js';

export interface ApiKeyRecord {
  id: string;
  name: string;
  /** The first characters of the key. */
  prefix: string;
  createdAt: Date;
  revokedAt: Date | null;
}

/** A new bearer key: `pmk-` and 192 random bits. */
export function generateApiKey(): string {
  return `pmk-${randomBytes(24).toString('base64url')}`;
}

/**
 * Stores the hash of a key. The key itself is in the answer only, and nowhere else.
 *
 * @param options.key a key of the caller's own choice, at least 16 characters @defaultValue a generated one
 */
export async function createApiKey(
  db: Database,
  options: { name: string; key?: string },
): Promise<{ key: string; record: ApiKeyRecord }> {
  const key = options.key ?? generateApiKey();
  const row = await db.apiKey.create({ data: newRow(options.name, key) });
  return { key, record: toApiKeyRecord(row) };
}

/**
 * The record of a presented key, or null when it is unknown or revoked.
 *
 * The lookup compares hashes, so its duration tells nothing about how much of a guess was right.
 */
export async function verifyApiKey(db: Database, key: string): Promise<ApiKeyRecord | null> {
  const row = await db.apiKey.findUnique({ where: { sha256: hashOf(key) } });
  return row && row.revokedAt === null ? toApiKeyRecord(row) : null;
}

/** @returns false when there is no such key, or it is revoked already */
export async function revokeApiKey(db: Database, id: string): Promise<boolean> {
  const { count } = await db.apiKey.updateMany({ where: { id, revokedAt: null }, data: { revokedAt: new Date() } });
  return count === 1;
}

/** Oldest first, revoked ones included. */
export async function listApiKeys(db: Database): Promise<ApiKeyRecord[]> {
  return (await db.apiKey.findMany({ orderBy: [{ createdAt: 'asc' }, { id: 'asc' }] })).map(toApiKeyRecord);
}

/**
 * Makes sure that there is a key to call the service with. Several processes may call it at once.
 *
 * @param environmentKey the key that the operator set; it works from now on, whatever other keys there are
 * @returns the key to show, once, when this call generated it; null otherwise
 */
export async function ensureFirstKey(db: Database, environmentKey?: string): Promise<string | null> {
  return db.$transaction(async (tx) => {
    // Two processes that start together must not both generate one.
    await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('polymode.api_keys', 0))`;
    if (environmentKey) {
      await tx.apiKey.createMany({ data: [newRow('environment', environmentKey)], skipDuplicates: true });
      return null;
    }
    if ((await tx.apiKey.count({ where: { revokedAt: null } })) > 0) return null;
    const key = generateApiKey();
    await tx.apiKey.create({ data: newRow('first', key) });
    return key;
  });
}

function newRow(name: string, key: string): { id: string; name: string; prefix: string; sha256: string } {
  if (key.length < 16) {
    throw new Error(`An API key needs at least 16 characters, this one has ${key.length}. Choose a longer one.`);
  }
  return { id: `key_${randomBytes(12).toString('hex')}`, name, prefix: key.slice(0, 8), sha256: hashOf(key) };
}

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

function toApiKeyRecord(row: ApiKey): ApiKeyRecord {
  const { sha256: _sha256, ...record } = row;
  return record;
}
