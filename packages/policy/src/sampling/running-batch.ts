import type { Policy } from '../policy.js';
import { uniforms } from '../random.js';
import { type CacheMemory, claimOf } from './cache-memory.js';
import { Lane } from './lane.js';
import { COLUMNS } from './lengths.js';
import { type Alternative, type Completion, checkOptions, type SamplingOptions } from './options.js';
import type { LanePrompt } from './prompt-reader.js';
import { Row } from './row.js';

/** Rows that a batch holds at most; more wait for their turn. */
export const MAX_ROWS = 256;
/** Tokens between two moments at which rows may join, leave and be heard of. */
export const SEGMENT_TOKENS = 16;
/** Tokens that a completion is given the benefit of: where memory does for fewer, it had better wait than begin twice. */
const HOPED_TOKENS = 256;

/** A prompt and the completions wanted of it. */
export interface SamplingRequest {
  readonly prompt: readonly number[];
  /** how many completions @defaultValue 1 */
  readonly n?: number;
  /** a seed, 0 … 2³²−1, or the random numbers of each completion: at least maxTokens values in (0, 1) */
  readonly random: number | ((sample: number) => Float32Array);
  /** With a seed: the first completion is the one that would have this number among more. @defaultValue 0 */
  readonly firstSample?: number;
  readonly options: SamplingOptions | ((sample: number) => SamplingOptions);
  /** what a completion has said since it was last heard of */
  readonly onProgress?: (sample: number, progress: Progress) => void;
}

export interface Progress {
  readonly tokens: readonly number[];
  /** of each of them, in nats */
  readonly logProbabilities: readonly number[];
  /** the likeliest tokens at the place of each, where they were asked for */
  readonly alternatives: readonly (readonly Alternative[])[];
  /** with `decode`: text that nothing said later takes back */
  readonly text: string | null;
}

export interface RunningRequest {
  /** in the order of samples */
  readonly completions: Promise<Completion[]>;
  /** Ends the request at the next opportunity: what was said until then is its completion. */
  cancel(): void;
}

export interface RunningBatchOptions {
  /** Completions that advance together at most; others wait. @defaultValue 256 */
  readonly maxRows?: number;
  /** Where the memory of caches comes from. @defaultValue there is enough */
  readonly memory?: CacheMemory;
  /**
   * Tokens between two moments at which rows may join, leave and be heard of. The last bits of a result depend on it.
   * @defaultValue 16
   */
  readonly segmentTokens?: number;
  /**
   * Longer prompts are read in pieces of so many tokens, a multiple of 64, between segments of what runs. The last bits of a
   * result depend on it. @defaultValue none: all that join are read before others go on
   */
  readonly pieceTokens?: number;
}

/** One request's rows, and who waits for them. */
interface Job {
  readonly prompt: readonly number[];
  /** of the prompt's tokens */
  readonly key: string;
  rows: readonly Row[];
  /** see `Claimant` */
  copy: number;
  /** tokens of its longest row when it was set back */
  reached: number;
  readonly onProgress: SamplingRequest['onProgress'];
  /** tokens and characters of each row that were reported */
  readonly reported: { tokens: number; text: number }[];
  settled: boolean;
  resolve(completions: Completion[]): void;
  reject(error: Error): void;
}

/**
 * Continuous batching: requests may be added at any time, join at the next segment, and leave as they end. Nothing that a
 * request draws depends on what else is in the batch.
 *
 * It runs by itself while there is something to do. An error of the engine fails every request in it.
 */
export class RunningBatch {
  private readonly maxRows: number;
  private readonly memory: CacheMemory | null;
  private readonly pieceTokens: number | null;
  private readonly free: Lane;
  private readonly masked: Lane;
  /** how long rows took for their last segment */
  private segmentMs = 0;
  private waiting: Job[] = [];
  private running: Job[] = [];
  private turning: Promise<void> | null = null;
  private closed = false;
  private copies = 0;
  /** set while nothing runs since there is no memory for any: until there may be some, or one of those that wait is cancelled */
  private stalled: Promise<unknown> | null = null;
  private wake: () => void = () => {};

  constructor(
    private readonly policy: Policy,
    options: RunningBatchOptions = {},
  ) {
    const { maxRows = MAX_ROWS, segmentTokens = SEGMENT_TOKENS, memory = null, pieceTokens = null } = options;
    for (const [name, value] of Object.entries({ maxRows, segmentTokens })) {
      if (!Number.isInteger(value) || value < 1)
        throw new RangeError(`${name} is ${value}, but must be a positive integer`);
    }
    if (pieceTokens !== null && !(pieceTokens >= COLUMNS && pieceTokens % COLUMNS === 0)) {
      throw new RangeError(`pieceTokens is ${pieceTokens}, but must be a multiple of ${COLUMNS}`);
    }
    const { sessions } = policy;
    this.maxRows = maxRows;
    this.memory = memory;
    this.pieceTokens = pieceTokens;
    this.free = new Lane(policy, sessions, segmentTokens, false, maxRows, pieceTokens);
    this.masked = new Lane(policy, sessions, 1, true, maxRows, pieceTokens);
  }

  /**
   * Adds a prompt.
   *
   * @throws RangeError for an empty prompt, one that leaves no room for maxTokens in the context, or options out of range
   */
  add(request: SamplingRequest): RunningRequest {
    if (this.closed) throw new Error('the batch is closed');
    const { prompt, onProgress } = request;
    const rows = this.rowsOf(request);
    const reported = rows.map(() => ({ tokens: 0, text: 0 }));
    let cancel = (): void => {};
    const completions = new Promise<Completion[]>((resolve, reject) => {
      const begun = { prompt, key: prompt.join(), rows, copy: 0, reached: 0 };
      const job: Job = { ...begun, onProgress, reported, settled: false, resolve, reject };
      this.waiting.push(job);
      cancel = () => {
        for (const row of job.rows) row.finishReason ??= 'stop';
        this.wake();
      };
    });
    // A request that nobody waits for any more may fail unheard.
    completions.catch(() => {});
    this.turning ??= this.turn();
    return { completions, cancel };
  }

  private get lanes(): readonly Lane[] {
    return [this.free, this.masked];
  }

  /** Completions that are being said now, and those that wait for room. */
  get load(): { readonly running: number; readonly waiting: number } {
    return { running: openRows(this.running), waiting: openRows(this.waiting) };
  }

  /** Fails what has not ended, and frees the batch's memory in the engine. */
  async close(): Promise<void> {
    this.closed = true;
    this.fail(new Error('the batch was closed'));
    this.wake();
    await this.turning;
    for (const lane of this.lanes) await lane.close();
  }

  private rowsOf({ prompt, n = 1, random, firstSample = 0, options }: SamplingRequest): Row[] {
    const { vocabSize, maxPositionEmbeddings: context } = this.policy.config;
    if (!Number.isInteger(n) || n < 1) throw new RangeError(`n is ${n}, but must be a positive integer`);
    if (prompt.length === 0) throw new RangeError('a prompt has no tokens');
    const unknown = prompt.find((t) => !(Number.isInteger(t) && t >= 0 && t < vocabSize));
    if (unknown !== undefined) {
      throw new RangeError(`a prompt has token ${unknown}, but the vocabulary has 0 to ${vocabSize - 1}`);
    }
    return Array.from({ length: n }, (_, sample) => {
      const own = typeof options === 'function' ? options(sample) : options;
      checkOptions(own, vocabSize);
      if (prompt.length + own.maxTokens > context) {
        throw new RangeError(
          `a prompt of ${prompt.length} tokens and ${own.maxTokens} more do not fit the context of ${context}`,
        );
      }
      if (typeof random === 'function') return new Row(prompt, own, random(sample));
      return new Row(prompt, own, (count) =>
        uniforms({ seed: random, stream: 0, step: 0, row: firstSample + sample, count }),
      );
    });
  }

  private async turn(): Promise<void> {
    try {
      // What is added in the same turn of the event loop joins together.
      await Promise.resolve();
      while (this.waiting.length > 0 || this.running.length > 0) {
        this.admit();
        this.report();
        await this.read();
        this.report();
        this.setBackWhatHasNoRoom();
        await this.advance();
        this.report();
        // Caches need not lie there until the next request.
        for (const lane of this.lanes) if (lane.rows.length === 0 && !lane.reading) await lane.close();
        await this.stalled;
        // A callback or a message may want to add or cancel something.
        await new Promise((resolve) => setImmediate(resolve));
      }
      this.memory?.release();
      this.turning = null;
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)));
      this.turning = null;
      await Promise.allSettled(this.lanes.map((lane) => lane.close()));
      this.memory?.release();
    }
    if (this.waiting.length > 0) this.turning ??= this.turn();
  }

  /**
   * Takes in what waits, in its order, while there is room for its rows: prompts fill memory from when they are read. A
   * request larger than the batch is let in when the batch is empty. Prompts that are equal are read once.
   */
  private admit(): void {
    const jobs = this.waiting.filter((job) => openRows([job]) === 0);
    this.waiting = this.waiting.filter((job) => openRows([job]) > 0);
    const copies = new Map<string, number>();
    let taken = openRows(this.running);
    this.stalled = null;
    if (taken === 0) this.memory?.claim(0, false); // what waits for its turn has nothing
    for (let job = this.waiting[0]; job !== undefined; job = this.waiting[0]) {
      const more = openRows([job]);
      if (taken > 0 && taken + more > this.maxRows) break;
      job.copy = copies.get(job.key) ?? this.copies++;
      try {
        if (!this.claim([...this.running, ...jobs, job], true)) {
          if (taken === 0) this.stalled = this.change();
          break;
        }
      } catch (error) {
        this.waiting.shift();
        this.end(job);
        job.reject(error instanceof Error ? error : new Error(String(error)));
        continue;
      }
      copies.set(job.key, job.copy);
      taken += more;
      this.waiting.shift();
      jobs.push(job);
    }
    this.running.push(...jobs);
    for (const [lane, masked] of [
      [this.free, false],
      [this.masked, true],
    ] as const) {
      const prompts = new Map<number, LanePrompt>();
      for (const { prompt, rows, copy } of jobs) {
        const here = rows.filter((r) => (r.options.allowed !== undefined) === masked && r.finishReason === null);
        if (here.length === 0) continue;
        prompts.set(copy, { tokens: prompt, rows: [...(prompts.get(copy)?.rows ?? []), ...here] });
      }
      if (prompts.size > 0) lane.join([...prompts.values()]);
    }
  }

  /** Reads what has joined: all of it, or with pieces for as long as the last segment took, and one run of each lane at least. */
  private async read(): Promise<void> {
    const began = performance.now();
    const goesOn = (): boolean => this.pieceTokens === null || performance.now() - began < this.segmentMs;
    do {
      for (const lane of this.lanes) if (lane.reading) await lane.read();
    } while (this.lanes.some((lane) => lane.reading) && goesOn());
  }

  private async advance(): Promise<void> {
    const began = performance.now();
    const lanes = this.lanes.filter((lane) => lane.rows.length > 0);
    for (const lane of lanes) await lane.advance();
    if (lanes.length > 0) this.segmentMs = performance.now() - began;
  }

  /**
   * Has memory for the next segment of these, and always for the first of them to come to its end: so that one does, whatever
   * becomes of the others.
   */
  private claim(jobs: readonly Job[], joining: boolean): boolean {
    if (this.memory === null) return true;
    const bytes = (of: readonly Job[], said: (row: Row) => number): number =>
      claimOf(this.policy.config, this.pieceTokens, of, said);
    const reached = new Map(jobs.flatMap((job) => job.rows.map((row) => [row, job.reached] as const)));
    const said = (row: Row): number => {
      const soon = row.tokens.length + SEGMENT_TOKENS + 1;
      const hoped = joining ? Math.max(soon, HOPED_TOKENS, reached.get(row)!) : soon;
      return Math.min(row.options.maxTokens, hoped);
    };
    const first = jobs.find((job) => openRows([job]) > 0);
    const whole = first === undefined ? 0 : bytes([first], (row) => row.options.maxTokens);
    return this.memory.claim(Math.max(whole, bytes(jobs, said)), joining);
  }

  /**
   * Where rows have outgrown the memory, those that came last begin anew later: with the same random numbers they say the same,
   * which reading what they have said could not promise to the last bit.
   */
  private setBackWhatHasNoRoom(): void {
    while (this.running.length > 0 && !this.claim(this.running, false)) {
      const job = this.running.pop()!;
      job.reached = Math.max(job.reached, ...job.rows.map((row) => row.tokens.length));
      job.rows = job.rows.map((row) => (row.finishReason === null ? row.again() : row));
      this.waiting.unshift(job);
    }
  }

  private change(): Promise<unknown> {
    const woken = new Promise<void>((resolve) => {
      this.wake = resolve;
    });
    return Promise.race([woken, this.memory?.freed()]);
  }

  private report(): void {
    for (const job of this.running) {
      try {
        this.reportProgress(job);
        const failed = job.rows.find((r) => r.failure !== null);
        if (failed !== undefined) throw failed.failure;
      } catch (error) {
        // A request's own functions fail that request alone.
        this.end(job);
        job.reject(error instanceof Error ? error : new Error(String(error)));
      }
      if (job.settled || job.rows.some((r) => r.finishReason === null)) continue;
      job.settled = true;
      job.resolve(job.rows.map((r) => r.completion()));
    }
    this.running = this.running.filter((job) => !job.settled);
  }

  private reportProgress(job: Job): void {
    for (const [sample, row] of job.rows.entries()) {
      const reported = job.reported[sample]!;
      const from = reported.tokens;
      const { text } = row;
      // One that began anew is at what it said before.
      if (row.tokens.length <= reported.tokens && (text?.length ?? 0) <= reported.text) continue;
      const news = text === null ? null : text.slice(reported.text);
      job.reported[sample] = { tokens: row.tokens.length, text: text?.length ?? 0 };
      job.onProgress?.(sample, {
        tokens: row.tokens.slice(from),
        logProbabilities: row.logProbabilities.slice(from),
        alternatives: row.alternatives.slice(from),
        text: news,
      });
    }
  }

  private end(job: Job): void {
    job.settled = true;
    for (const row of job.rows) row.finishReason ??= 'stop';
  }

  private fail(error: Error): void {
    for (const job of [...this.waiting, ...this.running]) {
      this.end(job);
      job.reject(error);
    }
    this.waiting = [];
    this.running = [];
  }
}

/** Rows that have not ended. */
function openRows(jobs: readonly Job[]): number {
  return jobs.reduce((n, job) => n + job.rows.filter((r) => r.finishReason === null).length, 0);
}
