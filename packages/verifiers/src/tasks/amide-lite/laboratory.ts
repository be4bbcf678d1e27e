import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { BlockChoice, Molecule } from './molecule.js';
import type { Asked, Question, Reply } from './protocol.js';

/** Milliseconds for starting the thread, which loads RDKit. */
const LOADING_MS = 120_000;

/** Milliseconds for one answer; most take 2, and a space of all blocks a few seconds. A net below the cap on length. */
const EXAMINE_MS = 60_000;
const SPACE_MS = 120_000;

/** RDKit's memory has 16 MiB and stays there; a thread that has taken more than this is replaced. */
const MOST_MEMORY = 128 * 2 ** 20;

/** How many texts and spaces are remembered. */
const MOLECULES_KEPT = 4096;
const SPACES_KEPT = 16;

/** Threads that a question may crash. */
const ATTEMPTS = 2;

/** There is no answer, and it is not the molecule's fault. */
export class ChemistryError extends Error {
  override readonly name = 'ChemistryError';
}

/** A question that crashes RDKit whenever it is asked. */
class Crash extends ChemistryError {}

interface Job {
  readonly question: Question;
  attempts: number;
  settle(answer: Reply['answer'] | ChemistryError): void;
}

interface Thread {
  readonly worker: Worker;
  readonly port: MessagePort;
  readonly replies: Int32Array;
  ready: boolean;
}

/**
 * Asks RDKit, which lives in a thread of its own: it computes up to seconds for hostile input and has no caps, and input that
 * overflows its stack leaves it unusable. The thread is started by the first question, has one question at a time, and is
 * replaced when it crashes or takes too long.
 *
 * Each question can be awaited, or be answered at once while the caller's thread waits.
 */
export class Laboratory {
  private readonly molecules = new Map<string, Molecule | null>();
  private readonly spaces = new Map<string, readonly Molecule[]>();
  private readonly pending = new Map<string, Promise<Molecule | null>>();
  private readonly queue: Job[] = [];
  private current: { readonly id: number; readonly job: Job } | null = null;
  private thread: Thread | null = null;
  private timer: NodeJS.Timeout | undefined;
  private deadline = 0;
  private lastId = 0;
  /** threads started so far, and the bytes of RDKit's memory when it last replied */
  readonly figures = { threads: 0, memoryBytes: 0 };

  constructor(
    private readonly threadFile = new URL('./chemistry/thread.js', import.meta.url),
    private readonly examineMs = EXAMINE_MS,
  ) {}

  /**
   * @param smiles of at most some hundred characters
   * @returns null when it is no molecule that is accepted, or crashes RDKit every time
   * @throws ChemistryError when there is no answer in time
   */
  async examine(smiles: string): Promise<Molecule | null> {
    const known = this.recall(smiles);
    if (known !== undefined) return known;
    let answer = this.pending.get(smiles);
    if (answer === undefined) {
      answer = new Promise((resolve, reject) => {
        this.ask({ kind: 'examine', smiles }, (found) => {
          this.pending.delete(smiles);
          try {
            resolve(this.keep(smiles, found));
          } catch (error) {
            reject(error);
          }
        });
      });
      this.pending.set(smiles, answer);
    }
    return answer;
  }

  /** As `examine`; the calling thread does nothing else meanwhile. */
  examineNow(smiles: string): Molecule | null {
    const known = this.recall(smiles);
    return known !== undefined ? known : this.keep(smiles, this.askNow({ kind: 'examine', smiles }));
  }

  /** Every molecule that these blocks can make. The calling thread waits: seconds for all blocks, the first time. */
  spaceNow({ acids, linkers, amines }: BlockChoice): readonly Molecule[] {
    const id = JSON.stringify([acids, linkers, amines]);
    let space = this.spaces.get(id);
    if (space === undefined) {
      const found = this.askNow({ kind: 'space', blocks: { acids, linkers, amines } });
      if (found instanceof ChemistryError) throw found;
      space = found as readonly Molecule[];
      remember(this.spaces, id, space, SPACES_KEPT);
    }
    return space;
  }

  /** undefined when it is not known; what is asked for often is kept longest */
  private recall(smiles: string): Molecule | null | undefined {
    const known = this.molecules.get(smiles);
    if (known === undefined) return undefined;
    this.molecules.delete(smiles);
    this.molecules.set(smiles, known);
    return known;
  }

  private keep(smiles: string, found: Reply['answer'] | ChemistryError): Molecule | null {
    if (found instanceof ChemistryError && !(found instanceof Crash)) throw found;
    const molecule = found instanceof Crash ? null : (found as Molecule | null);
    remember(this.molecules, smiles, molecule, MOLECULES_KEPT);
    return molecule;
  }

  private ask(question: Question, settle: Job['settle']): void {
    this.queue.push({ question, attempts: 0, settle });
    this.next();
  }

  private askNow(question: Question): Reply['answer'] | ChemistryError {
    let answer: { readonly found: Reply['answer'] | ChemistryError } | null = null;
    const job: Job = {
      question,
      attempts: 0,
      settle: (found) => {
        answer = { found };
      },
    };
    this.queue.unshift(job);
    this.next();
    // Replies to earlier questions may come first; they are handed on as ever.
    while (answer === null) {
      const { replies } = this.thread!;
      const seen = Atomics.load(replies, 0);
      if (this.receive() || answer !== null) continue;
      const left = this.deadline - performance.now();
      if (left <= 0 || Atomics.wait(replies, 0, seen, left) === 'timed-out') this.timedOut();
    }
    return (answer as { readonly found: Reply['answer'] | ChemistryError }).found;
  }

  /** Hands the next question to the thread, if it has none. */
  private next(): void {
    if (this.current !== null) return;
    const job = this.queue.shift();
    if (job === undefined) return;
    this.thread ??= this.start();
    this.current = { id: ++this.lastId, job };
    job.attempts++;
    this.thread.port.postMessage({ id: this.lastId, question: job.question } satisfies Asked);
    this.setTimer();
  }

  private start(): Thread {
    const { port1: port, port2 } = new MessageChannel();
    const replies = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(this.threadFile, {
      workerData: { port: port2, replies },
      transferList: [port2],
    });
    const thread = { worker, port, replies, ready: false };
    port.on('message', (reply: Reply) => this.handle(thread, reply));
    worker.on('error', (error) => this.handle(thread, { id: -1, crash: String(error), memoryBytes: 0 }));
    // Only a question that is being answered keeps the process alive, by its timer.
    port.unref();
    worker.unref();
    this.figures.threads++;
    return thread;
  }

  private setTimer(): void {
    clearTimeout(this.timer);
    if (this.current === null) return;
    const { kind } = this.current.job.question;
    const allowed = !this.thread?.ready ? LOADING_MS : kind === 'space' ? SPACE_MS : this.examineMs;
    this.deadline = performance.now() + allowed;
    this.timer = setTimeout(() => {
      // The reply may be here already if this thread was busy itself.
      while (this.receive());
      if (performance.now() >= this.deadline) this.timedOut();
    }, allowed);
  }

  /** Takes one reply that has come. @returns whether there was one */
  private receive(): boolean {
    const thread = this.thread;
    const received = thread === null ? undefined : receiveMessageOnPort(thread.port);
    if (received === undefined) return false;
    this.handle(thread!, received.message as Reply);
    return true;
  }

  private handle(thread: Thread, { id, answer, crash, memoryBytes }: Reply): void {
    if (thread !== this.thread) return;
    this.figures.memoryBytes = memoryBytes;
    if (crash !== undefined) {
      this.lost(new Crash(`RDKit stopped: ${crash}`));
    } else if (id === 0) {
      thread.ready = true;
      this.setTimer();
    } else {
      const { job } = this.current!;
      if (memoryBytes > MOST_MEMORY) this.end();
      this.settle(job, answer);
    }
  }

  private timedOut(): void {
    if (this.current === null) return;
    this.lost(new ChemistryError('RDKit did not answer in time.'));
  }

  /** The thread is of no use any more. */
  private lost(reason: ChemistryError): void {
    const ready = this.thread?.ready ?? false;
    const job = this.current?.job;
    this.end();
    if (job === undefined) return;
    if (!ready) this.settle(job, new ChemistryError(reason.message));
    else if (reason instanceof Crash && job.attempts < ATTEMPTS) {
      this.current = null;
      this.queue.unshift(job);
      this.next();
    } else this.settle(job, reason);
  }

  private settle(job: Job, answer: Reply['answer'] | ChemistryError): void {
    this.current = null;
    clearTimeout(this.timer);
    job.settle(answer);
    this.next();
  }

  private end(): void {
    const thread = this.thread;
    this.thread = null;
    thread?.port.close();
    void thread?.worker.terminate();
  }
}

/** Adds to a map that forgets what came first. */
function remember<T>(map: Map<string, T>, key: string, value: T, most: number): void {
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value!);
}
