import { GenerateFailure, type InspectRequest, InspectResponse } from '@polymode/contracts';
import { type Database, listInferenceWorkers } from '@polymode/db';
import type { JobPlan } from './job-plan.js';

/** A worker announces itself each five seconds; one that was silent three times is gone. */
const WORKER_SILENT_MS = 15_000;

/** What a worker says of a job that is planned, or why none does. */
export type Inspection = {
  /** live ones */
  workers: number;
} & ({ found: InspectResponse } | { found: null; reason: string });

/**
 * Asks a worker what a planned job comes to in tokens and memory, which takes a tokenizer and the engine's plans.
 *
 * @param options.timeoutMs milliseconds to wait for each worker
 */
export async function inspectPlan(
  db: Database,
  plan: Pick<JobPlan, 'start' | 'method' | 'files'>,
  options: { timeoutMs: number; signal?: AbortSignal },
): Promise<Inspection> {
  const request: InspectRequest = {
    baseModel: plan.start.baseModel,
    method: plan.method,
    trainingFile: { storageKey: plan.files.training.storageKey },
    validationFile: plan.files.validation && { storageKey: plan.files.validation.storageKey },
  };
  const workers = await listInferenceWorkers(db, WORKER_SILENT_MS);
  let reason = 'no worker is running';
  for (const { url, token } of workers) {
    const late = AbortSignal.timeout(options.timeoutMs);
    try {
      const response = await fetch(`${url}/inspect`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(request),
        signal: options.signal ? AbortSignal.any([late, options.signal]) : late,
      });
      const answer: unknown = await response.json();
      if (response.ok) return { workers: workers.length, found: InspectResponse.parse(answer) };
      reason = GenerateFailure.parse(answer).message;
    } catch (error) {
      if (options.signal?.aborted) return { workers: workers.length, found: null, reason: 'the request was given up' };
      reason = late.aborted
        ? `a worker did not tell within ${options.timeoutMs / 1000} s`
        : `a worker could not be asked: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
  return { workers: workers.length, found: null, reason };
}

/** What a job's owner should know of it before it runs, a sentence each. */
export function warningsOf(found: InspectResponse): string[] {
  const files = [
    ['training', found.training],
    ['validation', found.validation],
  ] as const;
  const beyond = files.flatMap(([name, rows]) => {
    if (!rows || rows.beyondContext === 0) return [];
    const lines = rows.longest.map(({ line, tokens }) => `line ${line} (${tokens})`).join(', ');
    const more = rows.beyondContext - rows.longest.length;
    const count = rows.beyondContext === 1 ? '1 row' : `${rows.beyondContext} rows`;
    return [
      `${count} of the ${name} file go beyond the ${found.rowTokens} tokens that there is room for: ${lines}${more > 0 ? `, and ${more} more` : ''}`,
    ];
  });
  return [...beyond, ...found.problems.map((problem) => `the job would fail on this worker: ${problem}`)];
}
