import { type Grade, type Grader, type GraderErrorKind, GraderRuntimeError, type Item, type Sample } from './grader.js';
import { compileOutcome, type Outcome } from './outcome.js';
import { breathe } from './pace.js';
import { work } from './thread/index.js';

export interface GradingOptions {
  readonly grader: Grader;
  /** @defaultValue the grader's own */
  readonly outcome?: Outcome | undefined;
  /**
   * Milliseconds after which nobody waits for a grade any more: a net below the caps that graders have themselves, so it
   * counts their waiting for a judge or a sandbox too. @defaultValue 300000
   */
  readonly timeoutMs?: number | undefined;
  /** Answers being graded at once. @defaultValue 32 */
  readonly concurrency?: number | undefined;
  /** Aborts when nobody waits for any grade any more. */
  readonly signal?: AbortSignal | undefined;
}

export interface Gradable {
  readonly sample: Sample;
  readonly item: Item;
}

/** A grade with its outcome, or why there is none. */
export type GradingResult =
  | { readonly ok: true; readonly grade: Grade & { readonly outcome: string } }
  | { readonly ok: false; readonly failure: GradingFailure };

/** A grader's failure: an error to report, never an answer worth 0. */
export interface GradingFailure {
  readonly kind: GraderErrorKind;
  readonly message: string;
  /** traceback or the like */
  readonly details?: string | undefined;
  /** what kind of server error, in a word */
  readonly reason?: string | undefined;
  /** key of the part that failed, of a grader made of several */
  readonly part?: string | undefined;
}

export const GRADING_TIMEOUT_MS = 300_000;
const CONCURRENCY = 32;

/**
 * Grades answers, several at once and each within the timeout, and never blocks the event loop for long. Never rejects
 * for what a grader does.
 *
 * @returns one result an answer, in their order
 */
export async function gradeAll(answers: readonly Gradable[], options: GradingOptions): Promise<GradingResult[]> {
  const outcome = options.outcome ?? compileOutcome(undefined, options.grader);
  const results: GradingResult[] = new Array(answers.length);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < answers.length) {
      const index = next++;
      await breathe();
      results[index] = await gradeOne(answers[index]!, outcome, options);
    }
  };
  const workers = Math.min(options.concurrency ?? CONCURRENCY, answers.length);
  await Promise.all(Array.from({ length: workers }, work));
  return results;
}

async function gradeOne(answer: Gradable, outcome: Outcome, options: GradingOptions): Promise<GradingResult> {
  try {
    return {
      ok: true,
      grade: await withinTime((signal) => gradeWith(answer, options.grader, outcome, signal), options),
    };
  } catch (error) {
    return { ok: false, failure: failureOf(error) };
  }
}

async function gradeWith(
  { sample, item }: Gradable,
  grader: Grader,
  outcome: Outcome,
  signal: AbortSignal,
): Promise<Grade & { readonly outcome: string }> {
  const grade = await grader.grade(sample, item, { signal });
  if (typeof grade?.reward !== 'number' || !Number.isFinite(grade.reward)) {
    throw new GraderRuntimeError(`The grader's reward is ${grade?.reward}, not a finite number.`, 'other_error');
  }
  const { outcome: key, unreadable } = grade;
  const found = {
    config: outcome.config,
    grade: { ...(key !== undefined && { outcome: key }), ...(unreadable && { unreadable }) },
  };
  const here = (): string => outcome.of(sample, item, grade);
  return { ...grade, outcome: await work('outcome', sample, item, found, here, { signal, most: outcome.most }) };
}

async function withinTime<T>(
  compute: (signal: AbortSignal) => Promise<T>,
  { timeoutMs = GRADING_TIMEOUT_MS, signal }: GradingOptions,
): Promise<T> {
  const abort = new AbortController();
  const stopped = (message: string): GraderRuntimeError =>
    new GraderRuntimeError(message, 'unresponsive_reward_error', { reason: 'timeout' });
  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(stopped(`The grader did not answer within ${timeoutMs / 1000} seconds.`)),
      timeoutMs,
    );
    onAbort = () => reject(stopped('The grader was given up before it answered.'));
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
  // It may end before the race has begun.
  over.catch(() => {});
  try {
    return await Promise.race([over, compute(abort.signal)]);
  } finally {
    clearTimeout(timer);
    if (onAbort) signal?.removeEventListener('abort', onAbort);
    abort.abort();
  }
}

function failureOf(error: unknown): GradingFailure {
  if (error instanceof GraderRuntimeError) {
    const { kind, message, details, reason, part } = error;
    return { kind, message, details, reason, part };
  }
  if (!(error instanceof Error)) return { kind: 'other_error', message: String(error) };
  return { kind: 'other_error', message: `${error.name}: ${error.message}`, details: error.stack };
}
