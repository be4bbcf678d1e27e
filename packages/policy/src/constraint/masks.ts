/**
 * Which tokens may come next in a state: a walk over the vocabulary's prefix tree together with the machine.
 *
 * Most of a mask hangs on the top of a way only: inside a string nearly all tokens stay there, whatever is around. So masks are
 * put together from parts, one for each top of a way (for strings: up to the string's own rule), which are kept; a part says
 * what it allows by itself, and where tokens leave it. Only those few are followed on with what lies under it.
 */
import type { Grammar } from './grammar.js';
import type { Frame, Machine, State } from './machine.js';
import type { Trie } from './trie.js';

/** Tokens that may come next, and what they cost at most. */
export interface Mask {
  /** bit t mod 32 of word ⌊t / 32⌋ for token t */
  readonly words: Uint32Array;
  /** no allowed token leads to a state of a higher cost */
  readonly worst: number;
}

interface Part extends Mask {
  /** nodes of the prefix tree with more below, at which a way has left the part */
  readonly exits: readonly number[];
}

/** Bytes of masks kept, of parts and of wholes each. */
const KEPT = 12 * 2 ** 20;

/** Nodes of the prefix tree from one to before another, which lie below one at `depth`; the state there. */
interface Walk {
  readonly from: number;
  readonly to: number;
  readonly depth: number;
  readonly start: State;
  /** gets the tokens */
  readonly words: Uint32Array;
  /** cost of states that tokens may lead to @defaultValue any */
  readonly most?: number;
  /** gets nodes with more below, at which a way leaves */
  readonly exits?: number[];
}

interface Place {
  readonly node: number;
  readonly count: number;
}

export class Masks {
  private readonly parts: Kept<Part>;
  private readonly wholes: Kept<Mask>;
  private readonly stack: State[] = [];

  constructor(
    private readonly grammar: Grammar,
    private readonly machine: Machine,
    private readonly trie: Trie,
    /** allowed where the text may end */
    private readonly stopTokens: readonly number[],
  ) {
    const most = Math.max(64, Math.floor(KEPT / (this.words * 4)));
    this.parts = new Kept(most);
    this.wholes = new Kept(most);
  }

  private get words(): number {
    return Math.ceil(this.trie.size / 32);
  }

  /** All tokens that may come next. */
  of(state: State): Mask {
    return this.wholes.get(state.id, () => this.whole(state));
  }

  /** Only those after which so many tokens, the stop token with them, suffice to come to the end. */
  within(state: State, left: number): Mask {
    return this.wholes.get(`${state.id} within ${left}`, () => {
      const words = new Uint32Array(this.words);
      const worst = this.walk({ from: 0, to: this.trie.byte.length, depth: 0, start: state, words, most: left - 1 });
      if (state.complete) this.allowStop(words);
      return { words, worst };
    });
  }

  private whole(state: State): Mask {
    const words = new Uint32Array(this.words);
    let worst = 0;
    for (const way of state.ways) {
      const { path, under } = this.placeOf(way);
      const key = path.map(({ node, count }) => `${node}*${count}`).join('/');
      const part = this.parts.get(key, () => this.part(path));
      for (let i = 0; i < words.length; i++) words[i]! |= part.words[i]!;
      worst = Math.max(worst, part.worst + under.cost);
      if (part.exits.length === 0 || this.machine.isEnd(under)) continue;
      const after = this.machine.below(under);
      for (const exit of part.exits) {
        const { end, depth } = this.trie;
        const below = { from: exit + 1, to: end[exit]!, depth: depth[exit]!, start: after, words };
        worst = Math.max(worst, this.walk(below));
      }
    }
    if (state.complete) this.allowStop(words);
    return { words, worst };
  }

  /** The top of a way as far as it is looked at on its own, lowest first, and what lies under that. */
  private placeOf(way: Frame): { path: Place[]; under: Frame } {
    const path: Place[] = [];
    let frame = way;
    do {
      path.unshift({ node: frame.node, count: this.alike(frame) });
      frame = frame.parent!;
    } while (frame.parent !== null && this.lexical(path[0]!.node) && this.lexical(frame.node));
    return { path, under: frame };
  }

  private lexical(node: number): boolean {
    return this.grammar.nodes[node]!.lexical;
  }

  /** A count that no token tells from the frame's own, since none reads that many. */
  private alike({ node, count }: Frame): number {
    const { repeat } = this.grammar.nodes[node]!;
    if (repeat === null) return 0;
    const { min, max } = repeat;
    if (count >= min && max - count > this.trie.longest) return min;
    return min - count > this.trie.longest ? 0 : count;
  }

  private part(path: readonly Place[]): Part {
    const words = new Uint32Array(this.words);
    const exits: number[] = [];
    const start = this.machine.part(path);
    const worst = this.walk({ from: 0, to: this.trie.byte.length, depth: 0, start, words, exits });
    return { words, worst, exits };
  }

  /** Allows the tokens of a part of the prefix tree that a state can read. @returns the highest cost that one leads to */
  private walk({ from, to, depth, start, words, most = Number.POSITIVE_INFINITY, exits }: Walk): number {
    const { machine, stack, trie } = this;
    const { byte, depth: depths, end, token, plain } = trie;
    let highest = 0;
    stack[depth] = start;
    for (let i = from; i < to; ) {
      const at = depths[i]!;
      const before = stack[at - 1]!;
      if (plain[i]! > 0) {
        const room = before.room ?? machine.room(before, trie.longest);
        if (plain[i]! <= room.characters && room.worst <= most) {
          // All below is read without a change that counts: most tokens of a string.
          highest = Math.max(highest, room.worst);
          for (const last = end[i]!; i < last; i++) if (token[i]! >= 0) this.allow(words, token[i]!);
          continue;
        }
      }
      const known = before.next[byte[i]!];
      const state = known === undefined ? machine.step(before, byte[i]!) : known;
      if (state === null) {
        i = end[i]!;
        continue;
      }
      if (token[i]! >= 0 && state.cost <= most) {
        if (state.cost > highest) highest = state.cost;
        this.allow(words, token[i]!);
      }
      if (exits !== undefined && state.leaves && end[i]! > i + 1) exits.push(i);
      stack[at] = state;
      i++;
    }
    return highest;
  }

  private allow(words: Uint32Array, first: number): void {
    const { twin } = this.trie;
    for (let token = first; token >= 0; token = twin[token]!) words[token >> 5]! |= 1 << (token & 31);
  }

  private allowStop(words: Uint32Array): void {
    for (const token of this.stopTokens) if (token < this.trie.size) words[token >> 5]! |= 1 << (token & 31);
  }
}

/** What was used last, up to a number. */
class Kept<T> {
  private readonly items = new Map<string, T>();

  constructor(private readonly most: number) {}

  get(key: string, make: () => T): T {
    let item = this.items.get(key);
    if (item === undefined) {
      item = make();
      if (this.items.size >= this.most) this.items.delete(this.items.keys().next().value!);
    } else this.items.delete(key);
    this.items.set(key, item);
    return item;
  }
}
