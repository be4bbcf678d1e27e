import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { anyProject, appendEvents, cancelJob, connectDatabase, disconnectDatabase } from '@polymode/db';

const JOBS = 10;
const ROUNDS = 20;
const EVENTS_A_ROUND = 5;

/**
 * Opens many event streams on a few jobs, lets those jobs have events and end, and looks at what every stream told.
 *
 * @returns what the streams cost the API's process in bytes, and how many events were lost, repeated or out of order
 */
export async function measureStreams(api, { key, createJob, databaseUrl }, count) {
  const db = connectDatabase(databaseUrl, { maxConnections: 2 });
  try {
    const jobs = [];
    for (let i = 0; i < JOBS; i++) jobs.push((await createJob()).id);
    // Whatever one stream needs for the first time is not of the streams.
    const first = follow(api.url, jobs[0], key);
    await first.opened;
    first.close();
    await sleep(1000);
    const before = residentBytes(api.pid);
    const readers = Array.from({ length: count }, (_, i) => follow(api.url, jobs[i % JOBS], key));
    await Promise.all(readers.map((reader) => reader.opened));
    let most = residentBytes(api.pid);
    for (let round = 0; round < ROUNDS; round++) {
      for (const job of jobs) {
        await appendEvents(
          db,
          job,
          Array.from({ length: EVENTS_A_ROUND }, (_, i) => ({
            dedupeKey: `stream:${round}:${i}`,
            message: `Step ${round * EVENTS_A_ROUND + i}`,
            type: 'metrics',
            data: { step: round * EVENTS_A_ROUND + i },
          })),
        );
      }
      most = Math.max(most, residentBytes(api.pid));
    }
    for (const job of jobs) await cancelJob(db, anyProject, job, [{ dedupeKey: 'cancelled', message: 'cancelled' }]);
    const heard = await Promise.all(readers.map((reader) => reader.done));
    most = Math.max(most, residentBytes(api.pid));
    const wrong = heard.filter((messages) => !isWhole(messages)).length;
    const megabytes = (most - before) / 1e6;
    console.log(
      `streams: ${count} open ones cost ${megabytes.toFixed(0)} MB; ${heard[0].length} events each, wrong in ${wrong} of them`,
    );
    if (wrong > 0 || megabytes >= 150) process.exitCode = 1;
    return { count, megabytes, events: heard[0].length, wrong };
  } finally {
    await disconnectDatabase(db);
  }
}

/** Every step once and in order, between the job's creation and its end. */
function isWhole(messages) {
  const steps = messages.filter((message) => message.startsWith('Step '));
  const expected = Array.from({ length: ROUNDS * EVENTS_A_ROUND }, (_, i) => `Step ${i}`);
  return (
    JSON.stringify(steps) === JSON.stringify(expected) &&
    messages[0].startsWith('Created') &&
    messages.at(-2) === 'cancelled' &&
    messages.at(-1) === '[DONE]'
  );
}

function follow(origin, job, key) {
  const url = `${origin}/v1/fine_tuning/jobs/${job}/events?stream=true`;
  let close = () => {};
  let opened;
  const isOpen = new Promise((resolve) => {
    opened = resolve;
  });
  const done = new Promise((resolve, reject) => {
    const request = get(url, { agent: false, headers: { authorization: `Bearer ${key}` } }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece) => {
        opened();
        text += piece;
      });
      response.on('end', () => resolve(messagesOf(text)));
      response.on('error', reject);
    });
    request.on('error', reject);
    close = () => request.destroy();
  });
  done.catch(() => {});
  return { opened: isOpen, done, close: () => close() };
}

function messagesOf(text) {
  return [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => (data === '[DONE]' ? data : JSON.parse(data).message));
}

/** What the process has in memory now. */
function residentBytes(pid) {
  try {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
    return pages * 4096;
  } catch {
    return 1024 * Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' }));
  }
}
