import { compileGraph, type Engine, type Session, type Tensor } from '@polymode/autodiff';

/** Compiled graphs by key. Those used longest ago are released when there are too many. */
export class SessionCache {
  private readonly sessions = new Map<string, Promise<Session>>();

  constructor(
    private readonly engine: Engine,
    private readonly most: number,
  ) {}

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
      old.then((s) => s.release()).catch(() => {}); // what failed to compile has nothing to release
    }
    return session;
  }
}
