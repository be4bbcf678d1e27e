/** A command was called wrongly, or could not do what it was to do; the message is for its user. */
export class CommandError extends Error {
  override name = 'CommandError';
  constructor(
    message: string,
    /** of the process: 2 when it was called wrongly */
    readonly exitCode: number,
  ) {
    super(message);
  }
}
