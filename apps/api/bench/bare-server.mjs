/**
 * What a Fastify route with these SQL statements costs at least. `/` sends as many trivial ones, by primary key, on a pool like
 * ours; `/same/…` sends the very statements that the API sends, with nothing before, between and after them.
 */
import { randomUUID } from 'node:crypto';
import {
  connectDatabase,
  createJob,
  disconnectDatabase,
  getFile,
  getJob,
  hasJob,
  listEvents,
  verifyApiKey,
} from '@polymode/db';
import { openQueue } from '@polymode/queue';
import { fastify } from 'fastify';
import pg from 'pg';

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 });
await pool.query('CREATE TABLE IF NOT EXISTS bench_rows (id bigserial PRIMARY KEY, text text NOT NULL)');
await pool.query("INSERT INTO bench_rows (text) SELECT 'row ' || i FROM generate_series(1, 1000) i");

const app = fastify();
app.get('/', async (request) => {
  const { selects, inserts, transactions } = request.query;
  // More than one transaction is more than a bare route needs, so it has at most one.
  const client = Number(transactions) > 0 ? await pool.connect() : pool;
  try {
    if (client !== pool) await client.query('BEGIN');
    let row;
    for (let i = 0; i < Number(selects); i++) {
      const { rows } = await client.query('SELECT id, text FROM bench_rows WHERE id = $1', [1 + ((i * 37) % 1000)]);
      row = rows[0];
    }
    for (let i = 0; i < Number(inserts); i++) {
      await client.query('INSERT INTO bench_rows (text) VALUES ($1)', [`row ${i}`]);
    }
    if (client !== pool) await client.query('COMMIT');
    return { row };
  } finally {
    if (client !== pool) client.release();
  }
});

const db = connectDatabase(process.env.DATABASE_URL);
const queue = openQueue({ databaseUrl: process.env.DATABASE_URL, onError: () => {} });
const key = process.env.POLYMODE_API_KEY;
let model;
app.get('/same/creations/:id', async (request) => {
  const { projectId } = await verifyApiKey(db, key);
  model ??= { ...(await getJob(db, projectId, request.params.id)) };
  const file = await getFile(db, projectId, model.trainingFileId);
  const { organizationId, method, seed, metadata } = model;
  const events = ['created', 'validating', 'queued'].map((dedupeKey) => ({
    dedupeKey,
    message: `${dedupeKey} ${file.id}`,
  }));
  const id = `ftjob-${randomUUID()}`;
  const job = { id, projectId, organizationId, model: model.model, trainingFileId: file.id, method, seed, metadata };
  const made = await createJob(db, job, events);
  await queue.enqueueNew(id);
  return made.job;
});
app.get('/same/polls/:id', async (request) => {
  const { projectId } = await verifyApiKey(db, key);
  return getJob(db, projectId, request.params.id);
});
app.get('/same/event_pages/:id', async (request) => {
  const { projectId } = await verifyApiKey(db, key);
  if (!(await hasJob(db, projectId, request.params.id))) throw new Error('no such job');
  return listEvents(db, request.params.id, { limit: 20 });
});
const url = await app.listen({ host: '127.0.0.1', port: 0 });
console.log(JSON.stringify({ url }));
const stop = async () => {
  await app.close();
  await pool.end();
  await queue.close();
  await disconnectDatabase(db);
  process.exit(0);
};
process.once('SIGTERM', stop);
process.once('disconnect', stop);
