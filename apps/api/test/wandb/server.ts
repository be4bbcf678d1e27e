import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** A run as the server has it. */
export interface StoredRun {
  readonly displayName: string;
  readonly tags: string[];
  /** Values, out of the `{value}` that each is sent in. */
  readonly config: Record<string, unknown>;
  /** Lines of its history. */
  readonly lines: Record<string, unknown>[];
  /** How often each line was sent. */
  readonly sent: number[];
  summary: Record<string, unknown> | null;
  /** undefined: it has not ended. */
  exitCode: number | undefined;
}

export interface Received {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: {
    readonly query?: string;
    readonly variables?: Record<string, unknown>;
    readonly files?: Record<string, { offset: number; content: string[] }>;
    readonly complete?: boolean;
    readonly exitcode?: number;
  };
}

/**
 * What becomes of a request: a status in place of an answer, GraphQL's refusal, a connection that breaks before or after it took
 * effect, or silence.
 */
export type Mishap = number | 'no such entity' | 'cut' | 'cut after' | 'silence';

export interface WandbServer {
  readonly url: string;
  readonly received: Received[];
  /** What becomes of the requests to come; those beyond go well. */
  readonly mishaps: Mishap[];
  /** By `entity/project/id`. */
  readonly runs: Map<string, StoredRun>;
  /** What it would do that the real one may not: lines beyond the end of a history, other words in a line that it has. */
  readonly wrong: string[];
  /** Stops listening. */
  stop(): Promise<void>;
  /** Listens again, where it did, with what it knew. */
  start(): Promise<void>;
}

/**
 * NOT Weights & Biases: a server that takes what `fixtures/wandb` says their package sends, and keeps it. It is the other end of
 * a connection that a test must not make.
 */
export async function startWandbServer(key: string, defaultEntity = 'own-team'): Promise<WandbServer> {
  const received: Received[] = [];
  const mishaps: Mishap[] = [];
  const runs = new Map<string, StoredRun>();
  const wrong: string[] = [];
  const authorization = `Basic ${Buffer.from(`api:${key}`).toString('base64')}`;

  const upsert = ({ variables = {} }: Received['body']): object => {
    const { name, project, displayName, config } = variables as Record<string, string>;
    const entity = variables.entity ?? defaultEntity;
    const at = `${entity}/${project}/${name}`;
    const values = Object.entries(JSON.parse(config!) as Record<string, { value: unknown }>);
    const known = runs.get(at) ?? { lines: [], sent: [], summary: null, exitCode: undefined };
    runs.set(at, {
      ...known,
      displayName: displayName!,
      tags: variables.tags as string[],
      config: Object.fromEntries(values.map(([field, { value }]) => [field, value])),
    });
    const bucket = { name, project: { name: project, entity: { name: entity } } };
    return { data: { upsertBucket: { bucket } } };
  };

  const stream = (run: StoredRun, { files = {}, complete, exitcode }: Received['body']): void => {
    const history = files['wandb-history.jsonl'];
    if (history && history.offset > run.lines.length) wrong.push(`line ${history.offset} after ${run.lines.length}`);
    for (const [i, content] of (history?.content ?? []).entries()) {
      const at = history!.offset + i;
      if (at < run.lines.length && JSON.stringify(run.lines[at]) !== content) wrong.push(`line ${at} changed`);
      run.lines[at] = JSON.parse(content) as Record<string, unknown>;
      run.sent[at] = (run.sent[at] ?? 0) + 1;
    }
    const summary = files['wandb-summary.json'];
    if (summary) run.summary = JSON.parse(summary.content[0]!) as Record<string, unknown>;
    if (complete) run.exitCode = exitcode;
  };

  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = request.url ?? '';
    const body = JSON.parse(await text(request)) as Received['body'];
    received.push({ path, headers: request.headers, body });
    const answer = (status: number, value: object = {}): void => {
      // Where a redirect would lead is somebody else's.
      response.writeHead(status, { 'content-type': 'application/json', location: '/elsewhere' });
      response.end(JSON.stringify(value));
    };
    const mishap = mishaps.shift();
    if (mishap === 'silence') return;
    if (mishap === 'cut') return void request.socket.destroy();
    if (mishap === 'no such entity') {
      return answer(200, { data: null, errors: [{ message: `entity ${body.variables?.entity} not found` }] });
    }
    if (typeof mishap === 'number') return answer(mishap, { error: `told to answer ${mishap}` });
    const { authorization: shown = '' } = request.headers;
    if (shown !== authorization) {
      const credentials = Buffer.from(shown.replace('Basic ', ''), 'base64').toString();
      return answer(401, { error: `nobody is '${credentials}'` });
    }
    let said: object = {};
    if (path === '/graphql') said = upsert(body);
    else {
      const [, , entity, project, id] = path.split('/').map(decodeURIComponent);
      const run = runs.get(`${entity}/${project}/${id}`);
      if (!run || path.split('/')[5] !== 'file_stream') return answer(404, { error: 'run not found' });
      stream(run, body);
    }
    if (mishap === 'cut after') return void request.socket.destroy();
    answer(200, said);
  };

  const server = createServer((request, response) => void respond(request, response));
  let port = 0;
  const start = async (): Promise<void> => {
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    ({ port } = server.address() as AddressInfo);
  };
  await start();
  return {
    url: `http://127.0.0.1:${port}`,
    received,
    mishaps,
    runs,
    wrong,
    start,
    stop: async () => {
      if (!server.listening) return;
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
