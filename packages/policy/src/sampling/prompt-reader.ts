import { type Feed, int32, STREAMED_ROWS } from '@polymode/autodiff';
import { positionRows } from '../batch.js';
import type { Policy } from '../policy.js';
import { cacheFeeds, cacheFetches, cacheNames, pieceGraph, prefillGraph } from './graphs.js';
import { COLUMNS, counting, PREFILL_TOKENS, readLength } from './lengths.js';
import type { Row } from './row.js';
import type { SessionCache } from './sessions.js';

/** A prompt, and the rows that continue it. In a lane its cache is one row of the lane's prompt caches. */
export interface LanePrompt {
  readonly tokens: readonly number[];
  readonly rows: readonly Row[];
}

/** Prompts that one run has read, or read to their end. */
export interface ReadPrompts {
  readonly prompts: readonly LanePrompt[];
  /** variables of the engine: the caches [N, K, columns, D] */
  readonly cache: string;
  readonly columns: number;
  /** the variable with each prompt's next logits [M, V] */
  readonly logits: string;
}

export interface PromptReaderOptions {
  /** what its variables begin with */
  readonly name: string;
  /** tokens of a piece, a multiple of 64; null: prompts are read whole, however long */
  readonly pieceTokens: number | null;
  /** feeds of tables for positions below this */
  readonly rotaryFeeds: (reach: number) => Promise<Record<string, Feed>>;
}

/**
 * Reads prompts run by run: short ones several at a time, long ones piece after piece, so that others need not wait long. Pieces
 * end where they do in any company, so a prompt's numbers are its own.
 */
export class PromptReader {
  private waiting: LanePrompt[] = [];
  /** a long prompt, and how many of its tokens are read */
  private long: { readonly prompt: LanePrompt; read: number } | null = null;
  /** the last run read a piece: what is short goes between */
  private tookPiece = false;

  constructor(
    private readonly policy: Policy,
    private readonly sessions: SessionCache,
    private readonly options: PromptReaderOptions,
  ) {}

  /** Whether there is something to read. Prompts that no row waits for any more are not. */
  get reading(): boolean {
    this.waiting = this.waiting.filter(isRunning);
    return this.waiting.length > 0 || (this.long !== null && isRunning(this.long.prompt));
  }

  add(prompts: readonly LanePrompt[]): void {
    this.waiting.push(...prompts);
  }

  /** One run. @returns what it read to the end; null for nothing */
  async next(): Promise<ReadPrompts | null> {
    if (this.long !== null && !isRunning(this.long.prompt)) await this.forgetLong();
    if (!this.reading) return null;
    const short = this.waiting.find((p) => !this.isLong(p));
    if (this.long === null) {
      const first = this.waiting[0]!;
      if (this.isLong(first)) {
        this.waiting.shift();
        this.long = { prompt: first, read: 0 };
      }
    }
    if (this.long !== null && (short === undefined || !this.tookPiece)) return this.readPiece();
    return this.readWhole(readLength(short!.tokens.length));
  }

  /** Frees its variables and forgets what it has to read. */
  async close(): Promise<void> {
    this.waiting = [];
    await this.forgetLong();
  }

  private isLong({ tokens }: LanePrompt): boolean {
    return this.options.pieceTokens !== null && tokens.length > this.options.pieceTokens;
  }

  private async forgetLong(): Promise<void> {
    if (this.long === null) return;
    this.long = null;
    await this.policy.engine.drop(cacheNames(this.policy.config, `${this.options.name}.long`));
  }

  /** Prompts of one rounded length. */
  private async readWhole(length: number): Promise<ReadPrompts> {
    this.tookPiece = false;
    const { config, paddingToken } = this.policy;
    const { pieceTokens, name } = this.options;
    const most = Math.max(1, Math.floor((pieceTokens ?? PREFILL_TOKENS) / length));
    const prompts = this.waiting
      .filter((p) => !this.isLong(p) && readLength(p.tokens.length) === length)
      .slice(0, most);
    this.waiting = this.waiting.filter((p) => !prompts.includes(p));
    const session = await this.sessions.get(
      `prefill ${length}`,
      () => prefillGraph(config, this.policy.parameterInputs(), length),
      ['prompt.', 'logits'],
    );
    const tokens = new Int32Array(prompts.length * length).fill(paddingToken);
    for (const [n, prompt] of prompts.entries()) tokens.set(prompt.tokens, n * length);
    const last = new Int32Array(Math.ceil(prompts.length / STREAMED_ROWS) * STREAMED_ROWS);
    for (const [n, prompt] of prompts.entries()) last[n] = n * length + prompt.tokens.length - 1;
    const read = { prompts, cache: `${name}.fresh`, columns: length, logits: `${name}.logits` };
    await session.run(
      {
        ...this.policy.weightFeeds(),
        tokens: int32(tokens, [prompts.length, length]),
        positions: positionRows(prompts.length, length),
        last: int32(last, [last.length]),
      },
      { ...cacheFetches(config, 'prompt', read.cache), logits: { variable: read.logits } },
    );
    return read;
  }

  /** The next piece of the long prompt. */
  private async readPiece(): Promise<ReadPrompts | null> {
    this.tookPiece = true;
    const { config, paddingToken } = this.policy;
    const { name } = this.options;
    const pieceTokens = this.options.pieceTokens!;
    const { prompt, read } = this.long!;
    const left = prompt.tokens.length - read;
    const ends = left <= pieceTokens;
    const begins = read === 0;
    const length = ends ? Math.max(COLUMNS, readLength(left)) : pieceTokens;
    const own = prompt.tokens.slice(read, read + length);
    const rotary = begins ? {} : await this.options.rotaryFeeds(read + length);
    const session = await this.sessions.get(
      `piece ${length}${begins ? ' begins' : ''}${ends ? ' ends' : ''}`,
      () => pieceGraph(config, this.policy.parameterInputs(), length, { begins, ends }),
      ['read.', 'logits'],
    );
    const tokens = new Int32Array(length).fill(paddingToken);
    tokens.set(own);
    // Padding stands where the last token does: there may be no position after it.
    const positions = Int32Array.from({ length }, (_, i) => read + Math.min(i, own.length - 1));
    const cache = `${name}.long`;
    const logits = `${name}.logits`;
    await session.run(
      {
        ...this.policy.weightFeeds(),
        ...rotary,
        tokens: int32(tokens, [1, length]),
        positions: int32(positions, [1, length]),
        ...(begins ? {} : { ...cacheFeeds(config, 'before', cache), columns: counting(read + length) }),
        ...(ends ? { last: int32(new Int32Array(STREAMED_ROWS).fill(own.length - 1), [STREAMED_ROWS]) } : {}),
      },
      { ...cacheFetches(config, 'read', cache), ...(ends ? { logits: { variable: logits } } : {}) },
    );
    this.long = ends ? null : { prompt, read: read + length };
    return ends ? { prompts: [prompt], cache, columns: read + length, logits } : null;
  }
}

export function isRunning(prompt: LanePrompt): boolean {
  return prompt.rows.some((r) => r.finishReason === null);
}
