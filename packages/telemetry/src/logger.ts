import { type DestinationStream, type Logger, type LoggerOptions, pino, stdTimeFunctions } from 'pino';

export type { Logger };

export interface CreateLoggerOptions {
  /** The process that logs, such as `api` or `worker`. */
  name: string;
  /** `trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`; an empty one counts as absent. @defaultValue 'info' */
  level?: string | undefined;
  /** @defaultValue standard output */
  destination?: DestinationStream | undefined;
  /**
   * Lines on standard output may wait a tenth of a second for others, since each write costs more than the line: for processes
   * that write thousands a second. They are written before the process exits, but not when it is killed. @defaultValue false
   */
  buffered?: boolean | undefined;
}

/** Milliseconds that a buffered line waits at most. */
const BUFFER_MS = 100;

const redacted = '[redacted]';

/** API keys of this service and of the one whose clients call it; passwords inside connection URLs. */
const keyPattern =
  /\b(?:pmk|sk)-[A-Za-z0-9_-]{8,}|(?<=\b(?:postgres|postgresql|redis|rediss):\/\/[^\s:@/"]*:)[^\s@/"]+(?=@)/g;

/** Where secrets travel: headers of a request, and fields of objects that people log. */
const secretPaths = [
  'authorization',
  'apiKey',
  'api_key',
  'password',
  'databaseUrl',
  'redisUrl',
  'headers.authorization',
  'headers.cookie',
  'headers["x-api-key"]',
];

/**
 * Options for a pino logger that writes one JSON object a line and never a secret. For Fastify's `logger` option and for
 * {@link createLogger}.
 *
 * @throws Error for an unknown level
 */
export function loggerOptions(options: Pick<CreateLoggerOptions, 'name' | 'level'>): LoggerOptions {
  const level = options.level?.toLowerCase() || 'info';
  if (level !== 'silent' && !(level in pino.levels.values)) {
    const known = [...Object.keys(pino.levels.values), 'silent'].join(', ');
    throw new Error(`LOG_LEVEL is '${options.level}'. Set it to one of: ${known}.`);
  }
  return {
    name: options.name,
    level,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: secretPaths.flatMap((path) => [path, `*.${path}`]), censor: redacted },
    serializers: { err: pino.stdSerializers.err },
    hooks: {
      // Keys also come inside texts, such as the message of a failed request.
      streamWrite: (line) => line.replace(keyPattern, redacted),
    },
  };
}

/** A logger: fields first, then the message. `logger.child({ jobId })` adds fields to all lines of a job. */
export function createLogger(options: CreateLoggerOptions): Logger {
  return pino(loggerOptions(options), options.destination ?? standardOutput(options.buffered ?? false));
}

function standardOutput(buffered: boolean): DestinationStream {
  if (!buffered) return pino.destination({ dest: 1, sync: true });
  const destination = pino.destination({ dest: 1, sync: true, minLength: 8192, periodicFlush: BUFFER_MS });
  process.once('exit', () => destination.flushSync());
  return destination;
}

/** A logger whose lines carry the job's id. */
export function jobLogger(logger: Logger, jobId: string): Logger {
  return logger.child({ jobId });
}
