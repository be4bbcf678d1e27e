/** A request that cannot be served; status, field and code are what the protocol says. */
export class InferenceError extends Error {
  override name = 'InferenceError';
  readonly param: string | null;
  readonly code: string | null;

  constructor(
    /** 400: as it is. 404: no such model here. 503: no memory for it now. */
    readonly status: 400 | 401 | 404 | 413 | 503,
    message: string,
    { param = null, code = null, cause }: { param?: string | null; code?: string | null; cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.param = param;
    this.code = code;
  }
}
