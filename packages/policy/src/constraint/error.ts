/** A schema that cannot be followed while sampling. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError';

  /**
   * @param pointer JSON pointer of what is wrong, from the schema's root: '' for the root itself
   * @param reason what is wrong there, and what to change
   */
  constructor(
    readonly pointer: string,
    readonly reason: string,
  ) {
    super(`${pointer === '' ? 'the schema' : pointer} ${reason}`);
  }
}

/** Steps of a JSON pointer (RFC 6901) added to another. */
export function pointerTo(base: string, ...steps: readonly (string | number)[]): string {
  return base + steps.map((step) => `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
