import { parentPort } from 'node:worker_threads';
import { type Grader, GraderRuntimeError, type Item, type Sample, UnreadableAnswerError } from '../grader.js';
import { compileGrader } from '../graders/index.js';
import { compileMessages } from '../judge/messages.js';
import { compileOutcome } from '../outcome.js';
import { sampleOf } from '../sample.js';
import { frame } from '../sandbox/frames.js';
import { workHere } from './index.js';
import type { JobName, JobReply, JobRequest, Jobs, ThrownInThread } from './jobs.js';

/*
 * The program of a thread that works on long answers, one job at a time.
 */

workHere();
const port = parentPort!;

/** Things made of a definition that are kept, by the definition; a process has a few jobs at most. */
const KEPT = 32;
const made = new Map<string, unknown>();

function once<T>(definition: unknown, make: () => T): T {
  const key = JSON.stringify(definition);
  if (!made.has(key)) {
    if (made.size >= KEPT) made.clear();
    made.set(key, make());
  }
  return made.get(key) as T;
}

type Handler<N extends JobName> = (
  sample: Sample,
  item: Item,
  argument: Jobs[N]['argument'],
) => Jobs[N]['result'] | Promise<Jobs[N]['result']>;

/** One entry per job. */
const HANDLERS: { readonly [N in JobName]: Handler<N> } = {
  grade: (sample, item, config) => once(config, (): Grader => compileGrader(config)).grade(sample, item),
  outcome: (sample, item, { config, grade }) =>
    once(config, () => compileOutcome(config, {})).of(sample, item, { reward: 0, ...grade }),
  messages: (sample, item, { input, instruction }) =>
    encoded(once(input, () => compileMessages(input, 'grader.input')).fill(sample, item, instruction)),
  body: (sample, item) => encoded({ sample, item }),
  frame: (sample, item, { source, timeoutMs }) => frame({ kind: 'grade', source, input: { sample, item }, timeoutMs }),
};

function encoded(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

port.on('message', async ({ name, argument, answer, item }: JobRequest) => {
  let reply: JobReply;
  try {
    const sample = 'text' in answer ? sampleOf(answer.text, answer.finishReason) : answer.sample;
    reply = { result: await (HANDLERS[name] as Handler<JobName>)(sample, item, argument) };
  } catch (error) {
    reply = { thrown: described(error) };
  }
  const bytes = 'result' in reply && reply.result instanceof Uint8Array ? reply.result : null;
  // A view of a part of a buffer, as small ones are, is copied.
  const whole = bytes !== null && bytes.byteLength === bytes.buffer.byteLength;
  port.postMessage(reply, whole ? [bytes.buffer as ArrayBuffer] : []);
});

function described(error: unknown): ThrownInThread {
  if (error instanceof GraderRuntimeError) {
    const { message, kind, details, reason } = error;
    return { type: error instanceof UnreadableAnswerError ? 'unreadable' : 'runtime', message, kind, details, reason };
  }
  if (!(error instanceof Error)) return { type: 'other', message: String(error) };
  return { type: 'other', message: `${error.name}: ${error.message}`, details: error.stack };
}
