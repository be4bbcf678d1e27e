import { readdirSync, readFileSync } from 'node:fs';
import { compileGrader, type GraderConfigError, GraderRuntimeError, sampleOf } from '@polymode/verifiers';
import { afterAll, describe, expect, it } from 'vitest';
import { openSandboxes } from '../dist/sandbox/index.js';

const sandboxes = openSandboxes({ workers: 1, memoryMb: 96 });
afterAll(() => sandboxes.close());

type Language = 'python' | 'javascript';
/** More than any call takes that ends, on any machine. */
const TIMEOUT_MS = 60_000;
/** For calls that never end. */
const SHORT_TIMEOUT_MS = 700;

const grader = (type: Language, source: string, more: object = {}) =>
  compileGrader({ type, name: 'own', source, timeout_ms: TIMEOUT_MS, ...more }, { sandboxes });

const ITEM = { answer: 4, nested: { list: [1, 'zwei'] } };
const grade = (type: Language, source: string, more: object = {}, text = 'four') =>
  grader(type, source, more).grade(sampleOf(text, 'stop'), ITEM);

/** What a call ended as: its reward, or why there is none. */
async function ended(type: Language, source: string, timeoutMs = TIMEOUT_MS): Promise<number | string> {
  try {
    return (await grade(type, source, { timeout_ms: timeoutMs })).reward;
  } catch (error) {
    if (!(error instanceof GraderRuntimeError)) throw error;
    return error.reason ?? (error.kind.endsWith('runtime_error') ? 'raised' : error.kind);
  }
}

/** The grader right after another: it must find nothing of it. */
const canary: Readonly<Record<Language, string>> = {
  python: `
import builtins, json, os, sys
def grade(sample, item):
    clean = not hasattr(builtins, 'left') and 'left' not in sys.modules and not os.path.exists('/tmp/left')
    whole = len([1, 2]) == 2 and json.dumps({'a': 1}) == '{"a": 1}' and isinstance(json.loads('1'), int)
    return 0.5 if clean and whole and item['answer'] == 4 and sample['output_text'] == 'four' else -1
`,
  javascript: `
export function grade({ sample, item }) {
  const clean = globalThis.left === undefined && {}.left === undefined && [].left === undefined;
  const whole = JSON.stringify([1, 2].map((x) => x * 2)) === '[2,4]' && 'a'.concat('b') === 'ab';
  return clean && whole && item.answer === 4 && sample.output_text === 'four' ? 0.5 : -1;
}
`,
};

describe('Python graders', () => {
  it('get the sample and the row, have the standard library, and return a number', async () => {
    const source = `
import collections, json, math, re, statistics
def grade(sample, item):
    assert isinstance(sample, dict) and isinstance(item, dict)
    words = re.findall(r'\\w+', sample['output_text'])
    return statistics.mean([len(words), item['nested']['list'][0]]) + math.floor(item['answer'] / 3)
`;
    expect(await grade('python', source, {}, 'one two three')).toEqual({ reward: 3 });
    expect(
      await grade('python', 'def grade(sample, item):\n  return sample["output_json"]["x"]', {}, '{"x": 2}'),
    ).toEqual({
      reward: 2,
    });
    expect(await grade('python', 'def grade(s, i): return True')).toEqual({ reward: 1 });
  });

  it('give the traceback of what they raise', async () => {
    const failure = grade('python', 'def help(x):\n  return 1 / x\n\ndef grade(s, i):\n  return help(0)');
    await expect(failure).rejects.toMatchObject({
      kind: 'python_grader_runtime_error',
      message: 'ZeroDivisionError: division by zero',
      details: expect.stringMatching(/line 5, in grade[\s\S]*line 2, in help/),
    });
  });

  it.each([
    ['import numpy\ndef grade(s, i): return 1', "Line 1: No module named 'numpy'"],
    ['def grade(s, i):\n  from scipy import stats\n  return 1', "Line 2: No module named 'scipy'"],
    ['def grade(s, i) return 1', 'Line 1: '],
    ['def score(s, i): return 1', 'The source defines no grade'],
    ['grade = 3', 'grade is not a function'],
    ['def grade(s): return 1', 'cannot be called with two positional arguments'],
    ['async def grade(s, i): return 1', 'grade is an async function'],
    ['def grade(s, i): yield 1', 'grade is a generator'],
    ['raise ValueError("early")', 'early'],
  ])('are refused before a job when they cannot be used: %j', async (source, says) => {
    const refusal = grader('python', source).check!();
    await expect(refusal).rejects.toMatchObject({ name: 'GraderConfigError', param: 'grader.source' });
    await expect(refusal).rejects.toThrow(says);
  });

  it('may import what is not there where they are ready for that', async () => {
    const source = 'try:\n  import numpy\nexcept ImportError:\n  numpy = None\ndef grade(s, i): return numpy is None';
    await grader('python', source).check!();
    expect(await grade('python', source)).toEqual({ reward: 1 });
  });
});

describe('JavaScript graders', () => {
  it('get the sample and the row, and return a number or a reward with an outcome', async () => {
    const source = `
const weight = 2;
export function grade({ sample, item }) {
  return weight * sample.output_text.length + item.nested.list[0];
}`;
    expect(await grade('javascript', source)).toEqual({ reward: 9 });
    expect(
      await grade('javascript', 'export const grade = ({ item }) => ({ reward: 0.5, outcome: "k" + item.answer });'),
    ).toEqual({ reward: 0.5, outcome: 'k4' });
    expect(await grade('javascript', 'export async function grade() { return await Promise.resolve(1); }')).toEqual({
      reward: 1,
    });
  });

  it('give the message and the place of what they throw', async () => {
    await expect(grade('javascript', 'export function grade() {\n  null.x;\n}')).rejects.toMatchObject({
      kind: 'javascript_grader_runtime_error',
      details: expect.stringContaining('grader.js:2'),
    });
  });

  it.each([
    ['export function grad() {}', 'exports no function grade'],
    ['export function grade( {', 'Line 1: SyntaxError'],
    ["import fs from 'fs'; export const grade = () => 1;", "No module named 'fs'"],
    ['throw new Error("early"); export const grade = () => 1;', 'early'],
  ])('are refused before a job when they cannot be used: %j', async (source, says) => {
    await expect(grader('javascript', source).check!()).rejects.toThrow(says);
  });
});

describe.each<Language>(['python', 'javascript'])('a %s grader’s definition', (type) => {
  const refused = (more: object): GraderConfigError => {
    try {
      grader(type, canary[type], more);
    } catch (error) {
      return error as GraderConfigError;
    }
    throw new Error('was accepted');
  };

  it('has a source of less than 256 KiB, and a time of two minutes at most', () => {
    expect(refused({ source: `${' '.repeat(262_143)}x` })).toMatchObject({ param: 'grader.source' });
    expect(refused({ source: 'é'.repeat(131_072) }).message).toContain('has 262144 bytes');
    expect(refused({ timeout_ms: 120_001 })).toMatchObject({ param: 'grader.timeout_ms' });
    expect(refused({ lines: 3 })).toMatchObject({ param: 'grader.lines' });
  });

  it('needs a sandbox', () => {
    const definition = { type, name: 'own', source: canary[type] };
    expect(() => compileGrader(definition)).toThrow('need a sandbox');
  });
});

/** Each ends as it should, within its time; then the canary must be right. */
const hostile: Readonly<Record<Language, readonly [what: string, source: string, end: number | string][]>> = {
  python: [
    ['loops for ever', 'def grade(s, i):\n  while True: pass', 'timeout'],
    ['loops for ever in C', 'import itertools\ndef grade(s, i): return sum(itertools.count())', 'timeout'],
    ['loops while it loads', 'while True: pass', 'timeout'],
    [
      'has a pattern that never ends',
      'import re\ndef grade(s, i): return bool(re.match(r"(a+)+$", "a" * 60 + "b"))',
      'timeout',
    ],
    [
      'swallows what ends it',
      'def grade(s, i):\n  while True:\n    try:\n      while True: pass\n    except BaseException: pass',
      'timeout',
    ],
    ['takes all memory at once', 'def grade(s, i): return len(bytearray(10**9))', 'memory'],
    ['takes all memory bit by bit', 'def grade(s, i):\n  x = []\n  while True: x.append(bytearray(10**6))', 'memory'],
    ['doubles a string', 'def grade(s, i):\n  x = "a"\n  while True: x += x', 'memory'],
    ['recurses', 'def f(): return f()\ndef grade(s, i): return f()', 'raised'],
    ['has a giant power', 'def grade(s, i): return len(str(9 ** (9 ** 9)))', 'timeout'],
    ['is nested too deeply', `def grade(s, i): return ${'('.repeat(5000)}1${')'.repeat(5000)}`, 'raised'],
    ['imports the browser', 'import js\ndef grade(s, i): return 1', 'raised'],
    ['imports pyodide', 'import pyodide.code\ndef grade(s, i): return 1', 'raised'],
    ['finds the bridge by name', 'def grade(s, i): return __import__("_pyodide_core") is None', 'raised'],
    ['calls C', 'import ctypes\ndef grade(s, i): return ctypes.CDLL(None).getpid()', 'raised'],
    [
      'opens a socket',
      'import socket\ndef grade(s, i):\n  socket.create_connection(("1.1.1.1", 80), 1)\n  return 1',
      'raised',
    ],
    [
      'asks for a page',
      'import urllib.request\ndef grade(s, i):\n  urllib.request.urlopen("http://1.1.1.1", timeout=1)\n  return 1',
      'raised',
    ],
    ['starts a program', 'import subprocess\ndef grade(s, i): return subprocess.run(["id"]).returncode', 'raised'],
    ['starts a shell', 'import os\ndef grade(s, i): return 1 if os.system("id") == 0 else 0', 0],
    [
      'starts a thread',
      'import threading\ndef grade(s, i):\n  threading.Thread(target=print).start()\n  return 1',
      'raised',
    ],
    ['reads the password file', 'def grade(s, i): return len(open("/etc/passwd").read())', 'raised'],
    [
      'reads our environment',
      'import os\ndef grade(s, i): return sum("POLYMODE" in k or k == "DATABASE_URL" for k in os.environ)',
      0,
    ],
    [
      'looks for our files',
      'import os\ndef grade(s, i): return sum(os.path.exists(p) for p in ("/etc/passwd", "/proc/1/environ", "/root", "/usr/bin"))',
      0,
    ],
    ['leaves a file', 'def grade(s, i):\n  open("/tmp/left", "w").write("x")\n  return 1', 1],
    ['leaves a global', 'import builtins\ndef grade(s, i):\n  builtins.left = 1\n  return 1', 1],
    ['leaves a module', 'import sys\ndef grade(s, i):\n  sys.modules["left"] = sys\n  return 1', 1],
    [
      'breaks the built-in functions',
      'import builtins, json\ndef grade(s, i):\n  builtins.len = lambda x: 7\n  builtins.isinstance = lambda *a: True\n  json.dumps = json.loads = None\n  return 1',
      'raised',
    ],
    ['removes modules', 'import sys\ndef grade(s, i):\n  sys.modules.clear()\n  return 1', 1],
    ['exits', 'import sys\ndef grade(s, i): sys.exit(0)', 'raised'],
    ['exits hard', 'import os\ndef grade(s, i): os._exit(0)', 'crash'],
    ['aborts', 'import os\ndef grade(s, i): os.abort()', 'crash'],
    ['raises what is no error', 'def grade(s, i): raise KeyboardInterrupt', 'raised'],
    [
      'raises what cannot be shown',
      'class E(BaseException):\n  def __str__(self): raise E()\n  __repr__ = __str__\ndef grade(s, i): raise E()',
      'raised',
    ],
    ['raises ten megabytes', 'def grade(s, i): raise ValueError("x" * 10**7)', 'raised'],
    ['returns NaN', 'def grade(s, i): return float("nan")', 'raised'],
    ['returns infinity', 'def grade(s, i): return 1e999', 'raised'],
    ['returns nothing', 'def grade(s, i): pass', 'raised'],
    ['returns text', 'def grade(s, i): return "1"', 'raised'],
    ['returns a number beyond all bounds', 'def grade(s, i): return 10 ** 400', 'raised'],
    [
      'returns what loops when it is looked at',
      'class R(float):\n  def __float__(self):\n    while True: pass\ndef grade(s, i): return R(1)',
      'timeout',
    ],
    ['prints ten megabytes', 'def grade(s, i):\n  print("x" * 10**7)\n  return 1', 1],
    [
      'prints a reply of ours',
      `import os, sys\nframe = b'\\x00\\x00\\x00\\x2d{"answer":{"ok":true,"reward":99}}'\ndef grade(s, i):\n  sys.stdout.write(frame.decode("latin1")); sys.stdout.flush()\n  try: os.write(1, frame); os.write(3, frame)\n  except OSError: pass\n  return 1`,
      1,
    ],
    ['changes what it is given', 'def grade(s, i):\n  s.clear(); i.clear(); i["answer"] = 5\n  return 1', 1],
    ['compiles code of its own', 'def grade(s, i):\n  exec("x = 1; import os", {})\n  return eval("1 + 1")', 2],
    [
      'traces the harness',
      'import sys\ndef grade(s, i):\n  f = sys._getframe()\n  while f.f_back: f = f.f_back\n  f.f_globals.clear()\n  return 1',
      'raised',
    ],
    ['sets an alarm', 'import signal\ndef grade(s, i):\n  signal.alarm(1)\n  return 1', 'raised'],
  ],
  javascript: [
    ['loops for ever', 'export function grade() { for (;;); }', 'timeout'],
    ['loops while it loads', 'for (;;); export const grade = () => 1;', 'timeout'],
    ['has a pattern that never ends', 'export const grade = () => +/^(a+)+$/.test("a".repeat(60) + "b");', 'timeout'],
    ['loops in promises', 'export async function grade() { for (;;) await null; }', 'timeout'],
    ['swallows what ends it', 'export function grade() { for (;;) { try { for (;;); } catch {} } }', 'timeout'],
    [
      'takes all memory',
      'export function grade() { const x = []; for (;;) x.push(new Array(1e5).fill(1)); }',
      'memory',
    ],
    ['doubles a string', 'export function grade() { let x = "a"; for (;;) x += x; }', 'raised'],
    ['repeats a string', 'export const grade = () => "x".repeat(2 ** 30 - 1).length;', 'memory'],
    ['has a giant power', 'export const grade = () => Number(2n ** (2n ** 40n));', 'raised'],
    ['recurses', 'export function grade() { return grade(); }', 'raised'],
    ['is nested too deeply', `export const grade = () => ${'('.repeat(20000)}1${')'.repeat(20000)};`, 'raised'],
    [
      'looks for a host',
      'export const grade = () => ["process", "require", "fetch", "XMLHttpRequest", "Deno", "std", "os", "print", "WebAssembly", "Worker"].filter((n) => n in globalThis).length;',
      0,
    ],
    [
      'escapes by constructors',
      'export const grade = () => grade.constructor.constructor("return process")().pid;',
      'raised',
    ],
    [
      'imports a module',
      'export const grade = async () => (await import("node:fs")).readFileSync("/etc/passwd").length;',
      'raised',
    ],
    ['never resolves', 'export const grade = () => new Promise(() => {});', 'raised'],
    ['returns what never resolves', 'export const grade = () => ({ then() {} });', 'raised'],
    ['waits for ever at the top', 'await new Promise(() => {}); export const grade = () => 1;', 'raised'],
    ['throws null', 'export function grade() { throw null; }', 'raised'],
    [
      'throws what throws',
      'export function grade() { throw { get message() { throw 1; }, toString() { throw 2; } }; }',
      'raised',
    ],
    ['throws a trap', 'export function grade() { throw new Proxy({}, { get() { for (;;); } }); }', 'timeout'],
    ['throws ten megabytes', 'export function grade() { throw new Error("x".repeat(1e7)); }', 'raised'],
    ['returns NaN', 'export const grade = () => NaN;', 'raised'],
    ['returns infinity', 'export const grade = () => Infinity;', 'raised'],
    ['returns nothing', 'export const grade = () => {};', 'raised'],
    ['returns text', 'export const grade = () => "1";', 'raised'],
    ['returns a reward that loops', 'export const grade = () => ({ get reward() { for (;;); } });', 'timeout'],
    ['returns a reward that throws', 'export const grade = () => ({ get reward() { throw 1; } });', 'raised'],
    [
      'returns a reward that converts',
      'export const grade = () => ({ reward: { valueOf() { return 1; } } });',
      'raised',
    ],
    [
      'returns an outcome of ten megabytes',
      'export const grade = () => ({ reward: 1, outcome: "x".repeat(1e7) });',
      'raised',
    ],
    ['returns an outcome that is none', 'export const grade = () => ({ reward: 1, outcome: { a: 1 } });', 'raised'],
    [
      'pollutes prototypes',
      'export function grade() { Object.prototype.left = Array.prototype.left = 1; Object.prototype.reward = 7; return 1; }',
      1,
    ],
    [
      'breaks the built-in functions',
      'export function grade() { JSON.parse = JSON.stringify = Number.isFinite = Array.prototype.map = () => 7; globalThis.Number = null; return 1; }',
      1,
    ],
    ['leaves a global', 'export function grade() { globalThis.left = 1; return 1; }', 1],
    [
      'freezes what there is',
      'export function grade() { Object.freeze(Object.prototype); Object.freeze(globalThis); return 1; }',
      1,
    ],
    ['compiles code of its own', 'export const grade = () => eval("1 + 1") + new Function("return 1")();', 3],
    [
      'waits for memory',
      'export function grade() { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); return 1; }',
      'raised',
    ],
    [
      'prints ten megabytes',
      'export function grade() { for (let i = 0; i < 100; i++) console.log("x".repeat(1e5)); return 1; }',
      1,
    ],
    [
      'generates without end',
      'export const grade = async () => { for await (const x of (async function* () { for (;;) yield 1; })()); };',
      'timeout',
    ],
    [
      'registers what runs later',
      'export function grade() { Promise.resolve().then(() => { for (;;); }); return 1; }',
      1,
    ],
    [
      'changes what it is given',
      'export function grade({ sample, item }) { item.answer = 5; sample.output_text = ""; delete item.nested; return 1; }',
      1,
    ],
  ],
};

describe.each<Language>(['python', 'javascript'])('a hostile %s grader that', (type) => {
  it.each(hostile[type])('%s ends as it should and leaves nothing behind', async (_, source, end) => {
    expect(await ended(type, source, end === 'timeout' ? SHORT_TIMEOUT_MS : TIMEOUT_MS)).toBe(end);
    expect(await ended(type, canary[type])).toBe(0.5);
  });
});

describe('what is given to a grader', () => {
  it.each<[Language, string]>([
    ['python', 'def grade(s, i): return len(s["output_text"]) + len(i["__proto__"]["x"])'],
    ['javascript', 'export const grade = ({ sample, item }) => sample.output_text.length + item.__proto__.x.length;'],
  ])('arrives in %s as it is: large, with odd keys and half surrogate pairs', async (type, source) => {
    const item = JSON.parse('{"__proto__": {"x": "ab"}, "toJSON": 1, "constructor": null}');
    const text = 'x'.repeat(5_000_000);
    const own = grader(type, source);
    expect(await own.grade({ output_text: text }, item)).toEqual({ reward: 5_000_002 });
    expect(await own.grade({ output_text: '\ud800\u0000' }, item)).toEqual({ reward: 4 });
  });
});

/** Ids of this process's children that run or are left unburied. */
function children(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        // After the name, which is in parentheses and may hold anything: state and parent.
        const [, parent] = readFileSync(`/proc/${pid}/stat`, 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ');
        return Number(parent) === process.pid ? [Number(pid)] : [];
      } catch {
        return [];
      }
    });
}

describe('a pool', () => {
  it.runIf(process.platform === 'linux')('replaces a process that was ended, and leaves none behind', async () => {
    const others = children();
    const own = (): number[] => children().filter((pid) => !others.includes(pid));
    const sandboxes = openSandboxes({ workers: 1, memoryMb: 96 });
    const call = (source: string) =>
      compileGrader({ type: 'javascript', name: 'own', source, timeout_ms: SHORT_TIMEOUT_MS }, { sandboxes }).grade(
        sampleOf('four', 'stop'),
        ITEM,
      );
    await sandboxes.javascript.warm();
    const [first, ...rest] = own();
    expect(rest).toEqual([]);
    await expect(call('export function grade() { for (;;) try { for (;;); } catch {} }')).rejects.toMatchObject({
      kind: 'javascript_grader_server_error',
      reason: 'timeout',
    });
    expect(await call('export function grade() { return null.x; }').catch((error) => error.kind)).toBe(
      'javascript_grader_runtime_error',
    );
    // QuickJS ended the first call itself; one whose stack ran over is not trusted any more.
    await expect(call(`export const grade = () => ${'('.repeat(20000)}1${')'.repeat(20000)};`)).rejects.toMatchObject({
      kind: 'javascript_grader_runtime_error',
    });
    expect(await call('export const grade = () => 2;')).toEqual({ reward: 2 });
    await expect.poll(() => own().length, { timeout: 30_000 }).toBe(1);
    expect(own()).not.toEqual([first]);
    sandboxes.close();
    await expect.poll(own, { timeout: 30_000 }).toEqual([]);
  });

  it('forgets calls that nobody waits for before their turn', async () => {
    const source = 'export function grade({ sample }) { if (sample.output_text === "slow") for (;;); return 1; }';
    const own = grader('javascript', source, { timeout_ms: SHORT_TIMEOUT_MS });
    const slow = own.grade(sampleOf('slow'), {}).catch((error) => error.reason);
    const abort = new AbortController();
    const left = own.grade(sampleOf('x'), {}, { signal: abort.signal }).catch((error) => error.message);
    abort.abort();
    expect(await left).toBe('The call was given up before its turn.');
    expect(await slow).toBe('timeout');
    await expect(own.grade(sampleOf('x'), {}, { signal: abort.signal })).rejects.toThrow('given up');
  });

  it('takes calls in turn, and one that is slow costs the others nothing', async () => {
    const slow = ended('javascript', 'export function grade() { for (;;); }', SHORT_TIMEOUT_MS);
    const quick = Array.from({ length: 20 }, () => ended('javascript', canary.javascript));
    expect(await slow).toBe('timeout');
    expect(await Promise.all(quick)).toEqual(quick.map(() => 0.5));
  });

  it('fails what is asked of it after it was closed', async () => {
    const closed = openSandboxes({ workers: 1 });
    closed.close();
    const definition = { type: 'javascript', name: 'own', source: canary.javascript };
    await expect(
      compileGrader(definition, { sandboxes: closed }).grade(sampleOf('four', 'stop'), ITEM),
    ).rejects.toMatchObject({ kind: 'javascript_grader_server_error', reason: 'unavailable' });
  });
});
