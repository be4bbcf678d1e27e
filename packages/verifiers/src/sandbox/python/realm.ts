import { FILES_LIMIT_BYTES, OUTPUT_LIMIT } from '../limits.js';
import type { SandboxAnswer, SandboxReply } from '../protocol.js';
import type { EmscriptenModule, Exports } from './emscripten.js';
import { Files, type FilesSnapshot } from './files.js';
import { provideGlobals, restartRandomness } from './globals.js';
import { HARNESS, REMOVED_MODULES } from './harness.js';
import { wasm } from './webassembly.js';

/*
 * This module and what it imports run in a JavaScript realm of their own, which has the language and nothing else: no
 * process, no require, no timers, no network. CPython, compiled to WebAssembly by the Pyodide project, lives here without
 * Pyodide's bridge, so that Python sees no JavaScript object at all.
 *
 * The interpreter's whole state is its memory and its files. Both are copied after the source of a grader has been
 * loaded and put back before each call, so that no call sees what another one did.
 */

/** Makes the interpreter: what Pyodide's main module exports. */
type CreateModule = (settings: object) => Promise<EmscriptenModule>;

interface Snapshot {
  readonly memory: Uint8Array;
  readonly stackPointer: number;
  readonly files: FilesSnapshot;
}

/** What `harness` answers. */
interface HarnessAnswer {
  readonly kind: 'ok' | 'definition' | 'runtime' | 'memory';
  readonly message?: string;
  readonly details?: string | null;
  readonly reward?: number;
}

const PAGE_BYTES = 65_536;

/** Graders whose state after loading is kept, each as large as the interpreter's memory. */
const KEPT_GRADERS = 3;

/** Bytes by which the memory may have grown before the process is replaced: it never shrinks. */
const GROWTH_LIMIT_BYTES = 64 * 1024 * 1024;

const RESULT_LIMIT_BYTES = 1024 * 1024;

const inputs = new Map<string, Uint8Array>();
const graders = new Map<string, Snapshot>();
let output: number[] = [];
/** whether the call has asked for more memory than there is */
let wantedMore = false;
let python: Interpreter | null = null;

/** @returns the place where the caller writes that many bytes of a file that `start` needs */
export function allocate(name: string, bytes: number): Uint8Array {
  const place = new Uint8Array(bytes);
  inputs.set(name, place);
  return place;
}

/** Starts the interpreter from the files `pyodide.asm.wasm` and `python_stdlib.zip`. */
export async function start(createModule: CreateModule, memoryLimitBytes: number): Promise<void> {
  provideGlobals();
  limitMemory(memoryLimitBytes);
  let exports: Exports | null = null;
  const marker = Symbol('error');
  const module = await createModule({
    API: { config: { env: {}, jsglobals: {}, indexURL: '/' }, runtimeEnv: {} },
    noImageDecoding: true,
    noAudioDecoding: true,
    noWasmDecoding: true,
    thisProgram: '/python',
    arguments: [],
    stdin: () => null,
    stdout: keepOutput,
    stderr: keepOutput,
    preRun: [
      ({ FS, ENV }: EmscriptenModule) => {
        FS.mkdirTree('/lib/python3.14/site-packages');
        FS.mkdirTree('/lib/python3.14/lib-dynload');
        FS.writeFile('/lib/python314.zip', inputs.get('python_stdlib.zip')!, { canOwn: true });
        // Equal sets have equal orders in every process, so that a grader gives the same reward everywhere.
        Object.assign(ENV, { HOME: '/tmp', PYTHONHASHSEED: '0', PYTHONINSPECT: '1', NO_COLOR: '1' });
      },
    ],
    locateFile: (name: string) => `/${name}`,
    instantiateWasm(imports: { env: Record<string, unknown> }, use: (instance: object, module: object) => void) {
      imports.env.Jsv_GetError_import = () => marker;
      imports.env.JsvError_Check = (value: unknown) => (value === marker ? 1 : 0);
      const code = new wasm.Module(inputs.get('pyodide.asm.wasm')!);
      const instance = new wasm.Instance(code, imports);
      exports = instance.exports as Exports;
      use(instance, code);
      return {};
    },
  });
  inputs.clear();
  python = new Interpreter(module, exports!);
  forbidMoreWasm();
}

/** @returns a reply as JSON */
export function check(source: string): string {
  return reply(() => {
    const loaded = python!.load(source);
    return loaded.kind === 'ok' ? { ok: true, reward: 0 } : failed(loaded);
  });
}

/** @returns a reply as JSON */
export function grade(source: string, input: string): string {
  return reply(() => {
    if (!graders.has(source)) {
      const loaded = python!.load(source);
      if (loaded.kind !== 'ok') return failed({ ...loaded, kind: loaded.kind === 'memory' ? 'memory' : 'runtime' });
      keepGrader(source, python!.snapshot());
    }
    python!.restore(graders.get(source)!);
    const result = python!.call('grade', input);
    return result.kind === 'ok' ? { ok: true, reward: Number(result.reward) } : failed(result);
  });
}

function reply(work: () => SandboxAnswer): string {
  output = [];
  wantedMore = false;
  restartRandomness();
  let result: SandboxReply;
  try {
    const answer = work();
    result = { answer, retire: python!.hasGrown() };
  } catch (error) {
    // The interpreter stopped in the middle: a trap, an exit or a stack that ran over.
    // CPython does not survive every MemoryError of its own.
    const message = wantedMore
      ? 'The grader used up its memory.'
      : `The interpreter stopped: ${String(error).slice(0, 200)}`;
    const kind = wantedMore ? 'memory' : error instanceof RangeError ? 'runtime' : 'crash';
    result = { answer: { ok: false, failure: { kind, message, details: withOutput('') } }, retire: true };
  }
  return JSON.stringify(result);
}

function failed(result: HarnessAnswer): SandboxAnswer {
  const kind = result.kind === 'ok' ? 'runtime' : result.kind;
  const message = result.message ?? 'The grader failed.';
  return { ok: false, failure: { kind, message, details: withOutput(result.details ?? '') } };
}

function withOutput(details: string): string | undefined {
  if (output.length === 0) return details || undefined;
  const note = output.length < OUTPUT_LIMIT ? '' : `, first ${OUTPUT_LIMIT} bytes`;
  return `${details}${details && '\n'}Printed${note}:\n${fromUtf8(output)}`;
}

function keepOutput(byte: number | null): void {
  if (byte !== null && output.length < OUTPUT_LIMIT) output.push(byte & 0xff);
}

function keepGrader(source: string, snapshot: Snapshot): void {
  const oldest = graders.keys().next();
  if (graders.size >= KEPT_GRADERS && !oldest.done) graders.delete(oldest.value);
  graders.set(source, snapshot);
}

/** CPython in its memory, in the state after the harness has run. */
class Interpreter {
  private readonly base: Snapshot;
  private readonly files: Files;
  private readonly functions: Readonly<Record<'load' | 'grade', number>>;
  /** of one 32-bit word */
  private readonly word: number;

  constructor(
    private readonly module: EmscriptenModule,
    private readonly exports: Exports,
  ) {
    removeModules(module, exports);
    this.files = new Files(module, FILES_LIMIT_BYTES);
    const text = module.stringToNewUTF8(HARNESS);
    if (exports.PyRun_SimpleString(text) !== 0) throw new Error(`Python does not start: ${fromUtf8(output)}`);
    exports.free(text);
    this.word = exports.malloc(4);
    const main = exports.PyImport_AddModule(module.stringToNewUTF8('__main__'));
    const named = (name: string) => exports.PyObject_GetAttrString(main, module.stringToNewUTF8(name));
    this.functions = { load: named('load'), grade: named('grade') };
    this.files.protect();
    this.base = this.snapshot();
    // Once for practice: the first run of each path is the slow one.
    this.load('def grade(sample, item):\n  return len(sample["output_text"]) / 2\n');
    this.call('grade', '{"sample":{"output_text":"ab"},"item":{}}');
    this.restore(this.base);
  }

  /** Loads a source into a clean interpreter. */
  load(source: string): HarnessAnswer {
    this.restore(this.base);
    return this.call('load', source);
  }

  call(name: 'load' | 'grade', input: string): HarnessAnswer {
    const { exports } = this;
    const argument = this.toPython(input);
    if (argument === 0) {
      exports.PyErr_Clear();
      return { kind: 'memory', message: 'The answer and its row do not fit into the memory of the grader.' };
    }
    const result = exports.PyObject_CallOneArg(this.functions[name], argument);
    const text = result === 0 ? null : this.fromPython(result);
    try {
      return JSON.parse(text ?? '') as HarnessAnswer;
    } catch {
      return { kind: 'runtime', message: 'The grader broke the interpreter that it ran in.' };
    }
  }

  snapshot(): Snapshot {
    const { module, exports, files } = this;
    return { memory: module.HEAPU8.slice(), stackPointer: exports.__stack_pointer.value, files: files.snapshot() };
  }

  restore({ memory, stackPointer, files }: Snapshot): void {
    this.module.HEAPU8.set(memory);
    if (this.module.HEAPU8.length > memory.length) this.module.HEAPU8.fill(0, memory.length);
    this.exports.__stack_pointer.value = stackPointer;
    this.files.restore(files);
  }

  hasGrown(): boolean {
    return this.module.HEAPU8.length > this.base.memory.length + GROWTH_LIMIT_BYTES;
  }

  /** @returns a str object, 0 when the memory does not hold it */
  private toPython(text: string): number {
    const { exports } = this;
    const bytes = utf8(text);
    const address = exports.malloc(bytes.length + 1);
    if (address === 0) return 0;
    this.module.HEAPU8.set(bytes, address >>> 0);
    const object = exports.PyUnicode_FromStringAndSize(address, bytes.length);
    exports.free(address);
    return object;
  }

  private fromPython(object: number): string | null {
    const { exports, module } = this;
    const address = exports.PyUnicode_AsUTF8AndSize(object, this.word) >>> 0;
    const length = module.HEAPU32[this.word >>> 2]!;
    if (address === 0 || length > RESULT_LIMIT_BYTES) return null;
    let text = '';
    // The harness writes ASCII.
    for (const byte of module.HEAPU8.subarray(address, address + length)) text += String.fromCharCode(byte);
    return text;
  }
}

/**
 * Takes modules out of CPython's table of built-in ones: once where it is compiled in, once in the copy that the
 * interpreter made of it. An entry is the address of a name and that of a function; the table ends with a zero.
 */
function removeModules({ HEAPU8, HEAPU32 }: EmscriptenModule, { PyImport_Inittab }: Exports): void {
  const original = HEAPU32[PyImport_Inittab.value >>> 2]! >>> 2;
  const nameAt = (entry: number) => {
    let name = '';
    for (let at = HEAPU32[entry]!; HEAPU8[at] !== 0; at++) name += String.fromCharCode(HEAPU8[at]!);
    return name;
  };
  const removed: readonly string[] = REMOVED_MODULES;
  const head = HEAPU32.slice(original, original + 8);
  let tables = 0;
  for (let table = 0; table + 8 < HEAPU32.length; table++) {
    if (HEAPU32[table] !== head[0] || !head.every((word, i) => HEAPU32[table + i] === word)) continue;
    tables++;
    let to = table;
    for (let from = table; HEAPU32[from] !== 0; from += 2) {
      if (removed.includes(nameAt(from))) continue;
      HEAPU32[to] = HEAPU32[from]!;
      HEAPU32[to + 1] = HEAPU32[from + 1]!;
      to += 2;
    }
    HEAPU32[to] = 0;
    HEAPU32[to + 1] = 0;
  }
  if (tables < 2) throw new Error(`CPython's table of built-in modules was found ${tables} times, not twice.`);
}

/** Python meets a MemoryError where the memory would grow beyond the limit. */
function limitMemory(bytes: number): void {
  const { grow } = wasm.Memory.prototype;
  wasm.Memory.prototype.grow = function (pages: number) {
    wantedMore = this.buffer.byteLength + pages * PAGE_BYTES > bytes;
    if (wantedMore) throw new RangeError('The memory is at its limit.');
    return grow.call(this, pages);
  };
}

/** From here on nothing can be linked to the interpreter, such as an extension module that a grader wrote to /tmp. */
function forbidMoreWasm(): void {
  const refuse = () => {
    throw new Error('No more WebAssembly can be loaded.');
  };
  Object.assign(wasm, { Module: refuse, Instance: refuse, compile: refuse, instantiate: refuse });
}

/** Bytes that are no UTF-8 are shown one by one. */
function fromUtf8(bytes: readonly number[]): string {
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, '0'));
  try {
    return decodeURIComponent(hex.map((digits) => `%${digits}`).join(''));
  } catch {
    return bytes.map((byte, i) => (byte < 0x80 ? String.fromCharCode(byte) : `\\x${hex[i]}`)).join('');
  }
}

/** There is no TextEncoder in this realm. Lone surrogates become U+FFFD, as there. */
function utf8(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 3);
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i);
    if (code < 0x80) {
      bytes[at++] = code;
      continue;
    }
    if (code < 0x800) {
      bytes[at++] = 0xc0 | (code >> 6);
      bytes[at++] = 0x80 | (code & 63);
      continue;
    }
    if (code >= 0xd800 && code < 0xe000) {
      const next = text.charCodeAt(i + 1);
      if (code < 0xdc00 && next >= 0xdc00 && next < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (next - 0xdc00);
        i++;
        bytes[at++] = 0xf0 | (code >> 18);
        bytes[at++] = 0x80 | ((code >> 12) & 63);
        bytes[at++] = 0x80 | ((code >> 6) & 63);
        bytes[at++] = 0x80 | (code & 63);
        continue;
      }
      code = 0xfffd;
    }
    bytes[at++] = 0xe0 | (code >> 12);
    bytes[at++] = 0x80 | ((code >> 6) & 63);
    bytes[at++] = 0x80 | (code & 63);
  }
  return bytes.subarray(0, at);
}
