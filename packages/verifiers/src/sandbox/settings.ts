import { availableParallelism } from 'node:os';

/** Caps under which code of users runs. */
export interface SandboxSettings {
  /** Processes of each language; they start at the first use. @defaultValue the cores, at most 4 */
  readonly workers: number;
  /** Milliseconds of one call, loading of the source included, for graders that set none. @defaultValue 5000 */
  readonly timeoutMs: number;
  /** Mebibytes that the code may allocate. @defaultValue 256 */
  readonly memoryMb: number;
}

export const DEFAULT_SANDBOX_SETTINGS: SandboxSettings = {
  workers: Math.min(availableParallelism(), 4),
  timeoutMs: 5000,
  memoryMb: 256,
};
