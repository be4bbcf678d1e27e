import { type Feed, type Fetch, float32, int32, STREAMED_ROWS, type Value } from '@polymode/autodiff';
import type { Policy } from '../policy.js';
import { rotaryValues } from '../transformer/rotary.js';
import { drawFeeds, featureKey, featuresOf, uniformFeed } from './draw-feeds.js';
import { cacheFeeds, cacheFetches, cacheNames, firstTokenGraph, rearrangeGraph, segmentGraph } from './graphs.js';
import { COLUMNS, counting, multiple } from './lengths.js';
import { isRunning, type LanePrompt, PromptReader, type ReadPrompts } from './prompt-reader.js';
import type { Row, SaidToken } from './row.js';
import type { SessionCache } from './sessions.js';

/** Where a row's tokens lie in the caches of the last segment. */
interface Slot {
  /** row of the past caches, and of the segment's */
  readonly row: number;
  /** tokens in the past caches; what it said in the last segment comes after */
  readonly past: number;
}

let lanes = 0;

/**
 * Rows that advance together, a segment of tokens at a time. Prompts and rows may join between segments; rows leave when
 * they have ended, and a prompt when its last row has, so neither costs anything from then on.
 *
 * The caches are variables of the engine. Prompts: [N, K, P, D]. What A rows said before the last segment: [A, K, C, D]. The
 * last segment itself: [B, K, S, D]; the next one begins by gathering the rows that go on from these two.
 */
export class Lane {
  private readonly name = `lane${lanes++}`;
  private readonly reader: PromptReader;
  private prompts: LanePrompt[] = [];
  private readonly slots = new Map<Row, Slot>();
  private promptColumns = COLUMNS;
  /** sizes of the past caches */
  private past = { rows: 1, columns: COLUMNS };
  private begun = false;
  private tables = 0;

  /**
   * @param segmentLength S. A row's last bits depend on it, and on nothing else here
   * @param masked rows of this lane may have masks, which asks for segments of one token
   * @param pieceTokens see `PromptReaderOptions`
   */
  constructor(
    private readonly policy: Policy,
    private readonly sessions: SessionCache,
    private readonly segmentLength: number,
    private readonly masked: boolean,
    private readonly maxRows: number,
    pieceTokens: number | null,
  ) {
    const rotaryFeeds = (reach: number): Promise<Record<string, Feed>> => this.rotaryFeeds(reach);
    this.reader = new PromptReader(policy, sessions, { name: this.name, pieceTokens, rotaryFeeds });
  }

  /** Rows that have not ended. */
  get rows(): Row[] {
    return this.prompts.flatMap((p) => p.rows).filter((r) => r.finishReason === null);
  }

  /** Has prompts read in the runs of `read` to come. */
  join(added: readonly LanePrompt[]): void {
    this.reader.add(added);
  }

  /** Whether prompts are left to read. */
  get reading(): boolean {
    return this.reader.reading;
  }

  /** Reads once, and draws the first token of all rows whose prompts that reads to their end. */
  async read(): Promise<void> {
    await this.begin();
    const read = await this.reader.next();
    if (read === null) return;
    await this.drawFirst(read.prompts, read.logits);
    await this.policy.engine.drop([read.logits]);
    await this.takeIn(read.prompts.filter(isRunning), read);
  }

  private async drawFirst(added: readonly LanePrompt[], logits: string): Promise<void> {
    const rows = added.flatMap((p) => p.rows);
    const features = featuresOf(rows, this.masked);
    const { vocabSize } = this.policy.config;
    const session = await this.sessions.get(`first ${featureKey(features)}`, () =>
      firstTokenGraph(this.policy.config, features),
    );
    const out = await session.run(
      {
        logits: { variable: logits },
        prompt_of: int32(
          added.flatMap((p, n) => p.rows.map(() => n)),
          [rows.length],
        ),
        uniforms: uniformFeed(rows, 1),
        ...drawFeeds(rows, features, vocabSize),
      },
      returned(features.alternatives),
    );
    for (const [b, row] of rows.entries()) say(row, out, b, rows.length);
  }

  /** The lane's prompts become those that go on, and the ones just read. */
  private async takeIn(added: readonly LanePrompt[], read: ReadPrompts | null): Promise<void> {
    const staying = this.prompts.filter(isRunning);
    const dropRead = async (): Promise<void> => {
      if (read !== null) await this.policy.engine.drop(cacheNames(this.policy.config, read.cache));
    };
    if (added.length === 0 && staying.length === this.prompts.length) return dropRead();
    const from = this.prompts.length === 0 ? 1 : this.prompts.length;
    const places = [
      ...staying.map((p) => ({ at: this.prompts.indexOf(p), columns: this.promptColumns, offset: 0 })),
      ...added.map((p) => ({
        at: read!.prompts.indexOf(p),
        columns: read!.columns,
        offset: from * this.promptColumns,
      })),
    ];
    const next: LanePrompt[] = [...staying, ...added];
    const columns = multiple(Math.max(COLUMNS, ...next.map((p) => p.tokens.length)), COLUMNS);
    // A column beyond the length is never looked at, so any will do.
    const index = this.indices(next.length, columns, (n, k, c, groups) => {
      const { at, columns: width, offset } = places[n]!;
      return offset * groups + (at * groups + k) * width + Math.min(c, width - 1);
    });
    await this.rearrange(
      this.prompts.length === 0 ? null : `${this.name}.prompt`,
      read?.cache ?? null,
      index,
      'prompt',
    );
    await dropRead();
    this.prompts = next;
    this.promptColumns = columns;
  }

  /** One segment of up to `maxRows` rows. */
  async advance(): Promise<void> {
    const rows = this.rows.slice(0, this.maxRows);
    if (rows.length === 0) {
      this.prompts = [];
      this.promptColumns = COLUMNS;
      this.slots.clear();
      return;
    }
    if (this.prompts.some((p) => !isRunning(p))) await this.takeIn([], null);
    const batch: (Row | null)[] = [...rows];
    while (batch.length % STREAMED_ROWS !== 0) batch.push(null);
    await this.gatherPast(rows);

    const features = featuresOf(rows, this.masked);
    const { config, paddingToken } = this.policy;
    const reach = Math.max(...rows.map((r) => r.prompt.length + r.tokens.length)) + this.segmentLength;
    const rotary = await this.rotaryFeeds(reach);
    // Nothing is waited for between this and its run: others that share the sessions may have it released.
    const session = await this.sessions.get(
      `segment ${featureKey(features)}`,
      () => segmentGraph(config, this.policy.parameterInputs(), features),
      ['segment.'],
    );
    const stops = Math.max(1, ...rows.map((r) => r.options.stopTokens.length));
    const stop = new Int32Array(batch.length * stops).fill(-1);
    for (const [b, row] of rows.entries()) stop.set(row.options.stopTokens, b * stops);
    const ints = (of: (row: Row) => number): Value =>
      int32(
        batch.map((row) => (row === null ? 0 : of(row))),
        [batch.length],
      );
    const rounds = Math.min(this.segmentLength, Math.max(...rows.map((r) => r.left)));
    const out = await session.run(
      {
        ...this.policy.weightFeeds(),
        ...cacheFeeds(config, 'prompt', `${this.name}.prompt`),
        ...cacheFeeds(config, 'past', `${this.name}.past`),
        ...this.promptFeeds(batch),
        ...rotary,
        past_lengths: int32(
          rows.map((r) => r.tokens.length - 1),
          [rows.length],
        ),
        past_row_at: counting(rows.length),
        past_place_of: int32(
          batch.map((row, b) => (row === null ? 0 : b)),
          [batch.length],
        ),
        past_columns: counting(this.past.columns),
        positions: ints((r) => r.prompt.length + r.tokens.length - 1),
        last: ints((r) => r.tokens.at(-1)!),
        left: ints((r) => r.left),
        rounds: { dtype: 'int64', shape: [], data: BigInt64Array.of(BigInt(rounds)) },
        slots: counting(this.segmentLength),
        uniforms: uniformFeed(batch, this.segmentLength),
        stop: int32(stop, [batch.length, stops]),
        padding: int32([paddingToken], [1]),
        ...drawFeeds(batch, features, config.vocabSize),
      },
      { ...cacheFetches(config, 'segment', `${this.name}.segment`), ...returned(features.alternatives) },
    );
    for (const [b, row] of rows.entries()) {
      this.slots.set(row, { row: b, past: row.tokens.length - 1 });
      say(row, out, b, batch.length);
      if (row.finishReason !== null) this.slots.delete(row);
    }
  }

  /** The past of rows in a new order, with what they said in the last segment. */
  private async gatherPast(rows: readonly Row[]): Promise<void> {
    const before = this.past;
    const said = Math.max(...rows.map((row) => row.tokens.length - 1));
    const columns = multiple(Math.max(said, 1), COLUMNS);
    const index = this.indices(rows.length, columns, (b, k, c, groups) => {
      const row = rows[b]!;
      const slot = this.slots.get(row);
      if (slot === undefined || c >= row.tokens.length - 1) return 0;
      if (c < slot.past) return (slot.row * groups + k) * before.columns + c;
      return before.rows * groups * before.columns + (slot.row * groups + k) * this.segmentLength + c - slot.past;
    });
    const [past, segment] = this.slots.size === 0 ? [null, null] : [`${this.name}.past`, `${this.name}.segment`];
    await this.rearrange(past, segment, index, 'past');
    this.past = { rows: rows.length, columns };
    this.slots.clear();
  }

  private promptFeeds(batch: readonly (Row | null)[]): Record<string, Value> {
    const { numAttentionHeads, numKeyValueHeads: groups } = this.policy.config;
    const repeats = numAttentionHeads / groups;
    const places = new Map(batch.flatMap((row, b) => (row === null ? [] : [[row, b] as const])));
    const members = this.prompts.map((p) => p.rows.flatMap((r) => places.get(r) ?? []));
    // Products of one row are computed in another way than those of several: two places at least.
    const most = Math.max(2, ...members.map((m) => m.length));
    const rowAt = new Int32Array(members.length * most);
    const placeOf = new Int32Array(batch.length);
    for (const [n, rows] of members.entries()) {
      for (const [g, b] of rows.entries()) {
        rowAt[n * most + g] = b;
        placeOf[b] = n * most + g;
      }
    }
    const sizes = (...of: number[]): Value => ({
      dtype: 'int64',
      shape: [of.length],
      data: BigInt64Array.from(of, BigInt),
    });
    return {
      prompt_lengths: int32(
        this.prompts.map((p) => p.tokens.length),
        [members.length],
      ),
      prompt_columns: counting(this.promptColumns),
      row_at: int32(rowAt, [members.length, most]),
      place_of: int32(placeOf, [batch.length]),
      apart: sizes(members.length, groups, most, repeats, this.promptColumns),
      together: sizes(members.length, groups, most * repeats, this.promptColumns),
    };
  }

  /** Tables of at least so many positions, made longer by half when they are too short. */
  private async rotaryFeeds(reach: number): Promise<Record<string, Feed>> {
    const { config, engine } = this.policy;
    if (config.rotary === null) return {};
    if (reach > this.tables) {
      this.tables = Math.max(reach, Math.ceil(1.5 * this.tables), 512);
      const { cosines, sines } = rotaryValues(config, this.tables)!;
      const shape = [this.tables, config.headDim / 2];
      await engine.set({
        [`${this.name}.cosines`]: float32(cosines, shape),
        [`${this.name}.sines`]: float32(sines, shape),
      });
    }
    return { cosines: { variable: `${this.name}.cosines` }, sines: { variable: `${this.name}.sines` } };
  }

  /** Frees the lane's variables. */
  async close(): Promise<void> {
    await this.reader.close();
    if (!this.begun) return;
    this.begun = false;
    this.prompts = [];
    this.slots.clear();
    await Promise.all(['prompt', 'past', 'segment'].map((of) => this.drop(of)));
    await this.policy.engine.drop(['nothing', 'cosines', 'sines'].map((name) => `${this.name}.${name}`));
    this.tables = 0;
  }

  private async begin(): Promise<void> {
    if (this.begun) return;
    this.begun = true;
    const { numKeyValueHeads: groups, headDim } = this.policy.config;
    const shape = [1, groups, COLUMNS, headDim];
    await this.policy.engine.set({
      [`${this.name}.nothing`]: float32(new Float32Array(groups * COLUMNS * headDim), shape),
    });
    this.past = { rows: 1, columns: COLUMNS };
    this.promptColumns = COLUMNS;
  }

  /** @param first and second variables of caches; null for nothing */
  private async rearrange(first: string | null, second: string | null, from: Value, made: string): Promise<void> {
    const { config } = this.policy;
    const session = await this.sessions.get('rearrange', () => rearrangeGraph(config), ['made.']);
    const fed = (of: string, cache: string | null): Record<string, Feed> =>
      cache === null
        ? Object.fromEntries(cacheNames(config, of).map((name) => [name, { variable: `${this.name}.nothing` }]))
        : cacheFeeds(config, of, cache);
    await session.run(
      { ...fed('first', first), ...fed('second', second), from },
      cacheFetches(config, 'made', `${this.name}.${made}`),
    );
  }

  /** @param place the index of (row, key head, column) among K key heads */
  private indices(
    rows: number,
    columns: number,
    place: (row: number, head: number, column: number, heads: number) => number,
  ): Value {
    const groups = this.policy.config.numKeyValueHeads;
    const data = new Int32Array(rows * groups * columns);
    let i = 0;
    for (let row = 0; row < rows; row++) {
      for (let k = 0; k < groups; k++) {
        for (let c = 0; c < columns; c++) data[i++] = place(row, k, c, groups);
      }
    }
    return int32(data, [rows, groups, columns]);
  }

  private async drop(of: string): Promise<void> {
    await this.policy.engine.drop(cacheNames(this.policy.config, `${this.name}.${of}`));
  }
}

function returned(alternatives: boolean): Record<string, Fetch> {
  const names = ['tokens', 'log_probabilities'];
  if (alternatives) names.push('alternatives', 'alternative_log_probabilities');
  return Object.fromEntries(names.map((name) => [name, 'return' as const]));
}

/** What a run returned for row b of B, until it ended. */
function say(row: Row, out: Readonly<Record<string, Value>>, b: number, rows: number): void {
  const [tokens, logs] = [out.tokens!, out.log_probabilities!];
  const { alternatives, alternative_log_probabilities: alternativeLogs } = out;
  for (let c = 0; c < tokens.shape[0]! && row.finishReason === null; c++) {
    const at = c * rows + b;
    const said: SaidToken = {
      token: Number(tokens.data[at]),
      logProbability: Number(logs.data[at]),
      alternatives: null,
    };
    if (alternatives === undefined || alternativeLogs === undefined) {
      row.say(said);
      continue;
    }
    const width = alternatives.shape[2]!;
    const list = Array.from({ length: width }, (_, i) => ({
      token: Number(alternatives.data[at * width + i]),
      logProbability: Number(alternativeLogs.data[at * width + i]),
    }));
    row.say({ ...said, alternatives: list });
  }
}
