import type { Engine } from '@polymode/autodiff';
import type { CheckpointRecord } from '@polymode/db';
import {
  type LoraOptions,
  Policy,
  parameterShapes,
  RunningBatch,
  readModel,
  readModelDescription,
  SessionCache,
  type Tokenizer,
  tokenizerOf,
} from '@polymode/policy';
import type { BaseModel } from '@polymode/policy/registry';
import type { InferenceLoad } from '@polymode/telemetry';
import type { CompletionRoom } from './completion-room.js';
import { InferenceError } from './inference-error.js';
import { MemoryBudget, StuckError } from './memory-budget.js';
import { mib } from './mib.js';
import { type ModelSource, trainedBytes } from './model-source.js';
import { pieceOf, segmentOf } from './pace.js';
import { TokenTexts } from './token-texts.js';

/** Which model: a base model, or one with what a checkpoint holds. */
export interface ModelName {
  readonly baseModel: string;
  readonly checkpointId: string | null;
}

/** A model that is ready to answer. */
export interface LoadedModel {
  readonly policy: Policy;
  readonly batch: RunningBatch;
  readonly tokenizer: Tokenizer;
  readonly texts: TokenTexts;
  /** for `completionRoom` */
  readonly room: CompletionRoom;
}

export interface ModelPoolOptions {
  readonly source: ModelSource;
  /** made when a model is first asked for, and again when that one has failed */
  readonly openEngine: () => Engine;
  /** most bytes that weights and the caches of completions may take */
  readonly budgetBytes: number;
  /** tokens between two moments at which requests may join @defaultValue by the model's size, see `segmentOf` */
  readonly segmentTokens?: number;
  /** milliseconds without a request until everything is let go @defaultValue 300,000 */
  readonly idleMs?: number;
  /** told of every model that was loaded */
  readonly onLoaded?: (name: ModelName, seconds: number) => void;
}

/** A model in memory, or on its way there. */
interface Slot {
  readonly name: ModelName;
  /** of its own weights, from when it is known how many; not of the model under an adapter */
  bytes: number;
  /** requests that use it, and adapters that stand over it */
  users: number;
  /** larger: used later */
  usedAt: number;
  readonly loading: Promise<LoadedModel>;
  /** what it takes to let go of it, from when it is loaded */
  unload: (() => Promise<void>) | null;
}

/** Completions that advance together at most, however much memory there is. */
const MOST_ROWS = 64;
const IDLE_MS = 300_000;

/**
 * Models in memory. They are loaded when they are asked for, once for all who ask meanwhile. Those that nobody uses stay until
 * room is needed, the one used longest ago goes first; all of them, and the engine, go when there has been no request for long.
 * An adapter shares its base model's weights with that model and its other adapters.
 */
export class ModelPool {
  private readonly slots = new Map<string, Slot>();
  private readonly source: ModelSource;
  private readonly budget: MemoryBudget;
  private engine: Engine | null = null;
  private clock = 0;
  private leases = 0;
  private prefixes = 0;
  private idle: NodeJS.Timeout | null = null;
  private closed = false;
  /** what was evicted and is still being freed */
  private freeing: Promise<void> = Promise.resolve();

  constructor(private readonly options: ModelPoolOptions) {
    this.source = options.source;
    this.budget = new MemoryBudget({
      bytes: options.budgetBytes,
      weights: () => this.weightBytes,
      evict: () => this.evictIdle(),
    });
  }

  /**
   * A model for a request, until that is released.
   *
   * @throws InferenceError 404 when there is no such model, 503 when there is no memory for it
   */
  async lease(name: ModelName): Promise<{ readonly model: LoadedModel; release(): void }> {
    if (this.closed) throw new InferenceError(503, 'this worker is stopping');
    if (this.engine?.ended === true) this.forgetAll();
    this.leases++;
    if (this.idle !== null) clearTimeout(this.idle);
    this.idle = null;
    try {
      const slot = await this.slotOf(name);
      try {
        return { model: await slot.loading, release: once(() => this.released(slot)) };
      } catch (error) {
        slot.users--;
        this.budget.changed();
        throw error;
      }
    } catch (error) {
      this.leaseEnded();
      throw error;
    }
  }

  /** Ids of base models and checkpoints that are loaded. */
  get loaded(): string[] {
    return [...this.slots.values()]
      .filter((slot) => slot.unload !== null)
      .map(({ name }) => name.checkpointId ?? name.baseModel)
      .sort();
  }

  get load(): InferenceLoad {
    let [running, waiting] = [0, 0];
    for (const batch of this.batches) {
      running += batch.load.running;
      waiting += batch.load.waiting;
    }
    const { length: models } = this.loaded;
    const { budgetBytes } = this.options;
    return { running, waiting, models, modelBytes: this.weightBytes, cacheBytes: this.budget.cacheBytes, budgetBytes };
  }

  /** Fails what runs, and frees everything. */
  async close(): Promise<void> {
    this.closed = true;
    if (this.idle !== null) clearTimeout(this.idle);
    await Promise.allSettled([...this.slots.values()].map((slot) => slot.loading));
    await this.unloadAll();
  }

  private readonly batches = new Set<RunningBatch>();

  private get weightBytes(): number {
    return [...this.slots.values()].reduce((sum, slot) => sum + slot.bytes, 0);
  }

  private released(slot: Slot): void {
    slot.users--;
    this.budget.changed();
    this.leaseEnded();
  }

  private leaseEnded(): void {
    this.leases--;
    if (this.leases > 0 || this.closed || this.slots.size === 0) return;
    this.idle = setTimeout(() => void this.unloadAll(), this.options.idleMs ?? IDLE_MS);
    this.idle.unref();
  }

  /** @returns it, with one more user */
  private async slotOf(name: ModelName): Promise<Slot> {
    let checkpoint: CheckpointRecord | null = null;
    if (name.checkpointId !== null) {
      // Asked for every request: what was deleted since it was loaded is not served.
      checkpoint = await this.source.checkpoint(name.checkpointId);
      if (checkpoint === null) {
        const loaded = this.slots.get(keyOf(name));
        if (loaded !== undefined && loaded.users === 0 && loaded.unload !== null) this.evict(loaded);
        throw notFound(`there is no checkpoint ${name.checkpointId}, or it was deleted`);
      }
    }
    const key = keyOf(name);
    let slot = this.slots.get(key);
    if (slot === undefined) {
      const base = this.source.baseModel(name.baseModel);
      if (base === null) throw notFound(`this worker has no base model '${name.baseModel}'`);
      slot = this.start(key, name, base, checkpoint);
    }
    slot.users++;
    slot.usedAt = ++this.clock;
    return slot;
  }

  private start(key: string, name: ModelName, base: BaseModel, checkpoint: CheckpointRecord | null): Slot {
    const began = performance.now();
    let started!: () => void;
    const ready = new Promise<void>((resolve) => {
      started = resolve;
    });
    const slot: Slot = {
      name,
      bytes: 0,
      users: 0,
      usedAt: 0,
      unload: null,
      loading: ready.then(() =>
        checkpoint === null ? this.loadBase(slot, base) : this.loadTrained(slot, base, checkpoint),
      ),
    };
    this.slots.set(key, slot);
    slot.loading.then(
      () => this.options.onLoaded?.(name, (performance.now() - began) / 1000),
      () => {
        // Whoever asks next tries again.
        slot.bytes = 0;
        if (this.slots.get(key) === slot) this.slots.delete(key);
      },
    );
    started();
    return slot;
  }

  private async loadBase(slot: Slot, { path }: BaseModel): Promise<LoadedModel> {
    const { config } = await readModelDescription(path);
    await this.makeRoom(slot, bytesOf(parameterShapes(config)));
    const engine = this.openedEngine();
    const model = await readModel(path);
    const tokenizer = await tokenizerOf(model.otherFiles);
    const policy = new Policy(config, engine, { prefix: this.newPrefix(), paddingToken: tokenizer.paddingToken });
    return this.opened(slot, policy, tokenizer, () => policy.moveWeights(model.weights));
  }

  private async loadTrained(slot: Slot, base: BaseModel, checkpoint: CheckpointRecord): Promise<LoadedModel> {
    const { lora, weights } = await this.source.trained(checkpoint);
    if (lora !== null) return this.loadAdapter(slot, lora, weights);
    const { config, otherFiles } = await readModelDescription(base.path);
    await this.makeRoom(slot, trainedBytes(checkpoint));
    const tokenizer = await tokenizerOf(otherFiles);
    const options = { prefix: this.newPrefix(), paddingToken: tokenizer.paddingToken };
    const policy = new Policy(config, this.openedEngine(), options);
    return this.opened(slot, policy, tokenizer, () => policy.moveWeights(weights));
  }

  private async loadAdapter(
    slot: Slot,
    lora: LoraOptions,
    weights: Parameters<Policy['setAdapter']>[0],
  ): Promise<LoadedModel> {
    const baseSlot = await this.slotOf({ baseModel: slot.name.baseModel, checkpointId: null });
    try {
      const base = await baseSlot.loading;
      const { config, engine, prefix, paddingToken } = base.policy;
      const options = { prefix, paddingToken, lora, adapterPrefix: this.newPrefix() };
      const shapes = new Policy(config, engine, options).trainable;
      await this.makeRoom(slot, bytesOf(shapes));
      const sessions = this.adapterSessions(baseSlot, engine, JSON.stringify(shapes));
      const policy = new Policy(config, engine, { ...options, sessions });
      const opened = await this.opened(slot, policy, base.tokenizer, () => policy.setAdapter(weights), baseSlot);
      const { unload } = slot;
      slot.unload = async () => {
        baseSlot.users--;
        await unload!();
      };
      return opened;
    } catch (error) {
      baseSlot.users--;
      throw error;
    }
  }

  /** Compiled graphs of adapters of one shape over one model, which they share. */
  private readonly graphs = new WeakMap<Slot, Map<string, SessionCache>>();

  private adapterSessions(base: Slot, engine: Engine, shapes: string): SessionCache {
    const known = this.graphs.get(base) ?? new Map<string, SessionCache>();
    this.graphs.set(base, known);
    const sessions = known.get(shapes) ?? new SessionCache(engine);
    known.set(shapes, sessions);
    return sessions;
  }

  private async opened(
    slot: Slot,
    policy: Policy,
    tokenizer: Tokenizer,
    fill: () => Promise<void>,
    under?: Slot,
  ): Promise<LoadedModel> {
    try {
      await fill();
    } catch (error) {
      await policy.drop().catch(() => {});
      throw error;
    }
    const bytes = bytesOf(parameterShapes(policy.config));
    const { segmentTokens = segmentOf(bytes) } = this.options;
    const pieceTokens = pieceOf(bytes);
    const memory = this.budget.open();
    const claim = (bytes: number, joining: boolean): boolean => {
      try {
        return memory.claim(bytes, joining);
      } catch (cause) {
        throw cause instanceof StuckError ? this.noRoom(`what ${nameOf(slot.name)} is to say`, bytes) : cause;
      }
    };
    const batch = new RunningBatch(policy, {
      ...{ maxRows: MOST_ROWS, segmentTokens, pieceTokens },
      memory: { ...memory, claim },
    });
    this.batches.add(batch);
    slot.unload = async () => {
      this.batches.delete(batch);
      await batch.close();
      memory.close();
      if (policy.lora === null) policy.sessions.clear();
      for (const sessions of this.graphs.get(slot)?.values() ?? []) sessions.clear();
      await policy.drop();
    };
    const room = {
      model: nameOf(slot.name),
      config: policy.config,
      pieceTokens,
      budgetBytes: this.options.budgetBytes,
      weightBytes: slot.bytes + (under?.bytes ?? 0),
    };
    return { policy, batch, tokenizer, texts: new TokenTexts(tokenizer), room };
  }

  /**
   * Takes so many bytes for the slot's weights once they fit.
   *
   * @throws InferenceError 503
   */
  private async makeRoom(slot: Slot, bytes: number): Promise<void> {
    try {
      await this.budget.roomForWeights(bytes, () => {
        slot.bytes = bytes;
      });
    } catch (cause) {
      throw cause instanceof StuckError ? this.noRoom(nameOf(slot.name), bytes) : cause;
    }
    await this.freeing;
  }

  private noRoom(what: string, bytes: number): InferenceError {
    const used = this.weightBytes;
    const why =
      used === 0
        ? 'Set POLYMODE_INFERENCE_MEMORY_MB higher, or take a smaller model'
        : `models that are in use take ${mib(used)}. Try again when they have answered, or set POLYMODE_INFERENCE_MEMORY_MB higher`;
    return new InferenceError(
      503,
      `${what} needs ${mib(bytes)} MiB of memory, and this worker may use ${mib(this.options.budgetBytes)}. ${why}.`,
      { code: 'insufficient_memory' },
    );
  }

  /** The model used longest ago, of those that nobody uses. */
  private evictIdle(): boolean {
    const idle = [...this.slots.values()].filter((s) => s.users === 0 && s.unload !== null);
    if (idle.length === 0) return false;
    this.evict(idle.reduce((oldest, s) => (s.usedAt < oldest.usedAt ? s : oldest)));
    return true;
  }

  private evict(slot: Slot): void {
    this.slots.delete(keyOf(slot.name));
    const freed = slot.unload!();
    this.freeing = Promise.all([this.freeing, freed.catch(() => {})]).then(() => {});
  }

  private async unloadAll(): Promise<void> {
    const { engine } = this;
    this.engine = null;
    const all = [...this.slots.values()];
    this.slots.clear();
    for (const slot of all) if (slot.unload !== null) await slot.unload().catch(() => {});
    await engine?.close();
  }

  /** The engine has failed, and all that it held is gone. */
  private forgetAll(): void {
    this.engine = null;
    this.slots.clear();
    this.batches.clear();
  }

  private openedEngine(): Engine {
    this.engine ??= this.options.openEngine();
    return this.engine;
  }

  /** No two models of an engine's life share names. */
  private newPrefix(): string {
    return `model ${this.prefixes++}/`;
  }
}

function keyOf({ baseModel, checkpointId }: ModelName): string {
  return checkpointId === null ? `base ${baseModel}` : `checkpoint ${checkpointId}`;
}

function nameOf({ baseModel, checkpointId }: ModelName): string {
  return checkpointId === null ? baseModel : `checkpoint ${checkpointId} of ${baseModel}`;
}

function bytesOf(shapes: Readonly<Record<string, readonly number[]>>): number {
  return Object.values(shapes).reduce((sum, shape) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0);
}

function notFound(message: string): InferenceError {
  return new InferenceError(404, message, { param: 'model', code: 'model_not_found' });
}

function once(call: () => void): () => void {
  let called = false;
  return () => {
    if (!called) call();
    called = true;
  };
}
