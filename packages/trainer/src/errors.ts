/** The job cannot be trained as it was asked for; says what to change. */
export class TrainerInputError extends Error {
  override name = 'TrainerInputError';
  constructor(
    readonly code: string,
    readonly param: string | null,
    message: string,
  ) {
    super(message);
  }
}

/** Too many completions of a step could not be graded to learn anything from it. */
export class GradersFailedError extends Error {
  override name = 'GradersFailedError';
  readonly code = 'grader_failed';
  readonly param = 'method.reinforcement.grader';
}
