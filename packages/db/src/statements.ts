import type pg from 'pg';
import { type Database, poolOf } from './client.js';

/**
 * A statement that goes to PostgreSQL without Prisma in between, which costs several times what the statement itself does. For
 * what nearly every request asks; PostgreSQL parses and plans it once a connection.
 */
export interface Statement {
  /** Unique in this package. */
  readonly name: string;
  /** With `$1`, `$2`, … for values. */
  readonly text: string;
}

/** A statement with rows, made by {@link rowsOf}. */
export interface RowStatement<Row extends object> extends Statement {
  /** Columns that are times. */
  readonly times: readonly (keyof Row & string)[];
}

type Connection = Pick<pg.Pool, 'query'>;

/**
 * A statement whose rows, few of them, come as JSON, a column a row: for `pg` to read many columns of text costs more than to parse it. Its
 * columns are named as the row's type names them; bigint columns must be cast to float8, and enums are texts.
 */
export function rowsOf<Row extends object>(
  name: string,
  text: string,
  times: readonly (keyof Row & string)[] = [],
): RowStatement<Row> {
  const row = 'SELECT row_to_json(r)::text AS row FROM';
  // What changes something may stand in WITH alone, which is slower.
  return { name, times, text: /^\s*SELECT\b/.test(text) ? `${row} (${text}) r` : `WITH r AS (${text}) ${row} r` };
}

/** The same for many rows, which come as one array. */
export function listOf<Row extends object>(
  name: string,
  select: string,
  times: readonly (keyof Row & string)[] = [],
): RowStatement<Row> {
  const elements = `SELECT json_agg(r) AS list FROM (${select}) r`;
  return {
    name,
    times,
    text: `SELECT substr(list::text, 2, length(list::text) - 2) AS row FROM (${elements}) l WHERE list IS NOT NULL`,
  };
}

/** @returns the rows, in the statement's order */
export async function run<Row extends object>(
  on: Database | pg.PoolClient,
  { name, text, times }: RowStatement<Row>,
  values: readonly unknown[],
): Promise<Row[]> {
  const { rows } = await connectionOf(on).query<{ row: string }>({ name, text, values: [...values] });
  if (rows.length === 0) return [];
  const found = JSON.parse(`[${rows.map(({ row }) => row).join()}]`) as Record<string, unknown>[];
  for (const row of found) {
    for (const column of times) if (row[column] !== null) row[column] = new Date(row[column] as string);
  }
  return found as Row[];
}

/** Of a statement without rows. */
export async function execute(
  on: Database | pg.PoolClient,
  { name, text }: Statement,
  values: readonly unknown[],
): Promise<void> {
  await connectionOf(on).query({ name, text, values: [...values] });
}

function connectionOf(on: Database | pg.PoolClient): Connection {
  return '$connect' in on ? poolOf(on) : on;
}

/** Runs statements in one transaction, on the connection that `work` is given. What it throws rolls all back. */
export async function inTransaction<T>(db: Database, work: (connection: pg.PoolClient) => Promise<T>): Promise<T> {
  const connection = await poolOf(db).connect();
  let broken: Error | undefined;
  try {
    await connection.query('BEGIN');
    const result = await work(connection);
    await connection.query('COMMIT');
    return result;
  } catch (error) {
    await connection.query('ROLLBACK').catch((cause: Error) => {
      broken = cause;
    });
    throw error;
  } finally {
    connection.release(broken);
  }
}
