/** The least that a Fastify route with these many SQL statements can cost: trivial ones, by primary key, on a pool like ours. */
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
const url = await app.listen({ host: '127.0.0.1', port: 0 });
console.log(JSON.stringify({ url }));
const stop = async () => {
  await app.close();
  await pool.end();
  process.exit(0);
};
process.once('SIGTERM', stop);
process.once('disconnect', stop);
