import { Worker } from 'node:worker_threads';
import type { Kernel } from '../kernel/kernel.js';
import { type CompiledGraph, OUTPUT_PREFIX } from '../lower.js';
import type { Profile } from '../op.js';
import type { DType } from '../tensor.js';
import type {
  Allocation,
  Application,
  EngineMemory,
  ExecutionProvider,
  Feed,
  Fetch,
  Reply,
  Request,
  Value,
} from './protocol.js';

export type { Allocation, Application, EngineMemory, ExecutionProvider, Feed, Fetch, Value } from './protocol.js';

/** A failure inside onnxruntime, or a variable or session that is not there. */
export class EngineError extends Error {
  override name = 'EngineError';
}

export interface EngineOptions {
  /** @defaultValue 'cpu' */
  readonly provider?: ExecutionProvider;
  /** Which of several CUDA devices. @defaultValue 0 */
  readonly deviceId?: number;
  /** Threads of one operator on the CPU; the last bits of a result depend on their number. @defaultValue 1 */
  readonly threads?: number;
}

/** A compiled graph inside an engine. */
export interface Session {
  readonly graph: CompiledGraph;
  /**
   * Runs the graph.
   *
   * @param feeds every input, by name
   * @param fetches outputs to compute, by name; those kept as variables stay on the device
   * @returns the outputs fetched with 'return'
   * @throws EngineError from onnxruntime, or for a missing input, an unknown output or variable
   */
  run(feeds: Readonly<Record<string, Feed>>, fetches: Readonly<Record<string, Fetch>>): Promise<Record<string, Value>>;
  release(): Promise<void>;
}

/**
 * onnxruntime in a worker thread, with named variables that stay there between runs, so that the calling thread
 * never blocks and weights never cross. Calls are carried out in order.
 */
export class Engine {
  readonly provider: ExecutionProvider;
  readonly profile: Profile;
  private readonly threads: number;
  private readonly deviceId: number;
  private readonly worker: Worker;
  private readonly waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  private readonly exited: Promise<void>;
  private nextId = 1;
  private dead: Error | null = null;
  private closed: Promise<void> | null = null;
  /** when all engines that were to be closed so far are */
  private static closing: Promise<void> = Promise.resolve();

  constructor(options: EngineOptions = {}) {
    this.provider = options.provider ?? 'cpu';
    this.profile = this.provider === 'cpu' ? 'fused' : 'portable';
    this.threads = options.threads ?? 1;
    this.deviceId = options.deviceId ?? 0;
    this.worker = new Worker(new URL('./thread.js', import.meta.url));
    this.worker.on('message', (reply: Reply) => {
      const call = this.waiting.get(reply.id);
      this.waiting.delete(reply.id);
      if (reply.error === undefined) call?.resolve(reply.result);
      else call?.reject(new EngineError(reply.error.message, { cause: reply.error.stack }));
    });
    this.worker.on('error', (error) => this.fail(new EngineError(`the engine thread failed: ${error}`)));
    this.exited = new Promise((resolve) => {
      this.worker.once('exit', () => {
        this.fail(new EngineError('the engine is closed'));
        resolve();
      });
    });
  }

  /**
   * @param kept outputs that runs will keep as variables; on a GPU these never leave it
   * @param frozen the variable that holds the data of each of the graph's frozen tensors, by the tensor's name; the
   *   session makes a copy of its own, so the variable may change or go after
   * @throws EngineError when the data of a frozen tensor is missing or of another type or shape
   */
  async compile(
    graph: CompiledGraph,
    kept: readonly string[] = [],
    frozen: Readonly<Record<string, string>> = {},
  ): Promise<Session> {
    const sources = graph.frozen.map((t) => {
      const variable = frozen[t.name];
      if (variable === undefined) {
        throw new EngineError(`compile: no variable is given for the frozen tensor "${t.name}"`);
      }
      return { ...t, variable };
    });
    const id = (await this.call({
      kind: 'compile',
      model: graph.model,
      options: { threads: this.threads, provider: this.provider, deviceId: this.deviceId },
      kept: kept.map((name) => OUTPUT_PREFIX + name),
      frozen: sources,
    })) as number;
    const outputs = new Set(graph.outputs.map((o) => o.name));
    const overwritable = Object.fromEntries(
      Object.entries(graph.overwritable).map(([name, inputs]) => [OUTPUT_PREFIX + name, inputs]),
    );
    return {
      graph,
      run: async (feeds, fetches) => {
        const missing = graph.inputs.find((i) => feeds[i.name] === undefined);
        if (missing !== undefined) throw new EngineError(`input "${missing.name}" was not fed`);
        const prefixed: Record<string, Fetch> = {};
        for (const [name, fetch] of Object.entries(fetches)) {
          if (!outputs.has(name)) throw new EngineError(`the graph has no output "${name}"`);
          prefixed[OUTPUT_PREFIX + name] = fetch;
        }
        const targets = Object.values(fetches).flatMap((f) => (f === 'return' ? [] : [f.variable]));
        const shared = targets.find((name, i) => targets.indexOf(name) !== i);
        if (shared !== undefined) throw new EngineError(`two outputs are to be kept as "${shared}"`);
        const used = Object.fromEntries(graph.inputs.map((i) => [i.name, feeds[i.name]!]));
        const results = (await this.call({
          kind: 'run',
          session: id,
          feeds: used,
          fetches: prefixed,
          overwritable,
        })) as Record<string, Value>;
        return Object.fromEntries(Object.entries(results).map(([k, v]) => [k.slice(OUTPUT_PREFIX.length), v]));
      },
      release: async () => {
        await this.call({ kind: 'release', session: id });
      },
    };
  }

  /** Whether it was closed, or its thread failed: every call is refused then. */
  get ended(): boolean {
    return this.dead !== null;
  }

  /** Sets variables from values; the values are copied. */
  async set(values: Readonly<Record<string, Value>>): Promise<void> {
    await this.call({ kind: 'set', values });
  }

  /** Sets variables from values whose buffers move into the engine: no copy is made, and the caller's are empty after. */
  async move(values: Readonly<Record<string, Value>>): Promise<void> {
    const buffers = new Set(Object.values(values).map((v) => v.data.buffer as ArrayBuffer));
    await this.call({ kind: 'set', values }, [...buffers]);
  }

  /**
   * Makes float32 variables of zeros, end to end in memory that stays theirs: a run that keeps an output in one writes
   * there, `set` and `copy` fill it, and their shapes do not change. On a GPU they are variables like any other.
   */
  async allocate(tensors: readonly Allocation[]): Promise<void> {
    await this.call({ kind: 'allocate', tensors });
  }

  /** The sum of squares of all elements of float32 variables, in float64; on the CPU only. */
  async sumOfSquares(names: readonly string[]): Promise<number> {
    return (await this.call({ kind: 'sum of squares', names })) as number;
  }

  /** Runs a kernel in place on float32 variables, once for each application; on the CPU only. */
  async apply(kernel: Kernel, applications: readonly Application[]): Promise<void> {
    await this.call({ kind: 'apply', kernel, applications });
  }

  /** @param resetPeak begin anew to look for the peak, where the system can (Linux) */
  async memory(resetPeak = false): Promise<EngineMemory> {
    return (await this.call({ kind: 'memory', resetPeak })) as EngineMemory;
  }

  /** Copies of variables. @throws EngineError for an unknown name */
  async get(names: readonly string[]): Promise<Record<string, Value>> {
    return (await this.call({ kind: 'get', names })) as Record<string, Value>;
  }

  /** Makes or replaces a variable by a copy of another. */
  async copy(from: string, to: string): Promise<void> {
    await this.call({ kind: 'copy', from, to });
  }

  async drop(names: readonly string[]): Promise<void> {
    await this.call({ kind: 'drop', names });
  }

  /**
   * Ends the thread; pending calls fail. It waits for the run under way: onnxruntime aborts the process when its thread is
   * taken from under it. And engines end one after the other: it frees memory twice when two threads let go of a device at
   * the same time.
   */
  async close(): Promise<void> {
    this.fail(new EngineError('the engine is closed'));
    if (this.closed === null) {
      this.closed = Engine.closing.then(async () => {
        this.worker.postMessage({ id: 0, request: { kind: 'shut down' } satisfies Request });
        await this.exited;
      });
      Engine.closing = this.closed;
    }
    await this.closed;
  }

  private call(request: Request, moved: readonly ArrayBuffer[] = []): Promise<unknown> {
    if (this.dead !== null) return Promise.reject(this.dead);
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, request }, moved);
    });
  }

  private fail(error: Error): void {
    this.dead ??= error;
    for (const { reject } of this.waiting.values()) reject(this.dead);
    this.waiting.clear();
  }
}

/** A float32 value. */
export function float32(data: Float32Array | readonly number[], shape: readonly number[]): Value {
  return { dtype: 'float32', shape, data: data instanceof Float32Array ? data : Float32Array.from(data) };
}

/** An int32 value. */
export function int32(data: Int32Array | readonly number[], shape: readonly number[]): Value {
  return { dtype: 'int32', shape, data: data instanceof Int32Array ? data : Int32Array.from(data) };
}

/** Zeros. */
export function zeros(shape: readonly number[], dtype: Extract<DType, 'float32' | 'int32'> = 'float32'): Value {
  const n = shape.reduce((a, b) => a * b, 1);
  return { dtype, shape, data: dtype === 'float32' ? new Float32Array(n) : new Int32Array(n) };
}
