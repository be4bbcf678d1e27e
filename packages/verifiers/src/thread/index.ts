import type { Grade, Grader, Item, Sample } from '../grader.js';
import { textOf } from '../sample.js';
import type { JobName, JobRequest, Jobs } from './jobs.js';
import { isLong, NEAR_CHARACTERS } from './long.js';
import { ThreadPool } from './pool.js';

/** Where long answers are worked on; threads start at the first of them. */
const threads = new ThreadPool();

/** In a thread of the pool: nothing goes further from there. */
let arrived = false;

/** Called once by a thread's program: it does itself whatever it is given. */
export function workHere(): void {
  arrived = true;
}

export interface WorkOptions {
  readonly signal?: AbortSignal | undefined;
  /** characters up to which the answer is not long @defaultValue 16384 */
  readonly most?: number | undefined;
}

/**
 * Does a piece of work on an answer without keeping the event loop from its other business: at once if the answer is
 * short, in a thread if it is long.
 *
 * @param here the same work, of this thread
 * @throws GraderRuntimeError `other_error` with reason `memory` where a thread's memory does not suffice; what the work throws
 */
export async function work<N extends JobName>(
  name: N,
  sample: Sample,
  item: Item,
  argument: Jobs[N]['argument'],
  here: () => Jobs[N]['result'] | Promise<Jobs[N]['result']>,
  { signal, most = NEAR_CHARACTERS }: WorkOptions = {},
): Promise<Jobs[N]['result']> {
  if (arrived || !isLong(sample, item, most)) return here();
  const written = textOf(sample);
  const request: JobRequest<N> = { name, argument, answer: written ?? { sample }, item };
  return (await threads.run(request, signal)) as Jobs[N]['result'];
}

/** A grader that needs nothing from outside, which grades long answers in a thread. */
export function farGrader(grader: Grader): Grader {
  return {
    ...grader,
    grade: (sample, item, options): Promise<Grade> =>
      work('grade', sample, item, grader.config, () => grader.grade(sample, item, options), options),
  };
}
