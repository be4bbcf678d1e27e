import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  acquireLease,
  appendEvents,
  cancelJob,
  checkpointId,
  connectDatabase,
  createApiKey,
  createFile,
  createJob,
  type Database,
  deleteFile,
  disconnectDatabase,
  ensureDefaultProject,
  ensureFirstKey,
  FileInUseError,
  FileMissingError,
  failJob,
  findServedModel,
  forgetResumeSnapshots,
  generateApiKey,
  getCheckpoint,
  getFile,
  getJob,
  LeaseLostError,
  lastStep,
  latestCheckpoint,
  listApiKeys,
  listAudit,
  listCheckpoints,
  listEvents,
  listEventsSince,
  listExpiredFiles,
  listFiles,
  listJobs,
  listRunnableJobIds,
  listSteps,
  listTunedModels,
  markQueued,
  markRunning,
  type NewCheckpoint,
  type Page,
  recordCheckpoint,
  recordStep,
  releaseLease,
  renewLease,
  revokeApiKey,
  succeedJob,
  UnknownCursorError,
  verifyApiKey,
} from '@polymode/db';
import { startTestDatabase, type TestDatabase } from '@polymode/db/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let server: TestDatabase;
let db: Database;
let projectId: string;

beforeAll(async () => {
  server = await startTestDatabase();
  db = connectDatabase(server.url);
  projectId = (await ensureDefaultProject(db, 'org')).id;
});
afterAll(async () => {
  if (db) await disconnectDatabase(db);
  await server?.stop();
});

const sha = (character: string) => character.repeat(64);
const newId = (prefix: string) => `${prefix}${randomBytes(8).toString('hex')}`;

async function newFile(fields: { purpose?: string; expiresAt?: Date } = {}) {
  const id = newId('file-');
  return createFile(db, {
    id,
    projectId,
    filename: 'rows.jsonl',
    purpose: 'fine-tune',
    bytes: 5_000_000_000, // more than 32 bits
    sha256: sha('a'),
    storageKey: `files/${id}`,
    ...fields,
  });
}

async function newJob(fields: Partial<Parameters<typeof createJob>[1]> = {}) {
  const file = await newFile();
  const { job } = await createJob(
    db,
    {
      id: newId('ftjob-'),
      projectId,
      model: 'polymode-tiny',
      organizationId: 'org',
      trainingFileId: file.id,
      method: { type: 'reinforcement', reinforcement: { grader: { type: 'string_check' } } },
      seed: 2_147_483_647,
      ...fields,
    },
    [{ dedupeKey: 'created', message: 'Created' }],
  );
  return job;
}

async function runningJob(owner = 'worker-1') {
  const job = await newJob();
  await acquireLease(db, job.id, owner, 60_000);
  return markRunning(db, job.id, owner, [{ dedupeKey: 'started', message: 'Started' }]);
}

/** All items of a list, fetched page by page as a client does. */
async function pages<T extends { id: string }>(list: (after?: string) => Promise<Page<T>>): Promise<T[][]> {
  const result: T[][] = [];
  for (let after: string | undefined; ; ) {
    const page = await list(after);
    result.push(page.data);
    if (!page.hasMore) return result;
    after = page.data.at(-1)?.id;
  }
}

describe('files', () => {
  it('come back as they were recorded, and the same id again changes nothing', async () => {
    const file = await newFile();
    expect(file).toMatchObject({ bytes: 5_000_000_000, status: 'processed', statusDetails: null, expiresAt: null });
    const again = await createFile(db, { ...file, filename: 'other.jsonl', storageKey: 'elsewhere' });
    expect(again).toEqual(file);
    expect(await getFile(db, projectId, file.id)).toEqual(file);
    expect(await getFile(db, projectId, 'file-none')).toBeNull();
  });

  it('are listed newest first or oldest first, page by page, while some are deleted', async () => {
    const purpose = newId('purpose-');
    const files = [];
    for (let n = 0; n < 5; n++) files.push(await newFile({ purpose }));
    const ids = files.map((file) => file.id);
    const paged = async (order?: 'asc' | 'desc') =>
      (await pages((after) => listFiles(db, projectId, { after, limit: 2, purpose, order }))).map((page) =>
        page.map((f) => f.id),
      );
    expect(await paged('asc')).toEqual([[ids[0], ids[1]], [ids[2], ids[3]], [ids[4]]]);
    expect(await paged()).toEqual([[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]);
    // The cursor's own file goes between two pages.
    await deleteFile(db, projectId, ids[3] ?? '');
    const next = await listFiles(db, projectId, { after: ids[3], limit: 2, purpose });
    expect(next.data.map((file) => file.id)).toEqual([ids[2], ids[1]]);
    expect(next.hasMore).toBe(true);
    await expect(listFiles(db, projectId, { after: 'file-none', limit: 2 })).rejects.toThrow(UnknownCursorError);
  });

  it('expire', async () => {
    const past = await newFile({ expiresAt: new Date(Date.now() - 1000) });
    const future = await newFile({ expiresAt: new Date(Date.now() + 3_600_000) });
    expect(await getFile(db, projectId, past.id)).toBeNull();
    expect(await getFile(db, projectId, future.id)).toEqual(future);
    expect((await listExpiredFiles(db, 100)).map((file) => file.id)).toEqual([past.id]);
    await deleteFile(db, projectId, past.id);
    expect(await listExpiredFiles(db, 100)).toEqual([]);
  });

  it('cannot be deleted while an unfinished job needs them, and can afterwards', async () => {
    const job = await newJob();
    const deletion = deleteFile(db, projectId, job.trainingFileId);
    await expect(deletion).rejects.toThrow(FileInUseError);
    await expect(deletion).rejects.toMatchObject({ fileId: job.trainingFileId, jobIds: [job.id] });
    await cancelJob(db, projectId, job.id, []);
    expect(await deleteFile(db, projectId, job.trainingFileId)).toMatchObject({ id: job.trainingFileId });
    expect(await deleteFile(db, projectId, job.trainingFileId)).toBeNull();
    expect(await getFile(db, projectId, job.trainingFileId)).toBeNull();
    expect((await getJob(db, projectId, job.id))?.trainingFileId).toBe(job.trainingFileId);
  });

  it('either the deletion or the job that names the file wins, never both', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const file = await newFile();
        const id = newId('ftjob-');
        const fields = { id, trainingFileId: file.id };
        const [deleted, created] = await Promise.allSettled([deleteFile(db, projectId, file.id), newJobOn(fields)]);
        return [deleted.status, created.status].toSorted();
      }),
    );
    for (const outcome of outcomes) expect(outcome).toEqual(['fulfilled', 'rejected']);
  });

  function newJobOn(fields: { id: string; trainingFileId: string }) {
    return createJob(db, { ...fields, projectId, model: 'm', organizationId: 'o', method: {}, seed: 0 }, []);
  }
});

describe('jobs', () => {
  it('are created once for an id, with their first events', async () => {
    const file = await newFile();
    const fields = {
      id: newId('ftjob-'),
      projectId,
      model: 'polymode-tiny',
      organizationId: 'org',
      trainingFileId: file.id,
      method: { type: 'reinforcement' },
      seed: 7,
      metadata: { who: 'me' },
    };
    const results = await Promise.all(
      Array.from({ length: 5 }, () => createJob(db, fields, [{ dedupeKey: 'created', message: 'Created' }])),
    );
    expect(results.filter((result) => result.created)).toHaveLength(1);
    const { job } = results[0]!;
    expect(job).toMatchObject({ ...fields, status: 'queued', trainedTokens: null, attempts: 0, resultFiles: [] });
    for (const result of results) expect(result.job).toEqual(job);
    expect((await listEvents(db, job.id, { limit: 10 })).data.map((event) => event.message)).toEqual(['Created']);
  });

  it('have a run on Weights & Biases for each integration, once', async () => {
    const integrations = [{ type: 'wandb' }, { type: 'wandb' }];
    const job = await newJob({ integrations });
    expect((await getJob(db, projectId, job.id))?.integrations).toEqual(integrations);
    expect((await listJobs(db, projectId, { limit: 1 })).data[0]?.integrations).toEqual(integrations);
    await newJob({ id: job.id, integrations });
    expect(await db.wandbRun.count({ where: { jobId: job.id } })).toBe(2);
    expect((await newJob()).integrations).toBeNull();
  });

  it('need files that exist', async () => {
    const file = await newFile();
    await expect(newJob({ trainingFileId: 'file-none' })).rejects.toThrow(FileMissingError);
    await expect(newJob({ trainingFileId: file.id, validationFileId: 'file-none' })).rejects.toMatchObject({
      param: 'validation_file',
      fileId: 'file-none',
    });
  });

  it('are listed newest first, page by page, and by metadata', async () => {
    const tag = newId('tag-');
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) ids.unshift((await newJob({ metadata: { tag, n: String(n % 2) } })).id);
    const list = (metadata: Record<string, string>) => (after?: string) =>
      listJobs(db, projectId, { after, limit: 2, metadata });
    expect((await pages(list({ tag }))).map((page) => page.map((job) => job.id))).toEqual([
      [ids[0], ids[1]],
      [ids[2], ids[3]],
      [ids[4]],
    ]);
    expect((await pages(list({ tag, n: '1' }))).flat().map((job) => job.id)).toEqual([ids[1], ids[3]]);
    const bare = await newJob();
    const without = (await listJobs(db, projectId, { limit: 1000, metadata: null })).data.map((job) => job.id);
    expect(without).toContain(bare.id);
    expect(without).not.toContain(ids[0]);
    await expect(listJobs(db, projectId, { after: 'ftjob-none', limit: 2 })).rejects.toThrow(UnknownCursorError);
  });

  it('go from validating to queued, once', async () => {
    const job = await newJob({ status: 'validating_files' });
    expect(await listRunnableJobIds(db)).not.toContain(job.id);
    expect(await acquireLease(db, job.id, 'w', 1000)).toBeNull();
    expect((await markQueued(db, job.id, []))?.status).toBe('queued');
    expect(await markQueued(db, job.id, [])).toBeNull();
    expect(await listRunnableJobIds(db)).toContain(job.id);
  });

  it('of failed validation end without a worker', async () => {
    const job = await newJob({ status: 'validating_files' });
    const error = { code: 'invalid_training_file', message: 'Line 3 …', param: 'training_file' };
    expect(await failJob(db, job.id, null, error, [])).toMatchObject({ status: 'failed', error });
    const queued = await newJob();
    await expect(failJob(db, queued.id, null, error, [])).rejects.toThrow(LeaseLostError);
  });

  it('are held by one worker at a time, however many try', async () => {
    const job = await newJob();
    const owners = Array.from({ length: 8 }, (_, n) => `worker-${n}`);
    const taken = await Promise.all(owners.map((owner) => acquireLease(db, job.id, owner, 60_000)));
    expect(taken.filter((result) => result !== null)).toHaveLength(1);
    const owner = owners[taken.findIndex((result) => result !== null)] ?? '';
    expect(taken.find((result) => result !== null)).toMatchObject({ leaseOwner: owner, attempts: 1 });
    expect(await listRunnableJobIds(db)).not.toContain(job.id);
    expect(await renewLease(db, job.id, 'a stranger', 60_000)).toBeNull();
    await releaseLease(db, job.id, 'a stranger');
    expect((await getJob(db, projectId, job.id))?.leaseOwner).toBe(owner);
    await releaseLease(db, job.id, owner);
    expect(await listRunnableJobIds(db)).toContain(job.id);
    expect((await acquireLease(db, job.id, 'next', 60_000))?.attempts).toBe(2);
  });

  it('of a worker that fell silent go to the next one, and the first can write no more', async () => {
    const job = await newJob();
    await acquireLease(db, job.id, 'silent', 30);
    await markRunning(db, job.id, 'silent', []);
    await sleep(60);
    expect(await listRunnableJobIds(db)).toContain(job.id);
    expect(await acquireLease(db, job.id, 'next', 60_000)).toMatchObject({ leaseOwner: 'next', status: 'running' });
    const step = { jobId: job.id, step: 1, metrics: { loss: 1 }, events: [{ dedupeKey: 'step:1', message: 'Step 1' }] };
    const late = recordStep(db, { ...step, owner: 'silent' });
    await expect(late).rejects.toThrow(LeaseLostError);
    await expect(late).rejects.toMatchObject({ status: 'running', heldBy: 'next' });
    expect(await listSteps(db, job.id)).toEqual([]);
    expect(await renewLease(db, job.id, 'silent', 1000)).toBeNull();
    await recordStep(db, { ...step, owner: 'next' });
    expect(await lastStep(db, job.id)).toBe(1);
  });

  it('of a worker whose lease ran out unnoticed stay its own', async () => {
    const job = await newJob();
    await acquireLease(db, job.id, 'slow', 1);
    await sleep(20);
    await markRunning(db, job.id, 'slow', []);
    expect(await renewLease(db, job.id, 'slow', 60_000)).toBe('running');
    expect(await listRunnableJobIds(db)).not.toContain(job.id);
  });

  it('start running once', async () => {
    const job = await runningJob();
    expect(job.startedAt).toBeInstanceOf(Date);
    await sleep(5);
    const again = await markRunning(db, job.id, 'worker-1', [{ dedupeKey: 'started', message: 'Started' }]);
    expect(again.startedAt).toEqual(job.startedAt);
    expect((await listEvents(db, job.id, { limit: 10 })).data.map((event) => event.message)).toEqual([
      'Started',
      'Created',
    ]);
  });

  it('succeed once, with their model', async () => {
    const job = await runningJob();
    const fineTunedModel = `ft:polymode-tiny:org:${newId('x')}`;
    const result = { fineTunedModel, trainedTokens: 3_000_000_000, resultFiles: ['file-r'] };
    const done = await succeedJob(db, job.id, 'worker-1', result, [{ dedupeKey: 'succeeded', message: 'Done' }]);
    expect(done).toMatchObject({ ...result, status: 'succeeded', leaseOwner: null });
    expect(done.finishedAt).toBeInstanceOf(Date);
    await expect(succeedJob(db, job.id, 'worker-1', result, [])).rejects.toMatchObject({ status: 'succeeded' });
    expect(await cancelJob(db, projectId, job.id, [])).toMatchObject({
      cancelled: false,
      job: { status: 'succeeded' },
    });
    expect((await listTunedModels(db, projectId))[0]).toEqual({
      model: fineTunedModel,
      jobId: job.id,
      organizationId: 'org',
      createdAt: done.finishedAt,
    });
  });

  it('fail with a structured error', async () => {
    const job = await runningJob();
    const error = { code: 'server_error', message: 'out of memory', param: null };
    expect(await failJob(db, job.id, 'worker-1', error, [])).toMatchObject({
      status: 'failed',
      error,
      leaseOwner: null,
    });
    expect(await listRunnableJobIds(db)).not.toContain(job.id);
  });

  it('that are cancelled stay cancelled, whatever their worker still tries', async () => {
    const job = await runningJob();
    const event = { dedupeKey: 'cancelled', message: 'Cancelled' };
    const cancelled = await cancelJob(db, projectId, job.id, [event]);
    expect(cancelled).toMatchObject({ cancelled: true, job: { status: 'cancelled' } });
    expect(await cancelJob(db, projectId, job.id, [event])).toEqual({ cancelled: false, job: cancelled?.job });
    expect(await cancelJob(db, projectId, 'ftjob-none', [])).toBeNull();
    expect(await renewLease(db, job.id, 'worker-1', 60_000)).toBe('cancelled');
    const writes = [
      recordStep(db, { jobId: job.id, owner: 'worker-1', step: 1, metrics: {}, events: [] }),
      recordCheckpoint(db, { ...checkpointOf(job.id, 1), owner: 'worker-1' }),
      succeedJob(db, job.id, 'worker-1', { fineTunedModel: newId('ft'), trainedTokens: 1, resultFiles: [] }, []),
      failJob(db, job.id, 'worker-1', { code: 'x', message: 'x', param: null }, []),
      markRunning(db, job.id, 'worker-1', []),
    ];
    for (const result of await Promise.allSettled(writes)) {
      expect(result).toMatchObject({ status: 'rejected', reason: { name: 'LeaseLostError', status: 'cancelled' } });
    }
    expect((await getJob(db, projectId, job.id))?.status).toBe('cancelled');
    expect((await listEvents(db, job.id, { limit: 1 })).data[0]?.message).toBe('Cancelled');
  });
});

describe('steps and events', () => {
  it('a replayed step adds nothing twice and changes nothing', async () => {
    const job = await runningJob();
    const step = (n: number, loss: number) => ({
      jobId: job.id,
      owner: 'worker-1',
      step: n,
      metrics: { loss },
      trainedTokens: n * 100,
      events: [{ dedupeKey: `step:${n}`, type: 'metrics' as const, message: `Step ${n}`, data: { step: n, loss } }],
    });
    for (const n of [1, 2, 3]) await recordStep(db, step(n, n));
    const before = [await listSteps(db, job.id), await listEvents(db, job.id, { limit: 10 })];
    for (const n of [2, 3]) await recordStep(db, step(n, 99)); // the same step would have the same loss: 99 shows a change
    expect([await listSteps(db, job.id), await listEvents(db, job.id, { limit: 10 })]).toEqual(before);
    await recordStep(db, step(4, 4));
    expect((await listSteps(db, job.id)).map((row) => row.metrics)).toEqual([1, 2, 3, 4].map((loss) => ({ loss })));
    expect((await listSteps(db, job.id, { afterStep: 2, limit: 1 })).map((row) => row.step)).toEqual([3]);
    expect(await lastStep(db, job.id)).toBe(4);
    expect(await getJob(db, projectId, job.id)).toMatchObject({ trainedTokens: 400, attempts: 0 });
  });

  it('a step is recorded wholly or not at all', async () => {
    const job = await runningJob();
    const events = [{ dedupeKey: 'step:1', message: 'bad \u0000 text' }]; // PostgreSQL refuses it
    await expect(
      recordStep(db, { jobId: job.id, owner: 'worker-1', step: 1, metrics: { loss: 1 }, events }),
    ).rejects.toThrow();
    expect(await listSteps(db, job.id)).toEqual([]);
  });

  it('events are listed newest first, page by page, and followed oldest first', async () => {
    const job = await runningJob();
    for (let n = 1; n <= 5; n++) await appendEvents(db, job.id, [{ dedupeKey: `n:${n}`, message: `event ${n}` }]);
    await appendEvents(db, job.id, [{ dedupeKey: 'n:1', message: 'event 1 again' }]);
    const messages = (await pages((after) => listEvents(db, job.id, { after, limit: 3 }))).map((page) =>
      page.map((event) => event.message),
    );
    expect(messages).toEqual([['event 5', 'event 4', 'event 3'], ['event 2', 'event 1', 'Started'], ['Created']]);
    const all = (await pages((after) => listEvents(db, job.id, { after, limit: 2 }))).flat();
    expect(new Set(all.map((event) => event.id)).size).toBe(7);
    expect(all[0]).toMatchObject({ level: 'info', type: 'message', data: null, jobId: job.id });
    expect(all[0]?.id).toMatch(/^ftevent-[0-9a-f]{24}$/);
    const other = await newJob();
    const foreign = (await listEvents(db, other.id, { limit: 1 })).data[0]?.id;
    await expect(listEvents(db, job.id, { after: foreign, limit: 3 })).rejects.toThrow(UnknownCursorError);
    const followed = [];
    for (let sequence = 0; ; ) {
      const batch = await listEventsSince(db, job.id, sequence, 3);
      if (batch.length === 0) break;
      followed.push(...batch.map((event) => event.message));
      sequence = batch.at(-1)?.sequence ?? 0;
    }
    expect(followed).toEqual(messages.flat().toReversed());
  });

  it('a follower misses no event, though several write at once', async () => {
    const job = await runningJob();
    const total = 40;
    const writing = Promise.all(
      Array.from({ length: total }, (_, n) => appendEvents(db, job.id, [{ dedupeKey: `w:${n}`, message: `w ${n}` }])),
    );
    const seen: string[] = [];
    let sequence = 0;
    const deadline = Date.now() + 20_000;
    while (seen.length < total + 2 && Date.now() < deadline) {
      for (const event of await listEventsSince(db, job.id, sequence, 7)) {
        seen.push(event.message);
        sequence = event.sequence;
      }
    }
    await writing;
    expect(new Set(seen).size).toBe(total + 2);
    expect(seen).toHaveLength(total + 2);
  });
});

function checkpointOf(jobId: string, step: number, fields: Partial<NewCheckpoint> = {}): NewCheckpoint {
  return {
    jobId,
    owner: 'worker-1',
    step,
    modelName: `ft:polymode-tiny:org::${jobId.slice(-8)}:ckpt-step-${step}`,
    metrics: { step },
    announced: true,
    files: [
      { path: 'state/optimizer.bin', bytes: 2, sha256: sha('c'), storageKey: `${jobId}/${step}/state/optimizer.bin` },
      { path: 'model/config.json', bytes: 1, sha256: sha('b'), storageKey: `${jobId}/${step}/model/config.json` },
    ],
    events: [{ dedupeKey: `checkpoint:${step}`, message: `Checkpoint ${step}` }],
    ...fields,
  };
}

describe('checkpoints', () => {
  it('are recorded with their files once, in replays too', async () => {
    const job = await runningJob();
    const first = await recordCheckpoint(db, checkpointOf(job.id, 4));
    expect(first).toMatchObject({ id: checkpointId(job.id, 4), step: 4, announced: true });
    expect(first.files.map((file) => file.path)).toEqual(['model/config.json', 'state/optimizer.bin']);
    expect(await recordCheckpoint(db, checkpointOf(job.id, 4))).toEqual(first);
    expect(await getCheckpoint(db, job.id, first.id)).toEqual(first);
    expect(await getCheckpoint(db, 'ftjob-other', first.id)).toBeNull();
    const messages = (await listEvents(db, job.id, { limit: 10 })).data.map((event) => event.message);
    expect(messages.filter((message) => message === 'Checkpoint 4')).toHaveLength(1);
  });

  it('that only serve to resume are not listed, can be announced later, and can be forgotten', async () => {
    const job = await runningJob();
    for (const step of [1, 2, 3, 4]) await recordCheckpoint(db, checkpointOf(job.id, step, { announced: step === 2 }));
    const listed = async () =>
      (await pages((after) => listCheckpoints(db, job.id, { after, limit: 1 }))).flat().map((entry) => entry.step);
    expect(await listed()).toEqual([2]);
    expect((await latestCheckpoint(db, job.id))?.step).toBe(4);
    await recordCheckpoint(db, checkpointOf(job.id, 4, { announced: true, metrics: { valid: 1 } }));
    expect(await listed()).toEqual([4, 2]);
    expect((await latestCheckpoint(db, job.id))?.metrics).toEqual({ valid: 1 });
    await recordCheckpoint(db, checkpointOf(job.id, 4, { announced: false }));
    expect(await listed()).toEqual([4, 2]);
    const forgotten = await forgetResumeSnapshots(db, job.id, 3);
    expect(forgotten.map((entry) => entry.step)).toEqual([1]);
    expect(forgotten[0]?.files).toHaveLength(2);
    expect(await getCheckpoint(db, job.id, forgotten[0]?.id ?? '')).toBeNull();
    expect(await listed()).toEqual([4, 2]);
    await expect(listCheckpoints(db, job.id, { after: 'ftckpt_none', limit: 1 })).rejects.toThrow(UnknownCursorError);
  });

  it('are found by the names of models', async () => {
    const job = await runningJob();
    for (const step of [1, 2]) await recordCheckpoint(db, checkpointOf(job.id, step));
    const snapshot = await recordCheckpoint(db, checkpointOf(job.id, 3, { announced: false }));
    const fineTunedModel = `ft:polymode-tiny:org::${newId('m')}`;
    expect(await findServedModel(db, projectId, fineTunedModel)).toBeNull();
    await succeedJob(db, job.id, 'worker-1', { fineTunedModel, trainedTokens: 1, resultFiles: [] }, []);
    expect((await findServedModel(db, projectId, fineTunedModel))?.checkpoint.step).toBe(2);
    expect((await findServedModel(db, projectId, checkpointOf(job.id, 1).modelName))?.checkpoint.step).toBe(1);
    expect(await findServedModel(db, projectId, snapshot.modelName)).toBeNull();
    const names = (await listTunedModels(db, projectId))
      .filter((entry) => entry.jobId === job.id)
      .map((entry) => entry.model);
    expect(names).toEqual([fineTunedModel, ...[2, 1].map((step) => checkpointOf(job.id, step).modelName)]);
    expect((await listTunedModels(db, 'proj_other')).map((entry) => entry.model)).not.toContain(fineTunedModel);
    expect(await findServedModel(db, 'proj_other', fineTunedModel)).toBeNull();
  });

  it('latestCheckpoint of a job without one is null', async () => {
    expect(await latestCheckpoint(db, (await newJob()).id)).toBeNull();
  });
});

describe('API keys', () => {
  it('are kept as hashes, verified, and revoked', async () => {
    const { key, record } = await createApiKey(db, { projectId, name: 'laptop', scope: 'write' }, 'cli');
    expect(key).toMatch(/^pmk-[A-Za-z0-9_-]{32}$/);
    expect(record).toMatchObject({ name: 'laptop', prefix: key.slice(0, 8), revokedAt: null });
    const stored = await db.apiKey.findUniqueOrThrow({ where: { id: record.id } });
    expect(JSON.stringify({ ...stored, seq: 0 })).not.toContain(key.slice(8));
    expect(await verifyApiKey(db, key)).toEqual({
      keyId: record.id,
      projectId,
      keyProjectId: projectId,
      organizationId: 'org',
      scope: 'write',
      requestsPerMinute: null,
      tokensPerMinute: null,
    });
    for (const wrong of ['', `${key}x`, key.slice(0, -1), generateApiKey()]) {
      expect(await verifyApiKey(db, wrong)).toBeNull();
    }
    expect(await revokeApiKey(db, 'proj_other', record.id, 'cli')).toBeNull();
    expect(await verifyApiKey(db, key)).not.toBeNull();
    for (let time = 0; time < 2; time++) {
      expect((await revokeApiKey(db, projectId, record.id, 'cli'))?.revokedAt).toBeInstanceOf(Date);
    }
    expect(await verifyApiKey(db, key)).toBeNull();
    const listed = async (includeRevoked: boolean) =>
      (await listApiKeys(db, projectId, { limit: 100, includeRevoked })).data.map((one) => one.id);
    expect(await listed(true)).toContain(record.id);
    expect(await listed(false)).not.toContain(record.id);
    const audit = (await listAudit(db, 'org', { limit: 2 })).data;
    expect(audit.map(({ type, actor, data }) => [type, actor, data.id])).toEqual([
      ['api_key.deleted', 'cli', record.id],
      ['api_key.created', 'cli', record.id],
    ]);
    expect(JSON.stringify(audit)).not.toContain(key.slice(8));
    const short = { projectId, name: 'short', scope: 'read', key: 'hunter2' } as const;
    await expect(createApiKey(db, short, 'cli')).rejects.toThrow(/at least 16 characters/);
  });

  it('the first one is generated once, though many ask', async () => {
    const own = connectDatabase(await server.fresh());
    const keys = await Promise.all(Array.from({ length: 6 }, () => ensureFirstKey(own, { organizationId: 'org' })));
    const made = keys.filter((key) => key !== null);
    expect(made).toHaveLength(1);
    expect(await verifyApiKey(own, made[0] ?? '')).toMatchObject({ scope: 'admin', organizationId: 'org' });
    expect(await ensureFirstKey(own, { organizationId: 'org' })).toBeNull();
    await disconnectDatabase(own);
  });

  it("the operator's key works, as often as it is set", async () => {
    const own = connectDatabase(await server.fresh());
    const key = 'pmk-chosen-by-the-operator';
    for (let start = 0; start < 3; start++)
      expect(await ensureFirstKey(own, { organizationId: 'org', environmentKey: key })).toBeNull();
    const caller = await verifyApiKey(own, key);
    expect(caller).toMatchObject({ scope: 'admin', organizationId: 'org' });
    const { data } = await listApiKeys(own, caller!.projectId, { limit: 10 });
    expect(data).toMatchObject([{ name: 'environment' }]);
    await disconnectDatabase(own);
  });
});
