import {
  newQuickJSWASMModuleFromVariant,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSRuntime,
  Scope,
} from 'quickjs-emscripten-core';
import { OUTPUT_LIMIT } from '../limits.js';
import type { SandboxAnswer, SandboxFailure, SandboxReply, SandboxRequest } from '../protocol.js';
import { PRELUDE } from './prelude.js';

/** Bytes of stack; WebAssembly's own is larger. */
const STACK_BYTES = 256 * 1024;

/** Jobs of promises between two looks at the clock. */
const JOBS_AT_ONCE = 1000;

const FILE = 'grader.js';
const HOW = 'Write: export function grade({ sample, item }) { return ... } with a number or { reward, outcome }.';

/** Loads QuickJS, compiled to WebAssembly. Each request has a runtime of its own; none outlives its request. */
export async function openEvaluator(memoryLimitBytes: number): Promise<(request: SandboxRequest) => SandboxReply> {
  const quickjs = await newQuickJSWASMModuleFromVariant(import('@jitl/quickjs-wasmfile-release-sync'));
  return (request) => {
    let answer: SandboxAnswer | null = null;
    try {
      const runtime = quickjs.newRuntime();
      runtime.setMemoryLimit(memoryLimitBytes);
      runtime.setMaxStackSize(STACK_BYTES);
      const context = runtime.newContext();
      answer = new Evaluation(runtime, context, request).run();
      context.dispose();
      runtime.dispose();
      return { answer };
    } catch (error) {
      // The engine itself stopped, or does not give back all it took: nothing in it can be relied on.
      const message = `The interpreter stopped: ${String(error).slice(0, 200)}`;
      // A stack that ran over is what the source did.
      const own = request.kind === 'check' ? 'definition' : 'runtime';
      const kind = error instanceof RangeError ? own : 'crash';
      return { answer: answer ?? { ok: false, failure: { kind, message } }, retire: true };
    }
  };
}

/** What was thrown in the grader, or about it. */
class Failed extends Error {
  constructor(readonly failure: SandboxFailure) {
    super(failure.message);
  }
}

class Evaluation {
  private readonly deadline: number;
  private output = '';

  constructor(
    private readonly runtime: QuickJSRuntime,
    private readonly context: QuickJSContext,
    private readonly request: SandboxRequest,
  ) {
    this.deadline = performance.now() + request.timeoutMs;
    runtime.setInterruptHandler(() => this.isLate());
  }

  run(): SandboxAnswer {
    try {
      return Scope.withScope((scope) => this.inScope(scope));
    } catch (error) {
      if (!(error instanceof Failed)) throw error;
      const { failure } = error;
      const printed = this.output && `Printed:\n${this.output}`;
      const details = [failure.details, printed].filter(Boolean).join('\n') || undefined;
      return { ok: false, failure: { ...failure, details } };
    }
  }

  private inScope(scope: Scope): SandboxAnswer {
    const { context, request } = this;
    const prelude = this.loadPrelude(scope);
    const grade = this.loadGrader(scope, prelude);
    if (request.kind === 'check') return { ok: true, reward: 0 };
    const call = (name: string, argument: QuickJSHandle) => {
      const fn = scope.manage(context.getProp(prelude, name));
      return this.value(scope, prelude, context.callFunction(fn, context.undefined, argument), 'runtime');
    };
    const text = scope.manage(context.newString(JSON.stringify(request.input)));
    const input = call('parse', text);
    const returned = this.value(scope, prelude, context.callFunction(grade, context.undefined, input), 'runtime');
    const settled = this.settle(
      scope,
      prelude,
      call('settle', returned),
      'runtime',
      'The promise that grade returned never settles.',
    );
    const result = context.dump(call('read', settled)) as string | { reward: number; outcome?: string };
    if (typeof result === 'string') throw new Failed({ kind: 'runtime', message: result });
    return { ok: true, reward: result.reward, outcome: result.outcome };
  }

  private loadPrelude(scope: Scope): QuickJSHandle {
    const { context } = this;
    const print = scope.manage(
      context.newFunction('print', (text) => {
        if (this.output.length < OUTPUT_LIMIT) this.output += `${context.getString(text)}\n`.slice(0, OUTPUT_LIMIT);
      }),
    );
    const make = scope.manage(context.unwrapResult(context.evalCode(PRELUDE, 'prelude.js')));
    return scope.manage(context.unwrapResult(context.callFunction(make, context.undefined, print)));
  }

  private loadGrader(scope: Scope, prelude: QuickJSHandle): QuickJSHandle {
    const { context, request } = this;
    const kind = request.kind === 'check' ? 'definition' : 'runtime';
    const evaluated = context.evalCode(request.source, FILE, { type: 'module' });
    const value = this.value(scope, prelude, evaluated, kind);
    const module = this.settle(scope, prelude, value, kind, 'The top-level await of the grader never ends.');
    for (const name of ['grade', 'default']) {
      const exported = scope.manage(context.getProp(module, name));
      if (context.typeof(exported) === 'function') return exported;
    }
    throw new Failed({ kind, message: `The source exports no function grade. ${HOW}` });
  }

  /** Runs what promises wait for, until this one is settled. */
  private settle(
    scope: Scope,
    prelude: QuickJSHandle,
    promise: QuickJSHandle,
    kind: SandboxFailure['kind'],
    whenStuck: string,
  ): QuickJSHandle {
    const { context, runtime } = this;
    for (;;) {
      const state = context.getPromiseState(promise);
      if (state.type === 'fulfilled') return state.notAPromise ? promise : scope.manage(state.value);
      if (state.type === 'rejected') throw this.thrown(scope, prelude, scope.manage(state.error), kind);
      if (this.isLate()) throw this.late();
      if (!runtime.hasPendingJob()) throw new Failed({ kind, message: whenStuck });
      const jobs = runtime.executePendingJobs(JOBS_AT_ONCE);
      if (jobs.error) throw this.thrown(scope, prelude, scope.manage(jobs.error), kind);
      jobs.dispose();
    }
  }

  private value(
    scope: Scope,
    prelude: QuickJSHandle,
    result: ReturnType<QuickJSContext['callFunction']>,
    kind: SandboxFailure['kind'],
  ): QuickJSHandle {
    if (result.error) throw this.thrown(scope, prelude, scope.manage(result.error), kind);
    return scope.manage(result.value);
  }

  private thrown(scope: Scope, prelude: QuickJSHandle, error: QuickJSHandle, kind: SandboxFailure['kind']): Failed {
    const { context } = this;
    if (this.isLate()) return this.late();
    const describe = scope.manage(context.getProp(prelude, 'describe'));
    const described = context.callFunction(describe, context.undefined, error);
    if (described.error) {
      described.error.dispose();
      return this.isLate()
        ? this.late()
        : new Failed({ kind: 'memory', message: 'The grader used up its memory or its stack.' });
    }
    const [message, stack] = context.dump(scope.manage(described.value)) as [string, string];
    if (/^InternalError: out of memory/.test(message)) {
      return new Failed({ kind: 'memory', message: 'The grader used up its memory.', details: stack || undefined });
    }
    return new Failed({ kind, message: withHelp(message, stack), details: stack.trim() || undefined });
  }

  private isLate(): boolean {
    return performance.now() > this.deadline;
  }

  private late(): Failed {
    const seconds = this.request.timeoutMs / 1000;
    return new Failed({ kind: 'timeout', message: `The grader did not end within ${seconds} seconds.` });
  }
}

function withHelp(message: string, stack: string): string {
  const [, missing] = /could not load module '([^']*)'/.exec(message) ?? [];
  if (missing !== undefined) return `No module named '${missing}'. A grader is one file and cannot import others.`;
  const [, line] = /^SyntaxError/.test(message) ? (/grader\.js:(\d+)/.exec(stack) ?? []) : [];
  return line === undefined ? message : `Line ${line}: ${message}`;
}
