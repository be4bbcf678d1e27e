// No imports here: the realm in which Python lives reads these too.

/** Milliseconds; no grader may ask for more. */
export const LONGEST_TIMEOUT_MS = 120_000;

/** Bytes of source, counted as UTF-8; sources are shorter. */
export const SOURCE_LIMIT_BYTES = 256 * 1024;

/** Characters of what a call prints that are kept; the rest is dropped. */
export const OUTPUT_LIMIT = 16 * 1024;

/** Characters of a traceback that are kept. */
export const DETAILS_LIMIT = 8 * 1024;

/** Characters of a message that are kept. */
export const MESSAGE_LIMIT = 1024;

/** Characters of an outcome; longer ones are refused. */
export const OUTCOME_LIMIT = 64 * 1024;

/** Bytes that a call may write under /tmp. */
export const FILES_LIMIT_BYTES = 64 * 1024 * 1024;
