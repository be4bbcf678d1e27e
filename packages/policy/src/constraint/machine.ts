/**
 * A grammar at work: byte by byte, all ways at once that the text so far can be read. A way is a stack of nodes, kept as a
 * list that shares its lower parts with others and is the same object whenever it has the same nodes; a state is a set of ways.
 * States and their successors are made when first met, and kept.
 */
import type { Grammar } from './grammar.js';
import { LEADS, PLAIN } from './plain.js';
import { remember } from './remember.js';

/** A node, and under it where to go on when its rule has ended. */
export class Frame {
  private readonly above = new Map<number, Frame>();

  constructor(
    /** different for any two that are not the same */
    readonly id: number,
    readonly node: number,
    /** how often the node's repeated rule was read */
    readonly count: number,
    readonly parent: Frame | null,
    /** tokens that a short way from here to the end of the text takes */
    readonly cost: number,
  ) {}

  /** The frame with this node on top of this one. */
  push(node: number, count: number, nodes: number, make: () => Frame): Frame {
    const key = count * nodes + node;
    return remember(this.above, key, make);
  }

  forget(): void {
    this.above.clear();
  }
}

export class State {
  /** by byte: undefined until asked, null where no way goes on */
  readonly next: (State | null | undefined)[] = new Array(256).fill(undefined);
  /** see `Machine.room`; null until asked */
  room: Room | null = null;

  constructor(
    readonly id: string,
    /** tops of the ways that may go on, each at a node that reads bytes */
    readonly ways: readonly Frame[],
    /** the text may end here */
    readonly complete: boolean,
    /** a way has left the part of the grammar that is looked at */
    readonly leaves: boolean,
    /** tokens that a short way to the end takes */
    readonly cost: number,
  ) {}
}

/** What a state makes of plain text (plain.ts). */
export interface Room {
  /** so many characters, whichever, may follow without an end of what is looked at; may be Infinity */
  readonly characters: number;
  /** no state among them costs more */
  readonly worst: number;
}

/** Ways followed at once; of more the shortest are kept. That only ever takes away choices. */
const MAX_WAYS = 2_000;
/** Frames met while settling one state; a schema that needs more is hostile. */
const MAX_SETTLED = 200_000;
/** Frames and states made before all are forgotten: some 40 MB. */
const MAX_MADE = 20_000;

export class Machine {
  /** under all frames of a text: its end */
  private readonly top = new Frame(0, -1, 0, null, 0);
  /** under all frames of a part of the grammar that is looked at on its own */
  private readonly bottom = new Frame(1, -2, 0, null, 0);
  private made = 0;
  /** ids go on when all is forgotten, since callers may still hold older states */
  private nextId = 2;
  private states = new Map<string, State>();
  private readonly starts: readonly number[];

  /** @param costs tokens of a short way from each node to the end of its rule; Infinity where there is none */
  constructor(
    private readonly grammar: Grammar,
    private readonly costs: Float64Array,
  ) {
    this.starts = grammar.rules;
  }

  /** Before the first byte. */
  start(): State {
    return this.settle([this.frame(this.top, this.starts[this.grammar.root]!, 0)]);
  }

  /** Goes on below a way, as when its part has ended. */
  below(frame: Frame): State {
    return this.settle([frame]);
  }

  isEnd(frame: Frame): boolean {
    return frame === this.top;
  }

  /** The same nodes without what lies under them. @param path from the lowest to the top */
  part(path: readonly { readonly node: number; readonly count: number }[]): State {
    return this.settle([path.reduce<Frame>((under, { node, count }) => this.frame(under, node, count), this.bottom)]);
  }

  step(state: State, byte: number): State | null {
    const known = state.next[byte];
    if (known !== undefined) return known;
    const { nodes } = this.grammar;
    const reached: Frame[] = [];
    for (const way of state.ways) {
      const { bytes } = nodes[way.node]!;
      for (let e = 0; e < bytes.length; e += 3) {
        if (bytes[e]! <= byte && byte <= bytes[e + 1]! && this.costs[bytes[e + 2]!]! < Number.POSITIVE_INFINITY) {
          reached.push(this.frame(way.parent!, bytes[e + 2]!, 0));
        }
      }
    }
    const next = reached.length === 0 ? null : this.settle(reached);
    state.next[byte] = next;
    return next;
  }

  /** How much plain text may follow, as far as all of it leads to one state. @param most characters to look for */
  room(state: State, most: number): Room {
    const chain: State[] = [];
    let room = state.room;
    for (let at = state; room === null; ) {
      const over = this.overCharacter(at);
      if (over === null) room = { characters: 0, worst: 0 };
      else if (over.next === at) room = { characters: Number.POSITIVE_INFINITY, worst: Math.max(at.cost, over.worst) };
      else {
        chain.push(at);
        room = over.next.room ?? (chain.length > most ? { characters: 0, worst: 0 } : null);
        at = over.next;
        continue;
      }
      at.room = room;
    }
    for (let at = chain.pop(); at !== undefined; at = chain.pop()) {
      const over = this.overCharacter(at)!;
      room = { characters: room.characters + 1, worst: Math.max(room.worst, over.next.cost, over.worst) };
      at.room = room;
    }
    return room;
  }

  /** The one state that all plain characters lead to, and the highest cost inside of them; null where there is none. */
  private overCharacter(state: State): { next: State; worst: number } | null {
    const next = this.step(state, PLAIN[0]!);
    if (next === null || next.leaves || PLAIN.some((b) => this.step(state, b) !== next)) return null;
    let worst = 0;
    const seen = new Set<string>();
    const whole = (at: State | null, more: number, low: number, high: number): boolean => {
      if (at === null || at.leaves) return false;
      worst = Math.max(worst, at.cost);
      const key = `${at.id} ${more} ${low} ${high}`;
      if (seen.has(key)) return true;
      seen.add(key);
      for (let b = low; b <= high; b++) {
        const to = this.step(at, b);
        if (more === 1 ? to !== next : !whole(to, more - 1, 0x80, 0xbf)) return false;
      }
      return true;
    };
    for (const { low, high, more, second } of LEADS) {
      for (let b = low; b <= high; b++) if (!whole(this.step(state, b), more, ...second)) return null;
    }
    return { next, worst };
  }

  /** The state after some bytes; null where the text is none of the grammar's. */
  after(state: State, bytes: Uint8Array): State | null {
    let at: State | null = state;
    for (let i = 0; i < bytes.length && at !== null; i++) at = this.step(at, bytes[i]!);
    return at;
  }

  /** Forgets what was made when that is much. @returns whether it was */
  tidy(): boolean {
    if (this.made < MAX_MADE) return false;
    this.made = 0;
    this.top.forget();
    this.bottom.forget();
    this.states = new Map();
    return true;
  }

  private frame(parent: Frame, node: number, count: number): Frame {
    return parent.push(node, count, this.grammar.nodes.length, () => {
      this.made++;
      return new Frame(this.nextId++, node, count, parent, this.costOf(node, count) + parent.cost);
    });
  }

  private costOf(node: number, count: number): number {
    const { repeat } = this.grammar.nodes[node]!;
    if (repeat === null) return this.costs[node]!;
    const { rule, min, next } = repeat;
    return Math.max(0, min - count) === 0
      ? this.costs[next]!
      : (min - count) * this.costs[this.starts[rule]!]! + this.costs[next]!;
  }

  /** Follows all that reads nothing. */
  private settle(from: readonly Frame[]): State {
    const { nodes } = this.grammar;
    const seen = new Set(from);
    const ways: Frame[] = [];
    const alive = (node: number): boolean => this.costs[node]! < Number.POSITIVE_INFINITY;
    for (const frame of seen) {
      if (frame.parent === null) continue;
      const { bytes, empty, calls, repeat, end } = nodes[frame.node]!;
      if (bytes.length > 0) ways.push(frame);
      if (end) seen.add(frame.parent);
      for (const to of empty) if (alive(to)) seen.add(this.frame(frame.parent, to, 0));
      for (let e = 0; e < calls.length; e += 2) {
        const [start, next] = [this.starts[calls[e]!]!, calls[e + 1]!];
        if (alive(start) && alive(next)) seen.add(this.frame(this.returning(frame.parent, next), start, 0));
      }
      if (repeat !== null) this.again(frame, repeat.rule, seen);
      if (seen.size > MAX_SETTLED) throw new Error('the grammar has too many ways to read this text');
    }
    if (ways.length > MAX_WAYS) {
      ways.sort((a, b) => a.cost - b.cost || a.id - b.id);
      ways.length = MAX_WAYS;
    }
    const complete = seen.has(this.top);
    const leaves = seen.has(this.bottom);
    const id = `${ways
      .map((f) => f.id)
      .sort((a, b) => a - b)
      .join()}${complete ? ' complete' : ''}${leaves ? ' leaves' : ''}`;
    return remember(this.states, id, () => {
      this.made++;
      const cost =
        complete || leaves ? 0 : ways.reduce((least, way) => Math.min(least, way.cost), Number.POSITIVE_INFINITY);
      return new State(id, ways, complete, leaves, cost);
    });
  }

  /** Where a call goes on: what would end at once need not be kept. */
  private returning(parent: Frame, next: number): Frame {
    const { bytes, empty, calls, repeat, end } = this.grammar.nodes[next]!;
    const over = end && bytes.length + empty.length + calls.length === 0 && repeat === null;
    return over ? parent : this.frame(parent, next, 0);
  }

  /** One more of a repeated rule, or on. */
  private again(frame: Frame, rule: number, seen: Set<Frame>): void {
    const { min, max, next } = this.grammar.nodes[frame.node]!.repeat!;
    const start = this.starts[rule]!;
    if (frame.count < max && this.costs[start]! < Number.POSITIVE_INFINITY) {
      // Beyond the least number without a most, counts are all the same.
      const count = max === Number.POSITIVE_INFINITY ? Math.min(frame.count + 1, min) : frame.count + 1;
      seen.add(this.frame(this.frame(frame.parent!, frame.node, count), start, 0));
    }
    if (frame.count >= min && this.costs[next]! < Number.POSITIVE_INFINITY)
      seen.add(this.frame(frame.parent!, next, 0));
  }
}
