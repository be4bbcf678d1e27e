import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { Prisma, PrismaClient } from './generated/client.js';

/** The database handle that every repository function takes first. */
export type Database = PrismaClient;

/** A handle inside a transaction, or outside of one. */
export type DatabaseOrTransaction = PrismaClient | Prisma.TransactionClient;

export interface ConnectOptions {
  /** Most connections held open by this process, at least 1. @defaultValue 10 */
  maxConnections?: number;
  /** Milliseconds to wait for a new connection before the query fails. @defaultValue 10000 */
  connectTimeoutMs?: number;
}

/**
 * Opens a pool on a PostgreSQL database. Connections are made when first needed, so a wrong URL shows at the first query.
 * Whoever opens it closes it, with {@link disconnectDatabase}.
 *
 * @param databaseUrl `postgres://user:password@host:port/database`
 */
export function connectDatabase(databaseUrl: string, options: ConnectOptions = {}): Database {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: options.maxConnections ?? 10,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
  });
  // A pool error concerns an idle connection: the next query opens another one, or fails and says why.
  pool.on('error', () => {});
  const db = new PrismaClient({ adapter: new PrismaPg(pool, { onPoolError: () => {}, onConnectionError: () => {} }) });
  pools.set(db, pool);
  return db;
}

/** The pool under a handle, which Prisma uses too. */
export function poolOf(db: Database): pg.Pool {
  const pool = pools.get(db);
  if (!pool) throw new TypeError('not a database handle of connectDatabase');
  return pool;
}

const pools = new WeakMap<Database, pg.Pool>();

/** Closes the pool once its running queries have ended. */
export async function disconnectDatabase(db: Database): Promise<void> {
  await db.$disconnect();
  const pool = poolOf(db);
  if (!pool.ended) await pool.end();
}

/** Resolves when the database answers, rejects when it does not. */
export async function pingDatabase(db: Database): Promise<void> {
  await db.$queryRaw`SELECT 1`;
}

/** Values of a JSON column, as callers see them. */
export type JsonObject = Record<string, unknown>;

/** For a required JSON column. Drops `undefined` members, as JSON does. */
export function toJson(value: JsonObject): Prisma.InputJsonObject {
  return value as Prisma.InputJsonObject;
}

/** For a JSON column that may be NULL. */
export function toNullableJson(value: JsonObject | null | undefined): Prisma.InputJsonObject | typeof Prisma.DbNull {
  return value == null ? Prisma.DbNull : toJson(value);
}

export { Prisma };
