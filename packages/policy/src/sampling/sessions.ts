import { compileGraph, type Engine, type Session, type Tensor } from '@polymode/autodiff';

/** Some for sampling, and one for each shape of batch that is scored. */
const MOST_SESSIONS = 24;

/** Compiled graphs by key. Those used longest ago are released when there are too many. */
export class SessionCache {
  private readonly sessions = new Map<string, Promise<Session>>();

  constructor(
    private readonly engine: Engine,
    private readonly most: number = MOST_SESSIONS,
  ) {}

  /** How many there are. */
  get size(): number {
    return this.sessions.size;
  }

  /** @param kept prefixes of outputs that runs keep as variables */
  get(key: string, build: () => Record<string, Tensor>, kept: readonly string[] = []): Promise<Session> {
    let session = this.sessions.get(key);
    if (session === undefined) {
      const graph = compileGraph(build(), this.engine.profile);
      const names = graph.outputs.map((o) => o.name).filter((name) => kept.some((prefix) => name.startsWith(prefix)));
      session = this.engine.compile(graph, names);
      session.catch(() => this.sessions.delete(key));
    }
    // Maps keep the order of insertion: what is used goes to the end.
    this.sessions.delete(key);
    this.sessions.set(key, session);
    for (const [oldest, old] of this.sessions) {
      if (this.sessions.size <= this.most) break;
      this.sessions.delete(oldest);
      release(old);
    }
    return session;
  }

  /** Releases all of them; whoever asks for one again compiles it again. */
  clear(): void {
    for (const session of this.sessions.values()) release(session);
    this.sessions.clear();
  }
}

/** Runs that were asked for before are done before: the engine keeps the order. */
function release(session: Promise<Session>): void {
  session.then((s) => s.release()).catch(() => {}); // what failed to compile has nothing to release
}
