import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sandboxFlags } from './permissions.js';
import { SandboxPool } from './pool.js';
import type { SandboxProgram } from './process.js';
import { DEFAULT_SANDBOX_SETTINGS, type SandboxSettings } from './settings.js';

export type { SandboxAnswer, SandboxCall, SandboxFailure, SandboxRequest } from './protocol.js';
export { DEFAULT_SANDBOX_SETTINGS, type SandboxSettings } from './settings.js';
export type { SandboxPool };

/** Where Python and JavaScript graders run. One for a whole application: each language has its own processes. */
export interface Sandboxes {
  readonly settings: SandboxSettings;
  readonly python: SandboxPool;
  readonly javascript: SandboxPool;
  /** Ends every process. */
  close(): void;
}

/** Nothing starts before the first call. */
export function openSandboxes(settings: Partial<SandboxSettings> = {}): Sandboxes {
  const full: SandboxSettings = { ...DEFAULT_SANDBOX_SETTINGS, ...settings };
  const python = new SandboxPool(() => pythonProgram(full.memoryMb), full.workers);
  const javascript = new SandboxPool(() => javascriptProgram(full.memoryMb), full.workers);
  return {
    settings: full,
    python,
    javascript,
    close() {
      python.close();
      javascript.close();
    },
  };
}

const here = dirname(fileURLToPath(import.meta.url));
/** The compiled package and its package.json, which says how its files are read. */
const ours = [join(here, '..'), join(here, '../../package.json')];
const { resolve } = createRequire(import.meta.url);

const MEBIBYTE = 1024 * 1024;
/** Mebibytes of JavaScript objects; what graders allocate is not among them. */
const HEAP_MB = 192;
/** Mebibytes that a process may have beside: Python itself is 230, and each of the graders it keeps up to 100. */
const OVERHEAD_MB = 768;

function pythonProgram(memoryMb: number): SandboxProgram {
  const pyodide = dirname(resolve('pyodide/package.json'));
  return {
    language: 'Python',
    args: [...sandboxFlags([...ours, pyodide], HEAP_MB), join(here, 'python/main.js'), pyodide, String(memoryMb)],
    residentLimitBytes: (memoryMb + OVERHEAD_MB) * MEBIBYTE,
    graceMs: 0,
  };
}

function javascriptProgram(memoryMb: number): SandboxProgram {
  const core = packageFolder(resolve('quickjs-emscripten-core'));
  const variant = packageFolder(resolve('@jitl/quickjs-wasmfile-release-sync'));
  const types = packageFolder(createRequire(join(core, 'package.json')).resolve('@jitl/quickjs-ffi-types'));
  return {
    language: 'JavaScript',
    args: [
      ...sandboxFlags([...ours, core, variant, types], HEAP_MB),
      join(here, 'javascript/main.js'),
      String(memoryMb),
    ],
    residentLimitBytes: (memoryMb + OVERHEAD_MB) * MEBIBYTE,
    // QuickJS looks at the clock itself.
    graceMs: 250,
  };
}

/** Of a file that lies in its folder `dist`. */
function packageFolder(file: string): string {
  return dirname(dirname(file));
}
