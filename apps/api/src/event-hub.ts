import { type Database, type EventRecord, type JobStatus, pollEvents } from '@polymode/db';
import type { Logger } from '@polymode/telemetry';

/** Milliseconds between two looks for news. */
const POLL_MS = 500;
/** Milliseconds until a look that somebody has reason to hope for: new readers come in crowds, and one look serves all. */
const SOON_MS = 20;
/** Milliseconds of silence after which a reader hears that the line is open: proxies cut those that are still. */
const KEEP_ALIVE_MS = 15_000;
/** Events of one look, for all readers together. */
const POLL_LIMIT = 5000;

/** What a reader hears next. */
export interface News {
  /** Oldest first; none when it is only told that the line is open. */
  events: EventRecord[];
  /** The job has ended and these were its last events. */
  ended: boolean;
}

interface Reader {
  readonly jobId: string;
  afterSequence: number;
  heardAt: number;
  /** Whether there may be more that it has not got: it is new, or got as much as one look gives. */
  behind: boolean;
  /** Present while it waits. */
  wake: ((news: News | null) => void) | null;
}

const ENDED: ReadonlySet<JobStatus> = new Set(['succeeded', 'failed', 'cancelled']);

/**
 * Tells any number of readers what happens to their jobs, for two SQL statements each half second. A reader keeps its own place, so
 * none misses an event or hears one twice; one that is slow to take what it got is not asked for more.
 */
export class EventHub {
  private readonly readers = new Set<Reader>();
  private timer: NodeJS.Timeout | undefined;
  private timerIsSoon = false;
  private looking = false;
  private closed = false;

  constructor(
    private readonly db: Database,
    private readonly logger: Logger,
  ) {}

  /** How many follow a job now. */
  get size(): number {
    return this.readers.size;
  }

  /**
   * Events of a job, as they happen.
   *
   * @param afterSequence 0 for all
   * @param signal ends it
   */
  async *follow(jobId: string, afterSequence: number, signal: AbortSignal): AsyncGenerator<News> {
    const reader: Reader = { jobId, afterSequence, heardAt: Date.now(), behind: true, wake: null };
    const leave = (): void => tell(reader, null);
    signal.addEventListener('abort', leave);
    this.readers.add(reader);
    try {
      while (!signal.aborted && !this.closed) {
        const news = await new Promise<News | null>((resolve) => {
          reader.wake = resolve;
          this.schedule(reader.behind);
        });
        if (news === null) return;
        reader.afterSequence = news.events.at(-1)?.sequence ?? reader.afterSequence;
        reader.heardAt = Date.now();
        yield news;
        if (news.ended) return;
      }
    } finally {
      signal.removeEventListener('abort', leave);
      this.readers.delete(reader);
    }
  }

  /** Ends every reader's line. */
  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    for (const reader of this.readers) tell(reader, null);
  }

  /** A look under way sees to the next one itself. */
  private schedule(soon: boolean): void {
    if (this.closed || this.looking || (this.timer !== undefined && (this.timerIsSoon || !soon))) return;
    clearTimeout(this.timer);
    this.timerIsSoon = soon;
    this.timer = setTimeout(() => void this.look(), soon ? SOON_MS : POLL_MS);
  }

  private async look(): Promise<void> {
    this.timer = undefined;
    this.looking = true;
    const waiting = [...this.readers].filter((reader) => reader.wake !== null);
    let failed = false;
    try {
      const news = waiting.length === 0 ? [] : await pollEvents(this.db, waiting, POLL_LIMIT);
      for (const [i, { status, events, complete }] of news.entries()) {
        const reader = waiting[i]!;
        reader.behind = !complete;
        const ended = complete && (status === null || ENDED.has(status));
        const still = Date.now() - reader.heardAt >= KEEP_ALIVE_MS;
        if (events.length > 0 || ended || still) tell(reader, { events, ended });
      }
    } catch (err) {
      // The database may be back at the next look, and nobody's place is lost.
      failed = true;
      this.logger.warn({ err, readers: waiting.length }, 'could not look for events');
    } finally {
      this.looking = false;
      const still = [...this.readers].filter((reader) => reader.wake !== null);
      if (still.length > 0) this.schedule(!failed && still.some(({ behind }) => behind));
    }
  }
}

function tell(reader: Reader, news: News | null): void {
  const { wake } = reader;
  reader.wake = null;
  wake?.(news);
}
