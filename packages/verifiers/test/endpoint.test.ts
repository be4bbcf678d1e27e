import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, LookupFunction } from 'node:net';
import { compileGrader, GraderRuntimeError, sampleOf } from '@polymode/verifiers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mayReach } from '../dist/endpoint/addresses.js';
import { postJson } from '../dist/endpoint/post.js';

let handle: (request: IncomingMessage, response: ServerResponse, body: string) => void;
let requests: { url: string; headers: IncomingMessage['headers']; body: string }[] = [];
const server = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => {
    body += chunk;
  });
  request.on('end', () => {
    requests.push({ url: request.url!, headers: request.headers, body });
    handle(request, response, body);
  });
});
let port: number;
beforeAll(async () => {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const ALLOW = ['127.0.0.1'];
const endpoint = (more: object = {}, allow: readonly string[] = ALLOW) =>
  compileGrader(
    { type: 'endpoint', name: 'ours', url: `http://127.0.0.1:${port}/grade`, ...more },
    { endpointAllow: allow },
  );
const grade = (more: object = {}, allow: readonly string[] = ALLOW) =>
  endpoint(more, allow).grade(sampleOf('four', 'stop'), { answer: 4 });
const answering = (text: string, status = 200): typeof handle => {
  requests = [];
  return (_, response) => response.writeHead(status).end(text);
};

describe('an endpoint', () => {
  it('is sent sample and item with its headers, and answers with a number or a reward and an outcome', async () => {
    handle = answering('0.25');
    expect(await grade({ headers: { Authorization: 'Bearer t', 'X-Run': '7' } })).toEqual({ reward: 0.25 });
    expect(requests).toHaveLength(1);
    const [{ url, headers, body }] = requests as [(typeof requests)[number]];
    expect(url).toBe('/grade');
    expect(headers).toMatchObject({ authorization: 'Bearer t', 'x-run': '7', 'content-type': 'application/json' });
    expect(JSON.parse(body)).toMatchObject({ sample: { output_text: 'four' }, item: { answer: 4 } });
    handle = answering('{"reward": 1, "outcome": "k"}');
    expect(await grade()).toEqual({ reward: 1, outcome: 'k' });
    handle = answering('{"reward": 1, "outcome": null}');
    expect(await grade()).toEqual({ reward: 1 });
  });

  it('is asked again when it is too busy or fails, and grades when it has come back', async () => {
    requests = [];
    handle = (_, response) => {
      if (requests.length === 1) response.destroy();
      else response.writeHead(requests.length === 2 ? 503 : 200).end('0.5');
    };
    expect(await grade()).toEqual({ reward: 0.5 });
    expect(requests).toHaveLength(3);
  });

  it('that stays down is an error, after so many tries', async () => {
    handle = answering('try later', 503);
    await expect(grade()).rejects.toMatchObject({
      kind: 'endpoint_grader_server_error',
      reason: 'status',
      message: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+ answered 503\.$/),
      details: 'try later',
    });
    expect(requests).toHaveLength(4);
  });

  it('that refuses is an error at once', async () => {
    handle = answering('no', 403);
    await expect(grade()).rejects.toMatchObject({
      kind: 'endpoint_grader_server_error',
      message: expect.stringContaining('answered 403'),
    });
    expect(requests).toHaveLength(1);
  });

  it('that is slow is an error when its time is up', async () => {
    handle = answering('');
    handle = () => {};
    await expect(grade({ timeout_ms: 50 })).rejects.toMatchObject({
      reason: 'timeout',
      message: expect.stringContaining('within 0.05 seconds'),
    });
  });

  it('that drips its answer has no longer than one that is silent', async () => {
    handle = (_, response) => {
      const timer = setInterval(() => response.write(' '), 10);
      response.on('close', () => clearInterval(timer));
    };
    await expect(grade({ timeout_ms: 80 })).rejects.toMatchObject({ reason: 'timeout' });
  });

  it('that never stops sending is cut off, and not asked again', async () => {
    requests = [];
    handle = (_, response) => {
      const block = Buffer.alloc(64 * 1024, 'x');
      const more = (): void => {
        while (!response.destroyed && response.write(block));
        response.once('drain', more);
      };
      more();
    };
    await expect(grade()).rejects.toMatchObject({
      reason: 'too_long',
      message: expect.stringContaining('more than 131072 bytes'),
    });
    expect(requests).toHaveLength(1);
  });

  it.each([
    ['hello', 'is not JSON'],
    ['', 'is not JSON'],
    ['"1"', 'is neither a number nor an object'],
    ['null', 'is neither a number nor an object'],
    ['[1]', "has no 'reward'"],
    ['{"score": 1}', "has no 'reward'"],
    ['{"reward": "1"}', "has no 'reward'"],
    ['{"reward": 1e999}', "has no 'reward'"],
    ['{"reward": 1, "outcome": 3}', "has an 'outcome' that is no string"],
  ])('that answers %j has not graded', async (text, says) => {
    handle = answering(text);
    await expect(grade()).rejects.toMatchObject({ kind: 'endpoint_grader_parse_error' });
    await expect(grade()).rejects.toThrow(says);
  });

  it('is given up when nobody waits for the grade', async () => {
    handle = () => {};
    const given = new AbortController();
    const graded = endpoint().grade(sampleOf('four', 'stop'), {}, { signal: given.signal });
    setTimeout(() => given.abort(), 30);
    await expect(graded).rejects.toThrow(GraderRuntimeError);
  });
});

describe('an endpoint’s address', () => {
  it('may not be private, however it is written', async () => {
    handle = answering('1');
    for (const host of ['127.0.0.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', '2130706433', '0x7f.1', '0.0.0.0']) {
      await expect(grade({ url: `http://${host}:${port}/` }, []), host).rejects.toMatchObject({
        kind: 'endpoint_grader_server_error',
        reason: 'refused',
        message: expect.stringContaining('POLYMODE_ENDPOINT_ALLOW'),
      });
    }
    expect(requests).toHaveLength(0);
    await expect(grade({ url: 'http://169.254.169.254/latest/meta-data' }, [])).rejects.toMatchObject({
      reason: 'refused',
    });
  });

  it('may be private where the operator says so: by name, by address, by network', async () => {
    handle = answering('1');
    expect(await grade({ url: `http://localhost:${port}/` }, ['localhost'])).toEqual({ reward: 1 });
    expect(await grade({}, ['127.0.0.0/8'])).toEqual({ reward: 1 });
    await expect(grade({}, ['10.0.0.0/8', 'localhost'])).rejects.toMatchObject({ reason: 'refused' });
  });

  it('is checked where it is connected to: of a name that has a private address nothing is asked', async () => {
    handle = answering('1');
    const resolve = ((_name, _options, done) => {
      done(null, [
        { address: '93.184.216.34', family: 4 },
        { address: '127.0.0.1', family: 4 },
      ]);
    }) as LookupFunction;
    const url = new URL(`http://rebinding.example:${port}/`);
    const asked = postJson(url, '{}', { headers: {}, timeoutMs: 1000, allow: [], resolve });
    await expect(asked).rejects.toThrow(/rebinding\.example stands for 127\.0\.0\.1/);
    expect(requests).toHaveLength(0);
  });

  it('is the one that was asked for: redirects are not followed', async () => {
    requests = [];
    handle = (_, response) => response.writeHead(302, { location: 'http://169.254.169.254/' }).end();
    await expect(grade()).rejects.toMatchObject({ message: expect.stringContaining('answered 302') });
    expect(requests).toHaveLength(1);
  });

  it.each([
    ['8.8.8.8', true],
    ['2606:4700::1111', true],
    ['10.1.2.3', false],
    ['172.31.255.255', false],
    ['172.32.0.1', true],
    ['100.64.0.1', false],
    ['192.168.1.1', false],
    ['169.254.169.254', false],
    ['224.0.0.1', false],
    ['255.255.255.255', false],
    ['0.1.2.3', false],
    ['::', false],
    ['::1', false],
    ['fe80::1', false],
    ['fd00::1', false],
    ['ff02::1', false],
    ['::ffff:10.0.0.1', false],
    ['::ffff:a00:1', false],
    ['64:ff9b::a00:1', false],
    ['2002:a00:1::', false],
    ['no address', false],
  ])('%s may be reached: %s', (address, may) => {
    expect(mayReach('host.example', address, [])).toBe(may);
  });
});

describe('a definition of an endpoint', () => {
  it.each([
    [{ url: 'ftp://host/' }, 'grader.url', 'http or https'],
    [{ url: 'host/path' }, 'grader.url', 'http or https'],
    [{ url: 'http://user:pass@host/' }, 'grader.url', "Put them into 'headers'"],
    [{ headers: ['a'] }, 'grader.headers', 'object of strings'],
    [{ headers: { 'a b': 'c' } }, 'grader.headers', "'a b'"],
    [{ headers: { a: 'x\r\ny: z' } }, 'grader.headers', "'a'"],
    [{ headers: { Host: 'other' } }, 'grader.headers', "must not set 'Host'"],
    [{ timeout_ms: 0 }, 'grader.timeout_ms', 'at least 1'],
    [{ timeout_ms: 120_001 }, 'grader.timeout_ms', 'at most 120000'],
    [{ method: 'GET' }, 'grader.method', 'Unknown field'],
  ])('is refused for %j', (more, param, says) => {
    expect(() => endpoint(more)).toThrow(expect.objectContaining({ param, message: expect.stringContaining(says) }));
  });
});
