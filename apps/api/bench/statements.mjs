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
  const statements = [...log.matchAll(/LOG: {2}(?:statement|execute [^:]+):\s+(\w+)/g)].map(([, word]) => word.toUpperCase());
  // What the server does beside, each second or so, is less than one for each request.
  const count = (...words) => Math.floor(statements.filter((word) => words.includes(word)).length / requests);
  const inserts = count('INSERT', 'UPDATE', 'DELETE');
  const transactions = count('BEGIN');
  const total = Math.floor(statements.length / requests);
  return { total, inserts, selects: total - inserts - 2 * transactions, transactions };
}
