import { postJson } from '@polymode/verifiers';
import type { WandbSettings } from './settings.js';

/** A run as the server knows it. */
export interface RunPath {
  readonly entity: string;
  readonly project: string;
  /** Unique in its project. */
  readonly id: string;
}

export interface NewRun {
  readonly id: string;
  readonly project: string;
  /** null: that of the key */
  readonly entity: string | null;
  readonly displayName: string;
  readonly tags: readonly string[];
  readonly config: Readonly<Record<string, unknown>>;
}

/** What a run is told; nothing of it: that it is alive. */
export interface RunNews {
  /** Lines of JSON of its history, of which the first is line `offset`. */
  readonly history?: { readonly offset: number; readonly lines: readonly string[] };
  /** The figures that a run ends with, as of now. */
  readonly summary?: object;
  /** How it ended; 0 is well. */
  readonly exitCode?: number;
}

/** The server answered, and not with what it was asked for. The message follows its name. */
export class WandbRefusal extends Error {
  override name = 'WandbRefusal';
  constructor(
    message: string,
    /** `refused`: until somebody changes something; `hopeless`: for good; `later`: for now. */
    readonly reason: 'refused' | 'hopeless' | 'later',
  ) {
    super(message);
  }
}

/** Answers after which the same request has no better chance. */
const HOPELESS = new Set([400, 404, 410, 413, 422, 501]);

const UPSERT = `mutation UpsertBucket(
  $name: String, $project: String, $entity: String, $displayName: String, $config: JSONString, $tags: [String!], $jobType: String
) {
  upsertBucket(input: {
    name: $name, modelName: $project, entityName: $entity, displayName: $displayName, config: $config, tags: $tags, jobType: $jobType
  }) {
    bucket { name project { name entity { name } } }
  }
}`;

interface UpsertAnswer {
  readonly data?: {
    readonly upsertBucket?: {
      readonly bucket?: { readonly project?: { readonly name?: string; readonly entity?: { readonly name?: string } } };
    } | null;
  } | null;
  readonly errors?: readonly { readonly message?: string }[];
}

/** What a Weights & Biases server is asked over HTTP. Both requests may be repeated: the second time changes nothing. */
export class WandbClient {
  readonly #settings: WandbSettings;
  readonly #timeoutMs: number;

  /** @param timeoutMs of each request */
  constructor(settings: WandbSettings, timeoutMs: number) {
    this.#settings = settings;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Makes a run, or finds the one of its id.
   *
   * @throws WandbRefusal, EndpointUnreachable
   */
  async upsertRun({ config, ...run }: NewRun): Promise<RunPath> {
    const { id: name, ...rest } = run;
    const values = Object.fromEntries(Object.entries(config).map(([key, value]) => [key, { value }]));
    const variables = { ...rest, name, jobType: 'fine-tuning', config: JSON.stringify(values) };
    const text = await this.#post('/graphql', { query: UPSERT, variables });
    const { data, errors } = parsed<UpsertAnswer>(text);
    const project = data?.upsertBucket?.bucket?.project;
    if (project?.name && project.entity?.name) {
      return { entity: project.entity.name, project: project.name, id: name };
    }
    const [error] = errors ?? [];
    if (error?.message) throw this.#refusal(`answered: ${error.message}`, 'refused');
    throw new WandbRefusal('did not say which run it made', 'later');
  }

  /**
   * Lines overwrite those that a run has at their places.
   *
   * @throws WandbRefusal, EndpointUnreachable
   */
  async tell({ entity, project, id }: RunPath, { history, summary, exitCode }: RunNews): Promise<void> {
    const files = {
      ...(history && { 'wandb-history.jsonl': { offset: history.offset, content: history.lines } }),
      ...(summary && { 'wandb-summary.json': { offset: 0, content: [JSON.stringify(summary)] } }),
    };
    await this.#post(`/files/${[entity, project, id].map(encodeURIComponent).join('/')}/file_stream`, {
      ...(Object.keys(files).length > 0 && { files }),
      ...(exitCode !== undefined && { complete: true, exitcode: exitCode }),
    });
  }

  async #post(path: string, body: object): Promise<string> {
    const { baseUrl, apiKey } = this.#settings;
    const url = new URL(baseUrl + path);
    const { status, text } = await postJson(url, JSON.stringify(body), {
      headers: {
        'user-agent': 'Polymode/1',
        authorization: `Basic ${Buffer.from(`api:${apiKey}`).toString('base64')}`,
      },
      timeoutMs: this.#timeoutMs,
      // The operator named it, so it may be a private one.
      allow: [url.hostname.replace(/^\[|\]$/g, '')],
    });
    if (status >= 200 && status < 300) return text;
    const said = reasonIn(text);
    throw this.#refusal(
      `answered ${status}${said === null ? '' : `: ${said}`}`,
      status === 401 || status === 403 ? 'refused' : HOPELESS.has(status) ? 'hopeless' : 'later',
    );
  }

  /** What a server says may hold what it was sent. */
  #refusal(message: string, reason: WandbRefusal['reason']): WandbRefusal {
    return new WandbRefusal(message.replaceAll(this.#settings.apiKey, '[redacted]').slice(0, 300), reason);
  }
}

/** What an answer says of itself; whole pages, which are a proxy's, say nothing. */
function reasonIn(text: string): string | null {
  try {
    const { error, errors, message } = JSON.parse(text) as { error?: unknown; errors?: unknown; message?: unknown };
    const [first] = Array.isArray(errors) ? (errors as unknown[]) : [];
    const said = error ?? (first as { message?: unknown } | undefined)?.message ?? message;
    return typeof said === 'string' ? said : null;
  } catch {
    return /^\s*($|<)/.test(text) ? null : text.trim();
  }
}

function parsed<T extends object>(text: string): Partial<T> {
  try {
    return (JSON.parse(text) as T | null) ?? {};
  } catch {
    throw new WandbRefusal('answered with what is no JSON', 'later');
  }
}
