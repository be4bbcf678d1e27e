import type pg from 'pg';
import { type Database, poolOf } from './client.js';

/**
 * A statement that goes to PostgreSQL without Prisma in between, which costs several times what the statement itself does. For
 * what nearly every request asks; PostgreSQL parses and plans it once a connection.
 */
export interface Statement {
  /** Unique in this package. */
  readonly name: string;
  /** With `$1`, `$2`, … for values. Its columns are named as the row's type names them. */
  readonly text: string;
}

type Connection = Pick<pg.Pool, 'query'>;

/** @returns rows as `pg` reads them: dates are Dates, JSON is parsed, and bigint is text unless cast */
export async function run<Row extends object>(
  on: Database | pg.PoolClient,
  { name, text }: Statement,
  values: readonly unknown[],
): Promise<Row[]> {
  const connection: Connection = '$connect' in on ? poolOf(on) : on;
  return (await connection.query<Row>({ name, text, values: [...values] })).rows;
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
