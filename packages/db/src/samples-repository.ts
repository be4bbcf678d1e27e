import type { Database, DatabaseOrTransaction } from './client.js';
import { UnknownCursorError } from './errors.js';
import type { Sample } from './generated/client.js';
import { type Page, type PageRequest, toPage } from './pagination.js';

/** A completion of a reinforcement step and what it earned. */
export interface NewSample {
  /** Line of the training file, 0 is the first. */
  row: number;
  text: string;
  /** null where the grader failed. */
  reward: number | null;
  outcome: string | null;
  advantage: number;
  /** Of the completion. */
  tokens: number;
  finish: string;
}

export interface SampleRecord extends NewSample {
  /** Unique in its job, and what lists continue after: `step-index`. */
  id: string;
  step: number;
  /** 0 is the first of its step. */
  index: number;
}

/** Characters of a completion that are kept. */
const TEXT_KEPT = 8192;

/** For transactions that hold the job's row lock already. */
export async function insertSamples(
  tx: DatabaseOrTransaction,
  jobId: string,
  step: number,
  samples: readonly NewSample[],
): Promise<void> {
  if (samples.length === 0) return;
  await tx.sample.createMany({
    data: samples.map((sample, index) => ({
      ...sample,
      jobId,
      step,
      index,
      text: storable(sample.text),
      outcome: sample.outcome === null ? null : storable(sample.outcome),
    })),
    skipDuplicates: true,
  });
}

/** PostgreSQL's text holds every character but NUL and halves of surrogate pairs, and a policy may write anything. */
function storable(text: string): string {
  return text.slice(0, TEXT_KEPT).replace(/[\0\p{Surrogate}]/gu, '\uFFFD');
}

export interface ListSamples extends PageRequest {
  /** Only those of this step. @defaultValue all */
  step?: number | undefined;
  /** Only those of every n-th step, beginning with the first. @defaultValue 1 */
  everyNthStep?: number | undefined;
}

/** In the order in which they were sampled. */
export async function listSamples(db: Database, jobId: string, request: ListSamples): Promise<Page<SampleRecord>> {
  const { after, step, everyNthStep = 1, limit } = request;
  const cursor = after === undefined ? { step: 0, index: -1 } : parseSampleId(after);
  const rows = await db.$queryRaw<Sample[]>`
    SELECT * FROM samples
    WHERE job_id = ${jobId} AND (step, index) > (${cursor.step}::int, ${cursor.index}::int)
      AND (${step ?? null}::int IS NULL OR step = ${step ?? null}::int)
      AND (step - 1) % ${everyNthStep}::int = 0
    ORDER BY step, index LIMIT ${limit + 1}`;
  return toPage(rows, limit, (row) => ({
    id: `${row.step}-${row.index}`,
    step: row.step,
    index: row.index,
    row: row.row,
    text: row.text,
    reward: row.reward,
    outcome: row.outcome,
    advantage: row.advantage,
    tokens: row.tokens,
    finish: row.finish,
  }));
}

function parseSampleId(id: string): { step: number; index: number } {
  const match = /^(\d{1,9})-(\d{1,9})$/.exec(id);
  if (!match) throw new UnknownCursorError(id);
  return { step: Number(match[1]), index: Number(match[2]) };
}
