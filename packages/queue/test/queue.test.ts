import { startTestDatabase } from '@polymode/db/testing';
import { openQueue } from '@polymode/queue';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { testQueueOn } from './queue-suite.js';
import { redisServerInstalled, startRedis } from './support/redis-server.js';

testQueueOn('queue on PostgreSQL', async () => {
  const database = await startTestDatabase();
  return {
    config: { databaseUrl: database.url },
    wipe: async () => {
      const client = new pg.Client({ connectionString: database.url });
      await client.connect();
      const { rows } = await client.query<{ name: string }>(`
        SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables
        WHERE table_schema = 'bullmq' AND table_name LIKE '%job%'`);
      await client.query(`TRUNCATE ${rows.map((row) => row.name).join(', ')} CASCADE`);
      await client.end();
    },
    stop: database.stop,
  };
});

if (redisServerInstalled) {
  testQueueOn('queue on Redis', async () => {
    const redis = await startRedis();
    return {
      config: { databaseUrl: 'postgres://not-used.invalid/', redisUrl: redis.url },
      wipe: redis.wipe,
      stop: redis.stop,
    };
  });
} else {
  console.warn('queue on Redis: skipped, because there is no redis-server here (Debian: apt-get install redis-server)');
  describe.skip('queue on Redis (skipped: redis-server is not installed)', () => {
    it('runs the suite', () => {});
  });
}

describe('an unreachable queue', () => {
  it.each([
    ['Redis', { redisUrl: 'redis://127.0.0.1:1', databaseUrl: 'postgres://127.0.0.1:1/none' }],
    ['PostgreSQL', { databaseUrl: 'postgres://127.0.0.1:1/none' }],
  ])('on %s says so in time', async (_name, config) => {
    const queue = openQueue({ ...config, timeoutMs: 700 });
    await expect(queue.enqueue('ftjob-1')).rejects.toThrow();
    await queue.close();
  });
});
