import { type Answer, EndpointUnreachable, postJson, RefusedAddress } from '../endpoint/post.js';
import { type Grade, type Grader, GraderRuntimeError } from '../grader.js';
import type { GraderServices } from '../services.js';
import { work } from '../thread/index.js';
import type { Definition } from './definition.js';

const DEFAULT_TIMEOUT_MS = 30_000;
const LONGEST_TIMEOUT_MS = 120_000;

/** Times that a request is sent at most, and milliseconds before the second; twice as many before each one after. */
const TRIES = 4;
const RETRY_DELAY_MS = 250;

/**
 * A server of the user's own: it is sent `{sample, item}` as JSON and answers with a number, or `{reward, outcome?}`.
 *
 * Fields: `url`; `headers`, sent with each request; `timeout_ms`, of one request, 30 seconds where it is left out and two
 * minutes at most. Requests that the server was too busy for, or failed on, are sent again. Private addresses are refused after
 * the name has been resolved, unless the operator allows them.
 */
export function endpoint(definition: Definition, { endpointAllow = [] }: GraderServices): Grader {
  definition.onlyFields(['type', 'name', 'url', 'headers', 'timeout_ms']);
  const config = {
    type: 'endpoint' as const,
    name: definition.name(),
    url: definition.nonEmptyString('url'),
    ...(definition.has('headers') ? { headers: headersOf(definition) } : {}),
    timeout_ms: definition.has('timeout_ms')
      ? definition.integer('timeout_ms', 1, LONGEST_TIMEOUT_MS)
      : DEFAULT_TIMEOUT_MS,
  };
  const url = URL.canParse(config.url) ? new URL(config.url) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    return definition.refuse('url', `'url' must be an http or https URL, not '${config.url}'.`);
  }
  if (url.username !== '' || url.password !== '') {
    return definition.refuse('url', "'url' must not hold a user name or password. Put them into 'headers'.");
  }
  return {
    config,
    name: config.name,
    type: config.type,
    checkItem: () => [],
    async grade(sample, item, options) {
      const here = (): Uint8Array => Buffer.from(JSON.stringify({ sample, item }));
      const body = await work('body', sample, item, null, here, options);
      for (let tries = 1; ; tries++) {
        const outcome = await attempt(url, body, config, endpointAllow, options?.signal);
        if (!('again' in outcome)) return outcome;
        if (tries === TRIES || options?.signal?.aborted) throw outcome.again;
        await pause(RETRY_DELAY_MS * 2 ** (tries - 1), options?.signal);
      }
    },
  };
}

/** A grade, or why the request is worth sending again. @throws GraderRuntimeError where it is not */
async function attempt(
  url: URL,
  body: Uint8Array,
  { headers, timeout_ms: timeoutMs }: { readonly headers?: Record<string, string>; readonly timeout_ms: number },
  allow: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Grade | { again: GraderRuntimeError }> {
  let answer: Answer;
  try {
    answer = await postJson(url, body, { headers: headers ?? {}, timeoutMs, allow, signal });
  } catch (error) {
    if (error instanceof RefusedAddress) throw serverError(error.message, 'refused');
    if (!(error instanceof EndpointUnreachable)) throw error;
    const failure = serverError(`${url.origin} ${error.message}`, error.reason);
    if (error.reason === 'too_long') throw failure;
    return { again: failure };
  }
  const { status, text } = answer;
  if (status === 429 || status >= 500)
    return { again: serverError(`${url.origin} answered ${status}`, 'status', text) };
  if (status < 200 || status > 299) throw serverError(`${url.origin} answered ${status}`, 'status', text);
  return read(text);
}

const SHOWN = 500;

function serverError(message: string, reason: string, details?: string): GraderRuntimeError {
  return new GraderRuntimeError(`${message}.`, 'endpoint_grader_server_error', {
    reason,
    details: details?.slice(0, SHOWN) || undefined,
  });
}

function read(text: string): Grade {
  const wrong = (what: string): GraderRuntimeError =>
    new GraderRuntimeError(
      `The endpoint's answer ${what}. Answer with a number, or {"reward": number, "outcome": string}.`,
      'endpoint_grader_parse_error',
      { details: text.slice(0, SHOWN) },
    );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw wrong('is not JSON');
  }
  if (typeof value === 'number') return { reward: value };
  if (typeof value !== 'object' || value === null) throw wrong('is neither a number nor an object');
  const { reward, outcome } = value as { reward?: unknown; outcome?: unknown };
  if (typeof reward !== 'number' || !Number.isFinite(reward)) throw wrong("has no 'reward' that is a number");
  if (outcome === undefined || outcome === null) return { reward };
  if (typeof outcome !== 'string') throw wrong("has an 'outcome' that is no string");
  return { reward, outcome };
}

/** Of the connection, which is ours to make. */
const OURS = new Set(['host', 'content-length', 'transfer-encoding', 'connection', 'upgrade', 'expect']);

function headersOf(definition: Definition): Record<string, string> {
  const value = definition.value('headers');
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return definition.refuse('headers', "'headers' must be an object of strings.");
  }
  const headers: Record<string, string> = {};
  for (const [name, text] of Object.entries(value)) {
    const valid =
      /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) && typeof text === 'string' && /^[\t\x20-\x7e]*$/.test(text);
    if (!valid) definition.refuse('headers', `'headers' has '${name}', which is no header with a plain text.`);
    if (OURS.has(name.toLowerCase())) definition.refuse('headers', `'headers' must not set '${name}'.`);
    headers[name] = text as string;
  }
  return headers;
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
