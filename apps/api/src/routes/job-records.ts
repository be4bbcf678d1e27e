import {
  type FineTuningJobMetrics,
  type FineTuningJobMetricsList,
  type FineTuningJobSample,
  type FineTuningJobSampleList,
  operations,
} from '@polymode/contracts';
import {
  listSamples,
  listSteps,
  type Page,
  type SampleRecord,
  type StepRecord,
  UnknownCursorError,
} from '@polymode/db';
import { stringify } from 'csv-stringify/sync';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { ApiDependencies } from '../dependencies.js';
import { toSeconds } from '../ids.js';
import { existingJobId } from '../job.js';
import { toList } from '../pagination.js';
import { serve } from '../serve.js';

/** What a job's steps measured and sampled, as JSON or CSV. */
export async function jobRecordRoutes(app: FastifyInstance, { db }: ApiDependencies): Promise<void> {
  serve(
    app,
    operations.listFineTuningMetrics,
    async (incoming, _request, reply): Promise<FineTuningJobMetricsList | FastifyReply> => {
      const jobId = await existingJobId(db, incoming);
      const { after, limit, every_nth_step: everyNthStep, format } = incoming.query;
      const rows = await listSteps(db, jobId, { afterStep: stepOf(after), everyNthStep, limit: limit + 1 });
      const page: Page<StepRecord> = { data: rows.slice(0, limit), hasMore: rows.length > limit };
      if (format === 'json') return toList(page, toMetrics);
      return sendCsv(
        reply,
        page.data.map((row) => ({ step: row.step, created_at: toSeconds(row.createdAt), ...leaves(row.metrics) })),
        page.hasMore,
      );
    },
  );

  serve(
    app,
    operations.listFineTuningSamples,
    async (incoming, _request, reply): Promise<FineTuningJobSampleList | FastifyReply> => {
      const jobId = await existingJobId(db, incoming);
      const { after, limit, step, every_nth_step: everyNthStep, format } = incoming.query;
      const page = await listSamples(db, jobId, { after, limit, step, everyNthStep });
      if (format === 'json') return toList(page, toSample);
      const rows = page.data.map(toSample).map(({ id: _id, object: _object, ...row }) => row);
      return sendCsv(reply, rows, page.hasMore);
    },
  );
}

function stepOf(after: string | undefined): number {
  if (after === undefined) return 0;
  if (!/^\d{1,9}$/.test(after)) throw new UnknownCursorError(after);
  return Number(after);
}

/** The columns of all rows, in the order in which they come up. */
function sendCsv(reply: FastifyReply, rows: readonly Record<string, unknown>[], hasMore: boolean): FastifyReply {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  // A table has no room for it elsewhere.
  reply.header('x-has-more', String(hasMore));
  return reply.type('text/csv; charset=utf-8').send(stringify([...rows], { header: true, columns }));
}

/** `{a: {b: 1}, c: [2]}` as `{'a.b': 1, 'c.0': 2}`: what a table can show. */
function leaves(value: unknown, path = ''): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return path === '' || path === 'step' ? {} : { [path]: value };
  return Object.assign(
    {},
    ...Object.entries(value).map(([key, inner]) => leaves(inner, path === '' ? key : `${path}.${key}`)),
  );
}

function toMetrics({ step, createdAt, metrics }: StepRecord): FineTuningJobMetrics {
  return { id: String(step), object: 'fine_tuning.job.metrics', created_at: toSeconds(createdAt), step, data: metrics };
}

function toSample(sample: SampleRecord): FineTuningJobSample {
  const { id, step, index, row, text, reward, outcome, advantage, tokens, finish } = sample;
  return {
    id,
    object: 'fine_tuning.job.sample',
    step,
    index,
    row,
    text,
    reward,
    outcome,
    advantage,
    completion_tokens: tokens,
    finish_reason: finish,
  };
}
