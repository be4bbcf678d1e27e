/** A row's fields as graders see them: the dataset row without `messages` and `tools`. */
export type Item = Readonly<Record<string, unknown>>;

/** What is graded. */
export interface Sample {
  readonly output_text: string;
}

export interface Grade {
  /** finite; 0..1 for the graders of this package */
  readonly reward: number;
  /** canonical key of what the answer means: answers that mean the same have the same outcome */
  readonly outcome: string;
  /** reward of each part, for graders made of several */
  readonly subRewards?: Readonly<Record<string, number>>;
}

/** Something in a row that a grader cannot work with. */
export interface ItemProblem {
  /** where, as in `item.top` */
  readonly path: string;
  /** what is wrong and what is expected */
  readonly message: string;
}

export type GraderConfig = StringCheckConfig | TaskConfig;

export interface StringCheckConfig {
  readonly type: 'string_check';
  readonly name: string;
  /** templates */
  readonly input: string;
  readonly reference: string;
  readonly operation: StringCheckOperation;
}

export type StringCheckOperation = 'eq' | 'ne' | 'like' | 'ilike';

export interface TaskConfig {
  readonly type: 'task';
  readonly name: string;
  /** name of a built-in task, as in `hypospace/voxel` */
  readonly task: string;
}

export interface Grader {
  /** the definition with every default written out */
  readonly config: GraderConfig;
  readonly name: string;
  readonly type: GraderConfig['type'];
  /** what this grader reads from a row and the row lacks or has in a wrong form; [] when the row can be graded */
  checkItem(item: Item): ItemProblem[];
  /** @throws GraderRuntimeError when the answer cannot be graded: a failure is never scored 0 here */
  grade(sample: Sample, item: Item): Promise<Grade>;
}

/** A grader definition that cannot be used. `param` names the field, as in `grader.operation`. */
export class GraderConfigError extends Error {
  override readonly name = 'GraderConfigError';

  constructor(
    message: string,
    readonly param: string,
  ) {
    super(message);
  }
}

/** Names are those of the error flags in the API's grader results. */
export type GraderErrorKind = 'invalid_variable_error' | 'sample_parse_error' | 'other_error';

/** A grader that could not grade one answer: the row lacks a value, or the answer has not the form the grader reads. */
export class GraderRuntimeError extends Error {
  override readonly name = 'GraderRuntimeError';

  constructor(
    message: string,
    readonly kind: GraderErrorKind,
  ) {
    super(message);
  }
}
