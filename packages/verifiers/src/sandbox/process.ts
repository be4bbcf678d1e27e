import { type ChildProcess, spawn } from 'node:child_process';
import { FrameReader } from './frames.js';
import { MemoryWatch } from './memory-watch.js';
import { readReply, type SandboxAnswer, type SandboxCall, type SandboxFailure, type SandboxReply } from './protocol.js';

/** How to start a process of one language. */
export interface SandboxProgram {
  /** as in messages: Python */
  readonly language: string;
  /** arguments of node */
  readonly args: readonly string[];
  /** bytes of resident memory at which the process is ended, whatever uses them */
  readonly residentLimitBytes: number;
  /** milliseconds beyond its cap that a call has for ending by itself before the process is ended */
  readonly graceMs: number;
}

/** Bytes of the longest reply, as reward, outcome, message and details are bounded in the process; so many are read at once. */
const REPLY_LIMIT_BYTES = 512 * 1024;

/** Milliseconds; far more than a start takes on a loaded machine. */
const START_LIMIT_MS = 60_000;

/** Characters of what a process that did not start said. */
const LAST_WORDS = 2000;

/** One process in which code of users runs, one call at a time. */
export class SandboxProcess {
  /** resolves when calls are served; rejects when that does not come about */
  readonly ready: Promise<void>;
  /** false once it has been stopped or has ended by itself */
  alive = true;
  private readonly child: ChildProcess;
  private readonly watch: MemoryWatch;
  private lastWords = '';
  private onMessage: (text: string) => void = () => {};
  private onEnd: (failure: SandboxFailure) => void = () => {};

  constructor(private readonly program: SandboxProgram) {
    // An empty environment: nothing of ours can be read there.
    this.child = spawn(process.execPath, [...program.args], { env: {}, cwd: '/', stdio: ['pipe', 'pipe', 'pipe'] });
    this.watch = new MemoryWatch(this.child.pid, program.residentLimitBytes, () =>
      this.end({ kind: 'memory', message: 'The grader used up its memory.' }),
    );
    const reader = new FrameReader(REPLY_LIMIT_BYTES, (text) => this.onMessage(text));
    this.child.stdout?.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk);
      } catch {
        this.end({ kind: 'crash', message: 'The sandbox sent a reply that is too long.' });
      }
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.lastWords = (this.lastWords + text).slice(-LAST_WORDS);
    });
    this.child.stdin?.on('error', () => this.end(this.crash()));
    this.child.once('error', (error) => this.end({ kind: 'unavailable', message: error.message }));
    this.child.once('exit', (code, signal) => this.end(this.crash(code, signal)));
    this.ready = this.start();
  }

  private start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer);
        this.onEnd = () => {};
        this.onMessage = () => {};
      };
      const timer = setTimeout(
        () => this.end({ kind: 'unavailable', message: 'It did not start in time.' }),
        START_LIMIT_MS,
      );
      timer.unref();
      this.onMessage = () => {
        settle();
        this.keepsUsAlive(false);
        resolve();
      };
      this.onEnd = ({ message }) => {
        settle();
        reject(new Error(`The ${this.program.language} sandbox cannot start: ${message} ${this.lastWords}`.trim()));
      };
    });
  }

  /** Never rejects. The process is stopped when the call goes over its time, and when it asks for it. */
  call({ request, timeoutMs }: SandboxCall): Promise<SandboxAnswer> {
    if (!this.alive) return Promise.resolve({ ok: false, failure: this.crash() });
    return new Promise((resolve) => {
      const settle = (answer: SandboxAnswer) => {
        clearTimeout(timer);
        this.watch.stop();
        this.onMessage = () => {};
        this.onEnd = () => {};
        this.keepsUsAlive(false);
        resolve(answer);
      };
      const timer = setTimeout(
        () => this.end({ kind: 'timeout', message: `The grader did not end within ${timeoutMs / 1000} seconds.` }),
        timeoutMs + this.program.graceMs,
      );
      this.onEnd = (failure) => settle({ ok: false, failure });
      this.onMessage = (text) => {
        const reply: SandboxReply | null = readReply(text);
        const answer = reply?.answer ?? { ok: false as const, failure: this.crash() };
        settle(answer);
        if (reply === null || reply.retire) this.stop();
      };
      this.keepsUsAlive(true);
      this.watch.start();
      this.child.stdin?.write(request);
    });
  }

  /** Ends the process at once; a call that is under way fails. */
  stop(): void {
    this.end({ kind: 'unavailable', message: 'The sandbox has been closed.' });
  }

  private end(failure: SandboxFailure): void {
    if (!this.alive) return;
    this.alive = false;
    this.watch.stop();
    this.child.kill('SIGKILL');
    this.onEnd(failure);
  }

  private crash(code: number | null = null, signal: string | null = null): SandboxFailure {
    const how = signal ?? (code === null ? '' : `exit code ${code}`);
    return { kind: 'crash', message: `The interpreter ended in the middle of the call${how && `, with ${how}`}.` };
  }

  /** An idle sandbox is no reason for this process to go on; one that starts or works is. */
  private keepsUsAlive(yes: boolean): void {
    for (const part of [this.child, this.child.stdin, this.child.stdout, this.child.stderr]) {
      const handle = part as { ref?: () => void; unref?: () => void } | null;
      if (yes) handle?.ref?.();
      else handle?.unref?.();
    }
  }
}
