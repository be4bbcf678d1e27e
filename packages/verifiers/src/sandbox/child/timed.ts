import vm from 'node:vm';

/** Milliseconds after its cap at which a call is cut from inside. The process that asked cuts it sooner, if it lives. */
const GRACE_MS = 2000;

let work: () => void = () => {};
Object.defineProperty(globalThis, 'runTimedWork', { value: () => work() });
const script = new vm.Script('runTimedWork()');

/**
 * Runs work that may never end by itself. Nobody has to be there to stop it: when this process has lost its parent, it
 * is not left spinning.
 *
 * @throws Error `ERR_SCRIPT_EXECUTION_TIMEOUT` when it takes longer than its cap and a grace time
 */
export function runTimed<T>(timeoutMs: number, compute: () => T): T {
  let result: { value: T } | null = null;
  work = () => {
    result = { value: compute() };
  };
  // Only a script can be given a time.
  script.runInThisContext({ timeout: timeoutMs + GRACE_MS });
  return (result as unknown as { value: T }).value;
}
