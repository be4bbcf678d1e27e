import { lookup as resolveName } from 'node:dns';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { mayReach } from './addresses.js';

/** Bytes of the longest answer: a number or two, with room for what servers add; so much JSON is read within a few milliseconds. */
const ANSWER_LIMIT_BYTES = 128 * 1024;

export interface PostOptions {
  readonly headers: Readonly<Record<string, string>>;
  /** milliseconds from the first step to the last byte */
  readonly timeoutMs: number;
  /** private hosts and networks that may be reached */
  readonly allow: readonly string[];
  readonly signal?: AbortSignal | undefined;
  /** @defaultValue the system's own; others are for tests */
  readonly resolve?: LookupFunction;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** The address is one that no definition of a user may lead to. */
export class RefusedAddress extends Error {
  override name = 'RefusedAddress';
}

/** No answer came, or none that can be read. The message follows the server's name. */
export class EndpointUnreachable extends Error {
  override name = 'EndpointUnreachable';
  constructor(
    message: string,
    readonly reason: 'timeout' | 'unreachable' | 'too_long' | 'aborted',
  ) {
    super(message);
  }
}

/**
 * Sends JSON and reads the answer. Redirects are not followed. The address that is checked is the one that is connected to:
 * a name that resolves otherwise a moment later changes nothing.
 *
 * @throws RefusedAddress, EndpointUnreachable
 */
export function postJson(url: URL, body: string | Uint8Array, options: PostOptions): Promise<Answer> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const { allow, timeoutMs, signal } = options;
  if (isIP(host) !== 0 && !mayReach(host, host, allow)) return Promise.reject(refused(host, host));
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? https : http).request(url, {
      method: 'POST',
      headers: {
        accept: 'application/json',
        ...options.headers,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      },
      lookup: checkedLookup(host, allow, options.resolve ?? (resolveName as LookupFunction)),
      // A connection of its own each time: an old one was checked for another name, perhaps.
      agent: false,
    });
    const fail = (error: Error): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      request.destroy();
      reject(error);
    };
    const timer = setTimeout(
      () => fail(new EndpointUnreachable(`did not answer within ${timeoutMs / 1000} seconds`, 'timeout')),
      timeoutMs,
    );
    const abort = (): void => fail(new EndpointUnreachable('was not waited for', 'aborted'));
    if (signal?.aborted) return abort();
    signal?.addEventListener('abort', abort);
    request.once('error', (error: NodeJS.ErrnoException) => {
      const own = error instanceof RefusedAddress;
      fail(own ? error : new EndpointUnreachable(`cannot be reached: ${error.code ?? error.message}`, 'unreachable'));
    });
    request.once('response', (response) => {
      readText(response).then(
        (text) => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', abort);
          resolve({ status: response.statusCode ?? 0, text });
        },
        (error: Error) =>
          fail(
            error instanceof EndpointUnreachable
              ? error
              : new EndpointUnreachable('broke off in the middle of its answer', 'unreachable'),
          ),
      );
    });
    request.end(body);
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > ANSWER_LIMIT_BYTES) {
      throw new EndpointUnreachable(`sent more than ${ANSWER_LIMIT_BYTES} bytes`, 'too_long');
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function checkedLookup(host: string, allow: readonly string[], resolve: LookupFunction): LookupFunction {
  return (name, options, done) => {
    resolve(name, { ...options, all: true }, (error, found) => {
      if (error) return done(error, []);
      const addresses = typeof found === 'string' ? [{ address: found, family: isIP(found) }] : found;
      const wrong = addresses.find(({ address }) => !mayReach(host, address, allow));
      if (wrong !== undefined) return done(refused(host, wrong.address), []);
      const [first] = addresses;
      if (options.all === true || first === undefined) return done(null, addresses);
      return done(null, first.address, first.family);
    });
  };
}

function refused(host: string, address: string): RefusedAddress {
  const what = host === address ? host : `${host} stands for ${address}, which`;
  return new RefusedAddress(
    `${what} is an address that graders must not reach. An operator may allow it in POLYMODE_ENDPOINT_ALLOW`,
  );
}
