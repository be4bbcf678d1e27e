import type { CacheMemory } from '@polymode/policy';

/** What a model's completions have of the memory. */
interface Caches {
  bytes: number;
  /** what they wait for with nothing that runs, and since when */
  waiting: { readonly bytes: number; readonly since: number } | null;
}

export interface MemoryBudgetOptions {
  readonly bytes: number;
  /** bytes of weights, those that are being loaded included */
  readonly weights: () => number;
  /** Lets go of a model that nobody uses. @returns false when there is none */
  readonly evict: () => boolean;
}

/** Nothing that runs could make room by its end. */
export class StuckError extends Error {}

/**
 * Weights of models and caches of completions within one budget. Models that nobody uses make room; then who asks waits for
 * completions to end, and until it has its room no others join.
 */
export class MemoryBudget {
  private readonly caches = new Set<Caches>();
  private loads = 0;
  private clock = 0;
  private listeners: (() => void)[] = [];

  constructor(private readonly options: MemoryBudgetOptions) {}

  /** Bytes of caches that are promised. */
  get cacheBytes(): number {
    return [...this.caches].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** The memory of one model's completions. */
  open(): CacheMemory & { close(): void } {
    const own: Caches = { bytes: 0, waiting: null };
    this.caches.add(own);
    return {
      claim: (bytes, joining) => this.claim(own, bytes, joining),
      release: () => {
        own.waiting = null;
        this.claim(own, 0, false);
      },
      freed: () => this.change(),
      close: () => {
        this.caches.delete(own);
        this.changed();
      },
    };
  }

  /**
   * Waits until so many bytes of weights fit.
   *
   * @param take counts them from then on
   * @throws StuckError where the weights of models in use leave no room
   */
  async roomForWeights(bytes: number, take: () => void): Promise<void> {
    this.loads++;
    try {
      while (!this.fits(bytes)) {
        if (this.options.weights() + bytes > this.options.bytes) throw new StuckError();
        await this.change();
      }
      take();
    } finally {
      this.loads--;
      this.changed();
    }
  }

  /** Something has ended: those that wait look again. */
  changed(): void {
    for (const listener of this.listeners.splice(0)) listener();
  }

  private claim(own: Caches, bytes: number, joining: boolean): boolean {
    if (bytes <= own.bytes) {
      const less = bytes < own.bytes;
      own.bytes = bytes;
      if (less) this.changed();
      return true;
    }
    if ((joining && this.othersWait(own)) || !this.fits(bytes - own.bytes)) {
      if (own.bytes > 0) return false;
      if (this.isStuck(own)) throw new StuckError();
      own.waiting = { bytes, since: own.waiting?.since ?? ++this.clock };
      return false;
    }
    own.bytes = bytes;
    own.waiting = null;
    return true;
  }

  /** Whoever waits longer goes first while others run, and so does who has nothing. */
  private othersWait(own: Caches): boolean {
    if (this.loads > 0) return true;
    const since = own.waiting?.since ?? Number.POSITIVE_INFINITY;
    return this.cacheBytes > 0 && this.others(own).some(({ waiting }) => waiting !== null && waiting.since < since);
  }

  /** Whoever could make room waits as well, and cannot go on either: who asks last gives up. */
  private isStuck(own: Caches): boolean {
    const waiting = this.others(own).flatMap((other) => other.waiting ?? []);
    const nothingRuns = this.loads === 0 && this.cacheBytes === 0;
    return nothingRuns && waiting.length > 0 && !waiting.some(({ bytes }) => this.fits(bytes));
  }

  private others(own: Caches): Caches[] {
    return [...this.caches].filter((other) => other !== own);
  }

  private fits(more: number): boolean {
    const { bytes, weights, evict } = this.options;
    while (weights() + this.cacheBytes + more > bytes) if (!evict()) return false;
    return true;
  }

  private change(): Promise<void> {
    return new Promise((resolve) => this.listeners.push(resolve));
  }
}
