import { setTimeout as sleep } from 'node:timers/promises';
import { GraderRuntimeError, type TokenUsage } from '../grader.js';
import type { JudgeSettings } from '../services.js';

/** What a judge is asked. */
export interface JudgeRequest {
  readonly model: string;
  /** as JSON, in UTF-8 */
  readonly messages: Uint8Array;
  /** JSON schema that the reply is to follow */
  readonly schema: object;
  /** fields of the request beside these */
  readonly sampling: Readonly<Record<string, unknown>>;
}

export interface JudgeReply {
  readonly text: string;
  readonly usage: TokenUsage;
}

const TIMEOUT_MS = 60_000;
const CONCURRENCY = 16;

/** Requests in all, when servers are busy or not there. */
const ATTEMPTS = 5;
const FIRST_DELAY_MS = 500;
/** A server that asks for more patience than this is not asked again. */
const LONGEST_DELAY_MS = 30_000;

/** Bytes of an answer that are read: far more than a judgement takes, reasons included. */
const LONGEST_ANSWER_BYTES = 512 * 1024;

/** Characters of a server's answer that errors quote. */
const QUOTED = 500;

/** Refusals of a request that may be due to its `response_format`: servers put it in different ways. */
const BAD_REQUEST: readonly (number | string)[] = [400, 415, 422, 501];

/** Talks to an OpenAI-compatible server of chat completions. */
export class JudgeClient {
  private underWay = 0;
  private readonly waiting: (() => void)[] = [];
  /** models whose server does not know schemas */
  private readonly plain = new Set<string>();

  constructor(private readonly settings: JudgeSettings) {}

  /**
   * Asks with the schema where the server knows such, else without.
   *
   * @throws GraderRuntimeError `model_grader_server_error` when there is no answer after all attempts, or one that sending
   * again does not mend; `model_grader_refusal_error` when the model refuses
   */
  async ask(request: JudgeRequest, signal?: AbortSignal): Promise<JudgeReply> {
    await this.enter();
    try {
      return await this.askInTurn(request, signal);
    } finally {
      this.underWay--;
      this.waiting.shift()?.();
    }
  }

  private async enter(): Promise<void> {
    while (this.underWay >= (this.settings.concurrency ?? CONCURRENCY)) {
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
    this.underWay++;
  }

  private async askInTurn(request: JudgeRequest, signal?: AbortSignal): Promise<JudgeReply> {
    const { model, messages, schema, sampling } = request;
    const fields = { model: this.settings.models?.[model] ?? model, ...sampling };
    if (!this.plain.has(model)) {
      const format = { type: 'json_schema', json_schema: { name: 'judgement', strict: true, schema } };
      const answer = await this.send(bodyOf({ ...fields, response_format: format }, messages), signal);
      if (!BAD_REQUEST.includes(answer.status)) return readAnswer(answer);
      const second = await this.send(bodyOf(fields, messages), signal);
      // What the server refuses with and without a schema is not refused for the schema.
      if (second.status === 200) this.plain.add(model);
      return readAnswer(second);
    }
    return readAnswer(await this.send(bodyOf(fields, messages), signal));
  }

  /** Sends until there is an answer that sending again will not better. */
  private async send(body: Uint8Array<ArrayBuffer>, signal?: AbortSignal): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.sendOnce(body, signal);
      if (!isPassing(answer.status) || attempt === ATTEMPTS) return answer;
      const backoff = (this.settings.retryDelayMs ?? FIRST_DELAY_MS) * 2 ** (attempt - 1) * (0.75 + Math.random() / 2);
      const delay = answer.retryAfterMs ?? backoff;
      if (delay > LONGEST_DELAY_MS) return answer;
      await sleep(delay, undefined, { signal }).catch(() => {
        throw gaveUp();
      });
    }
  }

  private async sendOnce(body: Uint8Array<ArrayBuffer>, signal?: AbortSignal): Promise<Answer> {
    const { baseUrl, apiKey, project, timeoutMs = TIMEOUT_MS } = this.settings;
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const response = await fetch(`${baseUrl.replace(/\/+$/, '')}/chat/completions`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(apiKey && { authorization: `Bearer ${apiKey}` }),
          ...(project && { 'openai-project': project }),
        },
        body,
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      });
      return {
        status: response.status,
        text: await readText(response),
        retryAfterMs: retryAfter(response.headers),
      };
    } catch (error) {
      if (signal?.aborted) throw gaveUp();
      if (timeout.aborted) return { status: 'timeout', text: `no answer within ${timeoutMs / 1000} seconds` };
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      return { status: 'unreachable', text: cause instanceof Error ? cause.message : String(cause) };
    }
  }
}

/** The messages, which may be long, are in JSON already. */
function bodyOf(fields: object, messages: Uint8Array): Uint8Array<ArrayBuffer> {
  const rest = JSON.stringify(fields).slice(1);
  return Buffer.concat([Buffer.from('{"messages":'), messages, Buffer.from(`,${rest}`)]);
}

/** The answer's text, cut where it grows longer than judgements are. */
async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    length += chunk.length;
    // The connection is closed, and what has come is no whole JSON.
    if (length > LONGEST_ANSWER_BYTES) break;
  }
  return Buffer.concat(chunks).toString('utf8');
}

interface Answer {
  /** of HTTP, or why there is none */
  readonly status: number | 'timeout' | 'unreachable';
  readonly text: string;
  readonly retryAfterMs?: number | undefined;
}

function isPassing(status: Answer['status']): boolean {
  return typeof status === 'string' || status === 408 || status === 409 || status === 429 || status >= 500;
}

/** `retry-after` is in seconds or a date. */
function retryAfter(headers: Headers): number | undefined {
  const milliseconds = Number(headers.get('retry-after-ms') ?? Number.NaN);
  if (milliseconds >= 0) return milliseconds;
  const after = headers.get('retry-after');
  if (after === null) return undefined;
  const seconds = Number(after);
  const delay = Number.isNaN(seconds) ? Date.parse(after) - Date.now() : seconds * 1000;
  return Number.isNaN(delay) ? undefined : Math.max(0, delay);
}

/** @throws GraderRuntimeError */
function readAnswer({ status, text }: Answer): JudgeReply {
  if (status !== 200) {
    const how = typeof status === 'number' ? `answered with status ${status}` : `could not be reached (${status})`;
    throw new GraderRuntimeError(`The judge ${how}: ${text.slice(0, QUOTED)}`, 'model_grader_server_error', {
      details: text.slice(0, QUOTED),
      reason: typeof status === 'number' ? `http_${status}` : status,
    });
  }
  const { choices, usage } = parseCompletion(text);
  const choice = choices?.[0];
  const message = choice?.message;
  if (typeof message?.refusal === 'string' && message.refusal !== '') {
    throw new GraderRuntimeError(`The judge refused: ${message.refusal}`, 'model_grader_refusal_error');
  }
  if (choice?.finish_reason === 'content_filter') {
    throw new GraderRuntimeError('The judge refused: its answer was filtered.', 'model_grader_refusal_error');
  }
  if (choice?.finish_reason === 'length') {
    throw new GraderRuntimeError(
      'The judge ran out of tokens before its judgement. Raise sampling_params.max_completions_tokens.',
      'model_grader_parse_error',
    );
  }
  if (typeof message?.content !== 'string') {
    throw new GraderRuntimeError('The judge answered no chat completion.', 'model_grader_server_error', {
      details: text.slice(0, QUOTED),
      reason: 'invalid_answer',
    });
  }
  const [prompt, completion] = [count(usage?.prompt_tokens), count(usage?.completion_tokens)];
  return {
    text: message.content,
    usage: {
      prompt_tokens: prompt,
      completion_tokens: completion,
      cached_tokens: count(usage?.prompt_tokens_details?.cached_tokens),
      total_tokens: count(usage?.total_tokens) || prompt + completion,
    },
  };
}

/** The parts of a chat completion that are read, any of which may be missing or something else. */
interface Completion {
  choices?: { finish_reason?: unknown; message?: { content?: unknown; refusal?: unknown } }[];
  usage?: {
    prompt_tokens?: unknown;
    completion_tokens?: unknown;
    total_tokens?: unknown;
    prompt_tokens_details?: { cached_tokens?: unknown } | null;
  } | null;
}

function parseCompletion(text: string): Completion {
  try {
    return (JSON.parse(text) as Completion | null) ?? {};
  } catch {
    return {};
  }
}

function count(value: unknown): number {
  return typeof value === 'number' && value >= 0 ? value : 0;
}

function gaveUp(): GraderRuntimeError {
  return new GraderRuntimeError('The judge was given up before it answered.', 'model_grader_server_error', {
    reason: 'timeout',
  });
}
