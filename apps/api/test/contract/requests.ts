import fc, { type Arbitrary } from 'fast-check';
import type { RawRequest } from './client.js';
import type { ApiDocument, Operation } from './document.js';
import { fromSchema, hostileJson, hostileText, type Known, mutated } from './values.js';
import type { Example, Form } from './world.js';

interface Payload {
  readonly body: Uint8Array | null;
  readonly headers: Record<string, string>;
}

const BOUNDARY = 'polymode-contract-test';
const JSON_TYPE = { 'content-type': 'application/json' };

/** A request for an operation that the server answers with 2xx. */
export function exampleRequest(operation: Operation, { params = {}, query = '', body, form }: Example): RawRequest {
  const path = pathOf(operation, (name) => encodeURIComponent(params[name] ?? ''));
  const payload = form ? multipart(form) : body === undefined ? none : json(body);
  return { method: operation.method, path: withQuery(path, query), ...payload };
}

/** Requests for an operation: some as the document says, most off in one or another way. */
export function requests(
  document: ApiDocument,
  operation: Operation,
  ids: Record<string, readonly string[]>,
  example: Example,
): Arbitrary<RawRequest> {
  const known: Known = (name) => ids[name] ?? [];
  const params = operation.parameters.filter((one) => one.in === 'path');
  return fc
    .record({
      params: fc.tuple(...params.map(({ name }) => segment(ids[name] ?? []))),
      query: queryString(document, operation, known),
      payload: payloads(document, operation, known, example),
      headers: oddHeaders,
      method: fc.oneof(
        { arbitrary: fc.constant(operation.method), weight: 30 },
        fc.constantFrom('GET', 'POST', 'DELETE', 'PUT', 'PATCH', 'HEAD', 'OPTIONS'),
      ),
    })
    .map(({ params: values, query, payload, headers, method }) => {
      const path = pathOf(operation, (name) => values[params.findIndex((one) => one.name === name)] ?? '');
      return { method, path: withQuery(path, query), body: payload.body, headers: { ...payload.headers, ...headers } };
    });
}

function pathOf({ path }: Operation, value: (name: string) => string): string {
  return `/v1${path.replace(/\{(\w+)\}/g, (_, name: string) => value(name))}`;
}

function withQuery(path: string, query: string): string {
  return query === '' ? path : `${path}?${query}`;
}

/** One part of a path: a real id, or one that is close to it, or anything, encoded or as odd as HTTP still carries it. */
function segment(ids: readonly string[]): Arbitrary<string> {
  const real = ids.length > 0 ? fc.constantFrom(...ids) : fc.constant('nothing');
  const near = fc
    .tuple(real, hostileText, fc.nat(30))
    .map(([id, text, at]) => encodeText(id.slice(0, at) + text + id.slice(at)));
  const raw = fc.constantFrom(
    '..',
    '../..',
    '..%2f..%2fetc%2fpasswd',
    '%2e%2e/%2e%2e',
    '%00',
    '%',
    '%zz',
    '%c0%ae',
    '%ff',
    '%ed%a0%80',
    '.',
    '//',
    '/',
    ';a=b',
    '*',
    ':id',
    '{id}',
    "'",
    '\u00ff\u00fe',
    '#',
    'a%20b',
    '%E2%80%AE',
  );
  return fc.oneof(
    { arbitrary: real.map(encodeURIComponent), weight: 8 },
    { arbitrary: near, weight: 2 },
    { arbitrary: hostileText.map(encodeText), weight: 2 },
    { arbitrary: raw, weight: 2 },
  );
}

/** Like encodeURIComponent, which refuses halves of surrogate pairs: those become what UTF-8 would make of them. */
function encodeText(text: string): string {
  return [...text]
    .map((character) =>
      /\p{Surrogate}/u.test(character)
        ? `%ED%${(0x80 | ((character.charCodeAt(0) >> 6) & 0x3f)).toString(16)}%${(0x80 | (character.charCodeAt(0) & 0x3f)).toString(16)}`
        : encodeURIComponent(character),
    )
    .join('');
}

function queryString(document: ApiDocument, { parameters }: Operation, known: Known): Arbitrary<string> {
  const declared = parameters.filter((one) => one.in === 'query');
  const pairs = declared.map((parameter) => {
    const valid = fromSchema(document, parameter.schema, known, parameter.name);
    const value = fc.oneof({ arbitrary: valid, weight: 4 }, hostileText);
    return fc.option(
      value.map((one) => written(parameter.name, one)),
      { nil: '', freq: 2 },
    );
  });
  const weird = fc.constantFrom(
    'limit=1&limit=2',
    'limit[]=1',
    'limit[a][b][c]=1',
    'limit=9999999999999999999999',
    'limit=0',
    'limit=-1',
    'limit=1e2',
    'limit=%00',
    'after[]=x',
    'after[a]=x',
    'after=',
    'metadata[__proto__]=x',
    'metadata[constructor][prototype]=1',
    'metadata[a]=b&metadata[c]=%00',
    'metadata=%ed%a0%80',
    'metadata[]=x',
    '__proto__[x]=1',
    'hasOwnProperty=1',
    '&&&',
    '=',
    '==',
    '%',
    '%zz=1',
    'a[',
    'a[]]=1',
    '[]=1',
    'stream=yes',
    'order=up',
    'step=0x10',
    'every_nth_step=1000001',
    'format=xml',
    Array.from({ length: 300 }, (_, i) => `metadata[k${i}]=v`).join('&'),
    'x'.repeat(4000),
  );
  const described = fc.tuple(...pairs).map((all) => all.filter((one) => one !== '').join('&'));
  const unknown = fc.tuple(hostileText, hostileText).map(([name, value]) => `${encodeText(name)}=${encodeText(value)}`);
  return fc.oneof(
    { arbitrary: described, weight: 6 },
    { arbitrary: fc.constant(''), weight: 2 },
    { arbitrary: weird, weight: 2 },
    { arbitrary: unknown, weight: 1 },
  );
}

function written(name: string, value: unknown): string {
  if (Array.isArray(value)) return value.map((one) => written(name, one)).join('&');
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value)
      .map(([key, inner]) => `${name}[${encodeText(key)}]=${encodeText(String(inner))}`)
      .join('&');
  }
  return `${name}=${encodeText(String(value))}`;
}

const none: Payload = { body: null, headers: {} };

function json(value: unknown): Payload {
  return { body: Buffer.from(JSON.stringify(value) ?? ''), headers: JSON_TYPE };
}

function payloads(
  document: ApiDocument,
  { body, method }: Operation,
  known: Known,
  example: Example,
): Arbitrary<Payload> {
  if (!body) {
    // Clients send an empty JSON body, or none.
    const usual = fc.constantFrom<Payload>(none, { body: Buffer.alloc(0), headers: JSON_TYPE });
    return method === 'GET' ? fc.constant(none) : fc.oneof({ arbitrary: usual, weight: 5 }, oddBody);
  }
  const content = body.content['application/json'];
  if (!content) return formPayload(example.form ?? { fields: [], files: [] });
  return fc.oneof(
    { arbitrary: mutated(example.body).map(json), weight: 5 },
    { arbitrary: mutated(example.body).chain(mutated).map(json), weight: 2 },
    { arbitrary: fromSchema(document, content.schema, known).map(json), weight: 5 },
    { arbitrary: hostileJson.map(json), weight: 1 },
    { arbitrary: oddBody, weight: 2 },
  );
}

/** Bytes that are no JSON, under types that they may or may not be of. */
const oddBody: Arbitrary<Payload> = fc
  .tuple(
    fc.oneof(
      fc
        .constantFrom(
          '',
          '{',
          '{"model":',
          '{"a":1}}',
          "{'a':1}",
          '{"a":NaN}',
          '{"__proto__":{"a":1}}',
          '{"constructor":{"prototype":1}}',
          '{"a":1,"a":2}',
          '\ufeff{}',
          '[1,2',
          '"',
          '\0',
          '{"a":"\\ud800"}',
          '{"a":1e999}',
          `${'['.repeat(5000)}${']'.repeat(5000)}`,
          'model=x&training_file=y',
        )
        .map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    ),
    fc.constantFrom<Record<string, string>>(
      JSON_TYPE,
      JSON_TYPE,
      { 'content-type': 'application/json; charset=utf-16' },
      { 'content-type': 'application/json;;;' },
      { 'content-type': 'APPLICATION/JSON' },
      { 'content-type': 'application/vnd.api+json' },
      { 'content-type': 'text/plain' },
      { 'content-type': 'application/x-www-form-urlencoded' },
      { 'content-type': 'multipart/form-data' },
      { 'content-type': 'multipart/form-data; boundary=' },
      { 'content-type': 'multipart/form-data; boundary=x' },
      { 'content-type': 'application/octet-stream' },
      { 'content-type': '/' },
      { 'content-type': '' },
      { ...JSON_TYPE, 'content-encoding': 'gzip' },
      { ...JSON_TYPE, 'transfer-encoding': 'chunked' },
      {},
    ),
  )
  .map(([body, headers]) => ({ body, headers }));

function formPayload(form: Form): Arbitrary<Payload> {
  const field = fc.tuple(
    fc.oneof(
      fc.constantFrom('purpose', 'file', 'data', 'expires_after[seconds]', 'expires_after[anchor]', 'expires_after'),
      hostileText,
    ),
    fc.oneof(fc.constantFrom('fine-tune', 'batch', '3600', '0', 'created_at'), hostileText),
  );
  const file = fc.record({
    field: fc.oneof({ arbitrary: fc.constantFrom('file', 'data'), weight: 4 }, hostileText),
    filename: fc.oneof(fc.constantFrom('rows.jsonl', 'rows.txt', ''), hostileText),
    data: fc.oneof(
      fc
        .constantFrom('', '{}\n', '{"a":1}\n[]\n', '\ufeff{}\r\n\r\n', 'not json', '{"a":"\\ud800"}\n')
        .map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    ),
  });
  const made = fc
    .tuple(fc.array(field, { maxLength: 4 }), fc.array(file, { maxLength: 2 }), fc.boolean())
    .map(([fields, files, keep]) =>
      multipart(keep ? { fields: [...form.fields, ...fields], files: [...form.files, ...files] } : { fields, files }),
    );
  const whole = Buffer.from(multipart(form).body ?? '');
  const broken = fc.nat(whole.length).map((at) => ({ ...multipart(form), body: whole.subarray(0, at) }));
  return fc.oneof(
    { arbitrary: fc.constant(multipart(form)), weight: 2 },
    { arbitrary: made, weight: 6 },
    { arbitrary: broken, weight: 2 },
    { arbitrary: oddBody, weight: 2 },
  );
}

function multipart({ fields, files }: Form): Payload {
  const quoted = (text: string): string => text.replace(/["\r\n]/g, (one) => `%${one.charCodeAt(0).toString(16)}`);
  const pieces: Buffer[] = [];
  for (const [name, value] of fields) {
    pieces.push(
      Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="${quoted(name)}"\r\n\r\n${value}\r\n`),
    );
  }
  for (const { field, filename, data } of files) {
    const disposition = `form-data; name="${quoted(field)}"; filename="${quoted(filename)}"`;
    pieces.push(Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: ${disposition}\r\n\r\n`), Buffer.from(data));
    pieces.push(Buffer.from('\r\n'));
  }
  pieces.push(Buffer.from(`--${BOUNDARY}--\r\n`));
  return {
    body: Buffer.concat(pieces),
    headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
  };
}

/** Headers that requests mostly do not have. */
const oddHeaders: Arbitrary<Record<string, string>> = fc.oneof(
  { arbitrary: fc.constant({}), weight: 8 },
  fc.constantFrom<Record<string, string>>(
    { 'idempotency-key': 'again' },
    { 'idempotency-key': '' },
    { 'idempotency-key': 'a b' },
    { 'idempotency-key': 'x'.repeat(256) },
    { 'openai-project': 'proj_nothing' },
    { 'openai-project': '\u00e9\u00ff' },
    { 'openai-organization': 'another' },
    { range: 'bytes=0-3' },
    { range: 'bytes=-2' },
    { range: 'bytes=99999999999999999999-' },
    { range: 'bytes=5-2' },
    { range: 'lines=1' },
    { 'if-none-match': '*' },
    { 'if-range': '"x"', range: 'bytes=0-0' },
    { 'last-event-id': 'ftevent-nothing' },
    { 'last-event-id': '\u00ff' },
    { 'x-request-id': 'my-own' },
    { 'x-request-id': '"><script>' },
    { accept: 'application/xml' },
    { expect: 'something' },
    { authorization: 'Bearer pmk-wrong' },
    { authorization: 'Bearer' },
    { authorization: '\u00ff' },
    { 'x-http-method-override': 'DELETE' },
  ),
);
