import type { Grade, GraderConfig, GraderErrorKind, Item, Sample } from '../grader.js';
import type { OutcomeConfig } from '../outcome.js';

/** What threads do with a long answer: what each job is told beside the answer, and what comes of it. Plain data. */
export interface Jobs {
  /** the grade of a grader that needs nothing from outside */
  grade: { readonly argument: GraderConfig; readonly result: Grade };
  /** what counts as the same answer */
  outcome: {
    readonly argument: { readonly config: OutcomeConfig; readonly grade: Pick<Grade, 'outcome' | 'unreadable'> };
    readonly result: string;
  };
  /** JSON of the messages for a judge: its definition's `input`, filled */
  messages: {
    readonly argument: { readonly input: unknown; readonly instruction: string };
    readonly result: Uint8Array;
  };
  /** JSON of `{sample, item}` */
  body: { readonly argument: null; readonly result: Uint8Array };
  /** a sandbox's request, as it goes over the pipe */
  frame: {
    readonly argument: { readonly source: string; readonly timeoutMs: number };
    readonly result: Uint8Array;
  };
}

export type JobName = keyof Jobs;

/** An answer on its way to a thread: what `sampleOf` made is made there again, as copies of large values take long too. */
export type SentSample =
  | { readonly text: string; readonly finishReason: 'stop' | 'length' }
  | { readonly sample: Sample };

export interface JobRequest<N extends JobName = JobName> {
  readonly name: N;
  readonly argument: Jobs[N]['argument'];
  readonly answer: SentSample;
  readonly item: Item;
}

/** What a job threw: errors of graders keep their class. */
export interface ThrownInThread {
  readonly type: 'runtime' | 'unreadable' | 'other';
  readonly message: string;
  readonly kind?: GraderErrorKind | undefined;
  readonly details?: string | undefined;
  readonly reason?: string | undefined;
}

export type JobReply = { readonly result: unknown } | { readonly thrown: ThrownInThread };
