import { open, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

/**
 * SQL statements that a request sends, by PostgreSQL's own log of all that it executes, whoever sent them: also the queue's, and
 * also BEGIN and COMMIT.
 *
 * @param load makes requests as the measurement does, and says how many
 */
export async function countStatements(databaseUrl, logFile, load) {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const configure = async (value) => {
    await client.query(`ALTER SYSTEM SET log_statement = '${value}'`);
    await client.query('SELECT pg_reload_conf()');
    await sleep(500);
  };
  try {
    await load();
    await configure('all');
    const from = (await stat(logFile)).size;
    const requests = await load();
    await sleep(200);
    const { size } = await stat(logFile);
    await configure('none');
    const file = await open(logFile);
    const { buffer } = await file.read(Buffer.alloc(size - from), 0, size - from, from);
    await file.close();
    return perRequest(buffer.toString(), requests);
  } finally {
    await client.end();
  }
}

function perRequest(log, requests) {
  const [, ...statements] = log.split(/LOG: {2}(?:statement|execute [^:]+): /);
  const changes = statements.filter((text) => /\b(INSERT INTO|UPDATE|DELETE FROM)\b/.test(text));
  // What the server does beside, each second or so, is less than one for each request.
  const each = (some) => Math.floor(some.length / requests);
  const [total, inserts] = [each(statements), each(changes)];
  const transactions = each(statements.filter((text) => text.startsWith('BEGIN')));
  return { total, inserts, selects: total - inserts - 2 * transactions, transactions };
}
