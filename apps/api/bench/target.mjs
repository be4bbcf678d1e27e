import { appendEvents, connectDatabase, disconnectDatabase } from '@polymode/db';

/** Events of the job that is polled: many pages. */
const EVENTS = 500;

/** What is asked of the API: a file to train on, a job with events, and the three requests. */
export async function makeTarget(url, key, databaseUrl) {
  const headers = { authorization: `Bearer ${key}` };
  const row = (i) => ({ messages: [{ role: 'user', content: `Name digit ${i % 10}.` }], answer: String(i % 10) });
  const form = new FormData();
  form.set('purpose', 'fine-tune');
  const lines = Array.from({ length: 20 }, (_, i) => `${JSON.stringify(row(i))}\n`).join('');
  form.set('file', new File([lines], 'rows.jsonl'));
  const file = await answer(fetch(`${url}/v1/files`, { method: 'POST', headers, body: form }));
  const body = JSON.stringify({
    model: 'polymode-tiny',
    training_file: file.id,
    method: {
      type: 'reinforcement',
      reinforcement: {
        grader: {
          type: 'string_check',
          name: 'n',
          operation: 'eq',
          input: '{{sample.output_text}}',
          reference: '{{item.answer}}',
        },
      },
    },
  });
  const json = { ...headers, 'content-type': 'application/json' };
  const createJob = () => answer(fetch(`${url}/v1/fine_tuning/jobs`, { method: 'POST', headers: json, body }));
  const job = await createJob();
  const db = connectDatabase(databaseUrl, { maxConnections: 1 });
  for (let from = 0; from < EVENTS; from += 50) {
    const some = Array.from({ length: 50 }, (_, i) => from + i);
    await appendEvents(db, job.id, some.map(stepEvent));
  }
  await disconnectDatabase(db);

  const get = (path) => ({
    once: () => answer(fetch(`${url}/v1${path}`, { headers })),
    wire: (origin) => ({ origin, head: head('GET', path, key), body: '' }),
  });
  return {
    key,
    createJob,
    jobId: job.id,
    databaseUrl,
    requests: {
      creations: {
        once: createJob,
        wire: (origin) => ({ origin, head: head('POST', '/fine_tuning/jobs', key, body), body }),
      },
      polls: get(`/fine_tuning/jobs/${job.id}`),
      event_pages: get(`/fine_tuning/jobs/${job.id}/events?limit=20`),
    },
  };
}

const stepEvent = (step) => ({
  dedupeKey: `bench:${step}`,
  message: `Step ${step}/${EVENTS}: training loss=0.50`,
  type: 'metrics',
  data: { step, train_loss: 0.5 },
});

function head(method, path, key, body) {
  const content =
    body === undefined ? '' : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
  return `${method} /v1${path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer ${key}\r\n${content}\r\n`;
}

async function answer(response) {
  const made = await response;
  const text = await made.text();
  if (!made.ok) throw new Error(`${made.status}: ${text}`);
  return JSON.parse(text);
}
