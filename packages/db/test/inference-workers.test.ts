import {
  announceInferenceWorker,
  connectDatabase,
  type Database,
  disconnectDatabase,
  listInferenceWorkers,
  removeInferenceWorker,
  removeSilentInferenceWorkers,
} from '@polymode/db';
import { startTestDatabase, type TestDatabase } from '@polymode/db/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

let server: TestDatabase;
let db: Database;

beforeAll(async () => {
  server = await startTestDatabase();
  db = connectDatabase(server.url);
});
afterAll(async () => {
  if (db) await disconnectDatabase(db);
  await server?.stop();
});
beforeEach(async () => {
  await db.inferenceWorker.deleteMany();
});

const HOUR = 3_600_000;
const one = { id: 'one', url: 'http://127.0.0.1:7001', token: 'a', models: [] };
const two = { id: 'two', url: 'http://127.0.0.1:7002', token: 'b', models: ['polymode-tiny', 'ftckpt_1'] };

/** As if nothing had been heard of it for so long, by the database's clock. */
async function silent(id: string, ms: number): Promise<void> {
  await db.$executeRaw`
    UPDATE inference_workers SET heartbeat_at = clock_timestamp() - ${ms}::float8 * interval '1 millisecond'
    WHERE id = ${id}`;
}

describe('inference workers', () => {
  it('are listed with what they say of themselves last', async () => {
    await announceInferenceWorker(db, two);
    await announceInferenceWorker(db, one);
    expect(await listInferenceWorkers(db, HOUR)).toEqual([one, two]);
    await announceInferenceWorker(db, { ...one, models: ['polymode-tiny'] });
    expect(await listInferenceWorkers(db, HOUR)).toEqual([{ ...one, models: ['polymode-tiny'] }, two]);
  });

  it('are not listed when they have been silent, until they are heard of again', async () => {
    await announceInferenceWorker(db, one);
    await announceInferenceWorker(db, two);
    await silent('one', 2 * HOUR);
    expect(await listInferenceWorkers(db, HOUR)).toEqual([two]);
    expect(await listInferenceWorkers(db, 3 * HOUR)).toEqual([one, two]);
    await announceInferenceWorker(db, one);
    expect(await listInferenceWorkers(db, HOUR)).toEqual([one, two]);
  });

  it('go when they stop, and the killed ones after a time', async () => {
    await announceInferenceWorker(db, one);
    await announceInferenceWorker(db, two);
    await removeInferenceWorker(db, 'one');
    await removeInferenceWorker(db, 'one');
    expect(await listInferenceWorkers(db, HOUR)).toEqual([two]);
    await silent('two', 2 * HOUR);
    expect(await removeSilentInferenceWorkers(db, 3 * HOUR)).toBe(0);
    expect(await removeSilentInferenceWorkers(db, HOUR)).toBe(1);
    expect(await listInferenceWorkers(db, 3 * HOUR)).toEqual([]);
    // A worker that was merely slow makes its row anew.
    await announceInferenceWorker(db, two);
    expect(await listInferenceWorkers(db, HOUR)).toEqual([two]);
  });
});
