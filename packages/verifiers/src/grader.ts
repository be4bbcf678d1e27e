import type { OutcomeConfig } from './outcome.js';

/** A row's fields as graders see them: the dataset row without `messages` and `tools`. */
export type Item = Readonly<Record<string, unknown>>;

/** What is graded. `sampleOf` makes all of it from a text. */
export interface Sample {
  readonly output_text: string;
  /** the text parsed as JSON; absent when it is none, or when nobody has parsed it yet */
  readonly output_json?: unknown;
  /** tool calls in the form of chat completions */
  readonly output_tools?: readonly unknown[];
  /** choices of a chat completion */
  readonly choices?: readonly unknown[];
}

export interface Grade {
  /** finite; 0..1 for most graders */
  readonly reward: number;
  /**
   * Canonical key of what the answer means, from graders that know it: answers that mean the same have the same key.
   * Absent from the others; `compileOutcome` decides for them.
   */
  readonly outcome?: string;
  /** reward of each part, for graders made of several */
  readonly subRewards?: Readonly<Record<string, number>>;
  /** why the answer could not be read and earns 0, if that is so; it is the answer's fault, so this is a grade */
  readonly unreadable?: { readonly kind: GraderErrorKind; readonly message: string; readonly part?: string };
  /** what judges were asked, by the name of their model */
  readonly usage?: Readonly<Record<string, TokenUsage>>;
}

export interface TokenUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly cached_tokens: number;
  readonly total_tokens: number;
}

/** Something in a row that a grader cannot work with. */
export interface ItemProblem {
  /** where, as in `item.top` */
  readonly path: string;
  /** what is wrong and what is expected */
  readonly message: string;
}

/** A definition with every default written out: plain JSON. */
export interface GraderConfig {
  readonly type: string;
  readonly name: string;
  readonly [field: string]: unknown;
}

export interface GradeOptions {
  /** Aborts when nobody waits for the grade any more. */
  readonly signal?: AbortSignal;
}

export interface Grader {
  readonly config: GraderConfig;
  readonly name: string;
  readonly type: string;
  /** what counts as the same answer, unless the job says otherwise @defaultValue the key that the grader returns, or the text */
  readonly defaultOutcome?: OutcomeConfig;
  /** what this grader reads from a row and the row lacks or has in a wrong form; [] when the row can be graded */
  checkItem(item: Item): ItemProblem[];
  /**
   * What `compileGrader` cannot find out without running something, such as imports of user code.
   *
   * @throws GraderConfigError
   */
  check?(options?: GradeOptions): Promise<void>;
  /** @throws GraderRuntimeError when the grader fails: a failure is never scored 0 here */
  grade(sample: Sample, item: Item, options?: GradeOptions): Promise<Grade>;
}

/** A grader definition that cannot be used. `param` names the field, as in `grader.operation`. */
export class GraderConfigError extends Error {
  override readonly name = 'GraderConfigError';
  /** for programs */
  readonly code = 'invalid_grader';

  constructor(
    message: string,
    readonly param: string,
  ) {
    super(message);
  }
}

/** Error flags of the API's grader results, and below them ours, which the API shows as `other_error`. */
export type GraderErrorKind =
  | 'formula_parse_error'
  | 'sample_parse_error'
  | 'truncated_observation_error'
  | 'unresponsive_reward_error'
  | 'invalid_variable_error'
  | 'other_error'
  | 'python_grader_server_error'
  | 'python_grader_runtime_error'
  | 'model_grader_server_error'
  | 'model_grader_refusal_error'
  | 'model_grader_parse_error'
  | 'javascript_grader_server_error'
  | 'javascript_grader_runtime_error'
  | 'endpoint_grader_server_error'
  | 'endpoint_grader_parse_error';

export interface GraderErrorDetails extends ErrorOptions {
  /** traceback, or what a service answered */
  readonly details?: string | undefined;
  /** what kind of server error, in a word: timeout, memory, … */
  readonly reason?: string | undefined;
  /** key of the part that failed, of a grader made of several */
  readonly part?: string | undefined;
}

/** A grader that could not grade one answer. */
export class GraderRuntimeError extends Error {
  override readonly name: string = 'GraderRuntimeError';
  readonly details: string | undefined;
  readonly reason: string | undefined;
  readonly part: string | undefined;

  constructor(
    message: string,
    readonly kind: GraderErrorKind,
    { details, reason, part, ...options }: GraderErrorDetails = {},
  ) {
    super(message, options);
    this.details = details;
    this.reason = reason;
    this.part = part;
  }
}

/**
 * The answer has not the form that the grader reads. Nothing is wrong with the grader, so `compileGrader` turns it into a
 * grade of 0 with `unreadable`; it leaves no grader.
 */
export class UnreadableAnswerError extends GraderRuntimeError {
  override readonly name = 'UnreadableAnswerError';
}
