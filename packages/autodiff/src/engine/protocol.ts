import type { Kernel } from '../kernel/kernel.js';
import type { DType } from '../tensor.js';

export type ExecutionProvider = 'cpu' | 'webgpu' | 'cuda';

/** A tensor with data, as it crosses threads: float32 and bool as they are, int32 and int64 as integers. */
export interface Value {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | BigInt64Array | Uint8Array;
}

/** Where a run takes an input from: a value sent along, or a variable that stays in the engine. */
export type Feed = Value | { readonly variable: string };
/** Where a run leaves an output: handed back, or kept as a variable. */
export type Fetch = 'return' | { readonly variable: string };

export interface SessionOptions {
  readonly threads: number;
  readonly provider: ExecutionProvider;
  /** of several CUDA devices */
  readonly deviceId?: number;
}

/** Bytes that a model looks for under a location, taken from a variable. */
export interface FrozenSource {
  readonly name: string;
  readonly location: string;
  readonly variable: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** A float32 variable with memory of its own. */
export interface Allocation {
  readonly name: string;
  readonly shape: readonly number[];
}

/** The variables and numbers that a kernel's inputs stand for, by the inputs' names. */
export interface Application {
  readonly vectors: Readonly<Record<string, string>>;
  readonly scalars: Readonly<Record<string, number>>;
}

/** Bytes. */
export interface EngineMemory {
  /** of the process, now */
  readonly resident: number;
  /** of the process, at most since it began, or since the peak was reset */
  readonly peakResident: number;
  /** of variables in this process's memory */
  readonly variables: number;
  /** of variables on a device */
  readonly deviceVariables: number;
  readonly variableCount: number;
  readonly sessionCount: number;
}

export type Request =
  | {
      kind: 'compile';
      model: Uint8Array;
      options: SessionOptions;
      kept: readonly string[];
      frozen: readonly FrozenSource[];
    }
  | {
      kind: 'run';
      session: number;
      feeds: Record<string, Feed>;
      fetches: Record<string, Fetch>;
      overwritable: Readonly<Record<string, readonly string[]>>;
    }
  | { kind: 'allocate'; tensors: readonly Allocation[] }
  | { kind: 'sum of squares'; names: readonly string[] }
  | { kind: 'apply'; kernel: Kernel; applications: readonly Application[] }
  | { kind: 'memory'; resetPeak: boolean }
  | { kind: 'set'; values: Record<string, Value> }
  | { kind: 'get'; names: readonly string[] }
  | { kind: 'copy'; from: string; to: string }
  | { kind: 'drop'; names: readonly string[] }
  | { kind: 'release'; session: number }
  | { kind: 'shut down' };

export interface Reply {
  readonly id: number;
  readonly error?: { readonly message: string; readonly stack?: string };
  readonly result?: unknown;
}
