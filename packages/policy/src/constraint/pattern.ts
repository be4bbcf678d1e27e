/**
 * Regular expressions of JSON Schema (ECMA-262 with the u flag) as automata over characters. Left out, since no automaton of
 * bounded size knows them or their use is rare: back references, look-around, word boundaries and Unicode properties.
 */
import { ANY_CHARACTER, type CodePoints, complement, union } from './code-points.js';
import { remember } from './remember.js';

/** A deterministic automaton over characters; its first state is 0. */
export interface Automaton {
  readonly states: readonly AutomatonState[];
}

export interface AutomatonState {
  readonly edges: readonly { readonly on: CodePoints; readonly to: number }[];
  readonly accepting: boolean;
}

/** What a pattern has that this package has not; `message` says what to change. */
export class PatternError extends Error {
  override readonly name = 'PatternError';
}

const MAX_NFA = 20_000;
const MAX_STATES = 4_000;

/** An edge of the automaton with guesses: on a character, on nothing, at the text's beginning, or at its end. */
interface Edge {
  readonly on: CodePoints | 'nothing' | 'beginning' | 'end';
  readonly to: number;
}

/**
 * Texts that contain a match of the pattern, as JSON Schema has it.
 *
 * @throws PatternError for what is no regular expression, or more than one
 */
export function patternAutomaton(pattern: string): Automaton {
  try {
    new RegExp(pattern, 'u');
  } catch (error) {
    throw new PatternError(`is no regular expression: ${error instanceof Error ? error.message : error}`);
  }
  const nfa: Edge[][] = [];
  const state = (): number => {
    if (nfa.length >= MAX_NFA) throw new PatternError(`repeats too much: it unfolds to more than ${MAX_NFA} steps`);
    nfa.push([]);
    return nfa.length - 1;
  };
  const [start, accept] = [state(), state()];
  const tree = new Parser(pattern).whole();
  nfa[accept]!.push({ on: ANY_CHARACTER, to: accept });
  const first = assemble(tree, accept, nfa, state);
  nfa[start]!.push({ on: ANY_CHARACTER, to: start }, { on: 'nothing', to: first });
  return determinize(nfa, start, accept);
}

type Tree =
  | { readonly kind: 'characters'; readonly set: CodePoints }
  | { readonly kind: 'beginning' | 'end' }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Tree[] }
  | { readonly kind: 'repeat'; readonly part: Tree; readonly min: number; readonly max: number };

/** Builds a tree's states in front of `next`. */
function assemble(tree: Tree, next: number, nfa: Edge[][], state: () => number): number {
  switch (tree.kind) {
    case 'characters': {
      const at = state();
      nfa[at]!.push({ on: tree.set, to: next });
      return at;
    }
    case 'beginning':
    case 'end': {
      const at = state();
      nfa[at]!.push({ on: tree.kind, to: next });
      return at;
    }
    case 'sequence':
      return tree.parts.reduceRight((after, part) => assemble(part, after, nfa, state), next);
    case 'choice': {
      const at = state();
      for (const part of tree.parts) nfa[at]!.push({ on: 'nothing', to: assemble(part, next, nfa, state) });
      return at;
    }
    case 'repeat': {
      let after = next;
      if (tree.max === Number.POSITIVE_INFINITY) {
        after = state();
        nfa[after]!.push({ on: 'nothing', to: assemble(tree.part, after, nfa, state) }, { on: 'nothing', to: next });
      } else {
        for (let i = tree.min; i < tree.max; i++) {
          const at = state();
          nfa[at]!.push({ on: 'nothing', to: assemble(tree.part, after, nfa, state) }, { on: 'nothing', to: next });
          after = at;
        }
      }
      for (let i = 0; i < tree.min; i++) after = assemble(tree.part, after, nfa, state);
      return after;
    }
  }
}

function determinize(nfa: readonly Edge[][], start: number, accept: number): Automaton {
  const closure = (from: Iterable<number>, over: readonly string[]): number[] => {
    const found = new Set(from);
    for (const at of found) {
      for (const { on, to } of nfa[at]!) if (typeof on === 'string' && over.includes(on)) found.add(to);
    }
    return [...found].sort((a, b) => a - b);
  };
  const numbers = new Map<string, number>();
  const sets: number[][] = [];
  const numberOf = (set: number[]): number => {
    // The states with characters, and where the text may end, are all that counts.
    const key = set.join();
    return remember(numbers, key, () => {
      if (sets.length >= MAX_STATES) {
        throw new PatternError(`needs more than ${MAX_STATES} states: make it simpler or shorter`);
      }
      return sets.push(set) - 1;
    });
  };
  // Not under its key: a text that comes back to these states is no longer at its beginning.
  sets.push(closure([start], ['nothing', 'beginning']));
  const states: AutomatonState[] = [];
  for (let i = 0; i < sets.length; i++) {
    const edges = sets[i]!.flatMap((at) => nfa[at]!).filter(
      (e): e is Edge & { on: CodePoints } => typeof e.on !== 'string',
    );
    const ways = split(edges).map(({ range, to }) => ({ range, to: numberOf(closure(to, ['nothing'])) }));
    const over = i === 0 ? ['nothing', 'beginning', 'end'] : ['nothing', 'end'];
    states.push({ edges: merged(ways), accepting: closure(sets[i]!, over).includes(accept) });
  }
  return { states };
}

/** Cuts what edges read into ranges that each lead to the same targets. */
function split(edges: readonly { on: CodePoints; to: number }[]): { range: readonly [number, number]; to: number[] }[] {
  const events: { at: number; to: number; opens: boolean }[] = [];
  for (const { on, to } of edges) {
    for (const [low, high] of on) events.push({ at: low, to, opens: true }, { at: high + 1, to, opens: false });
  }
  events.sort((a, b) => a.at - b.at);
  const open = new Map<number, number>();
  const out: { range: readonly [number, number]; to: number[] }[] = [];
  let from = 0;
  for (const { at, to, opens } of events) {
    if (at > from && open.size > 0) out.push({ range: [from, at - 1], to: [...open.keys()] });
    from = at;
    const count = (open.get(to) ?? 0) + (opens ? 1 : -1);
    if (count === 0) open.delete(to);
    else open.set(to, count);
  }
  return out;
}

function merged(ways: readonly { range: readonly [number, number]; to: number }[]): { on: CodePoints; to: number }[] {
  const byTarget = new Map<number, (readonly [number, number])[]>();
  for (const { range, to } of ways) {
    const ranges = byTarget.get(to);
    if (ranges === undefined) byTarget.set(to, [range]);
    else ranges.push(range);
  }
  return [...byTarget].map(([to, ranges]) => ({ on: union(ranges), to }));
}

/** Texts that both accept. @throws PatternError when that takes too many states */
export function both(a: Automaton, b: Automaton): Automaton {
  const numbers = new Map<number, number>();
  const pairs: [number, number][] = [];
  const numberOf = (i: number, j: number): number => {
    const key = i * b.states.length + j;
    return remember(numbers, key, () => {
      if (pairs.length >= MAX_STATES) {
        throw new PatternError(
          `needs more than ${MAX_STATES} states together with other limits: make it simpler or shorter`,
        );
      }
      return pairs.push([i, j]) - 1;
    });
  };
  numberOf(0, 0);
  const states: AutomatonState[] = [];
  for (let n = 0; n < pairs.length; n++) {
    const [x, y] = [a.states[pairs[n]![0]]!, b.states[pairs[n]![1]]!];
    const ways = x.edges.flatMap((p) =>
      y.edges.flatMap((q) => overlap(p.on, q.on).map((range) => ({ range, to: numberOf(p.to, q.to) }))),
    );
    states.push({ edges: merged(ways), accepting: x.accepting && y.accepting });
  }
  return { states };
}

function overlap(a: CodePoints, b: CodePoints): [number, number][] {
  return a.flatMap(([l1, h1]) =>
    b.flatMap(([l2, h2]): [number, number][] =>
      Math.max(l1, l2) <= Math.min(h1, h2) ? [[Math.max(l1, l2), Math.min(h1, h2)]] : [],
    ),
  );
}

/** Texts of so many characters. */
export function lengthAutomaton(min: number, max: number): Automaton {
  const last = max === Number.POSITIVE_INFINITY ? min : max;
  if (last >= MAX_STATES)
    throw new PatternError(
      `cannot go with a length of ${last}: at most ${MAX_STATES - 1} characters beside a pattern or format`,
    );
  return {
    states: Array.from({ length: last + 1 }, (_, n) => {
      const to = n < last ? n + 1 : max === Number.POSITIVE_INFINITY ? n : null;
      return { edges: to === null ? [] : [{ on: ANY_CHARACTER, to }], accepting: n >= min };
    }),
  };
}

/** Every text but these. */
export function otherThan(texts: readonly string[]): Automaton {
  const children: Map<number, number>[] = [new Map()];
  const named = new Set<number>();
  for (const text of texts) {
    let at = 0;
    for (const character of text) {
      const c = character.codePointAt(0)!;
      at = remember(children[at]!, c, () => children.push(new Map()) - 1);
    }
    named.add(at);
  }
  const free = children.length;
  const states = children.map((ways, n): AutomatonState => {
    const known = [...ways].map(([c, to]) => ({ on: [[c, c]] as const, to }));
    const rest = complement(union([...ways.keys()].map((c) => [c, c] as const)));
    return { edges: [...known, { on: rest, to: free }], accepting: !named.has(n) };
  });
  return { states: [...states, { edges: [{ on: ANY_CHARACTER, to: free }], accepting: true }] };
}

const DIGITS: CodePoints = [[0x30, 0x39]];
const WORD = union([
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
]);
const SPACES = union(
  [0x20, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000, 0xfeff]
    .map((c) => [c, c] as const)
    .concat([
      [9, 13],
      [0x2000, 0x200a],
    ]),
);
const LINE_ENDS = union([
  [10, 10],
  [13, 13],
  [0x2028, 0x2029],
]);
const CLASSES: Readonly<Record<string, CodePoints>> = {
  d: DIGITS,
  D: complement(DIGITS),
  w: WORD,
  W: complement(WORD),
  s: SPACES,
  S: complement(SPACES),
};
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, '0': 0 };

/** Deeper groups would overflow the stack of what reads them. */
const MAX_DEPTH = 200;

/** Reads a pattern that JavaScript has found to be a regular expression with the u flag. */
class Parser {
  private readonly characters: readonly string[];
  private at = 0;
  private depth = 0;

  constructor(pattern: string) {
    this.characters = [...pattern];
  }

  whole(): Tree {
    return this.choice();
  }

  private peek(text: string): boolean {
    return [...text].every((c, i) => this.characters[this.at + i] === c);
  }

  private take(text: string): boolean {
    if (!this.peek(text)) return false;
    this.at += text.length;
    return true;
  }

  private choice(): Tree {
    if (++this.depth > MAX_DEPTH) throw new PatternError(`nests groups more than ${MAX_DEPTH} deep`);
    const parts: Tree[] = [];
    do {
      const terms: Tree[] = [];
      while (this.at < this.characters.length && !this.peek('|') && !this.peek(')')) terms.push(this.term());
      parts.push({ kind: 'sequence', parts: terms });
    } while (this.take('|'));
    this.depth--;
    return parts.length === 1 ? parts[0]! : { kind: 'choice', parts };
  }

  private term(): Tree {
    if (this.take('^')) return { kind: 'beginning' };
    if (this.take('$')) return { kind: 'end' };
    if (this.take('(')) return this.repeated(this.group());
    if (this.take('[')) return this.repeated({ kind: 'characters', set: this.bracket() });
    if (this.take('.')) return this.repeated({ kind: 'characters', set: complement(LINE_ENDS) });
    if (this.take('\\')) {
      const letter = this.characters[this.at]!;
      if (/[1-9kbBpP]/.test(letter))
        throw new PatternError(`has \\${letter}, which is not supported: write it without`);
      return this.repeated({ kind: 'characters', set: this.escape() });
    }
    const c = this.characters[this.at++]!.codePointAt(0)!;
    return this.repeated({ kind: 'characters', set: union([[c, c]]) });
  }

  private group(): Tree {
    if (this.take('?')) {
      if (this.take('<') && !this.peek('=') && !this.peek('!')) {
        while (!this.take('>')) this.at++;
      } else if (!this.take(':')) {
        throw new PatternError('has a look-around or flags in a group, which are not supported: write it without');
      }
    }
    const inside = this.choice();
    this.take(')');
    return inside;
  }

  private repeated(part: Tree): Tree {
    let [min, max] = [1, 1];
    if (this.take('*')) [min, max] = [0, Number.POSITIVE_INFINITY];
    else if (this.take('+')) [min, max] = [1, Number.POSITIVE_INFINITY];
    else if (this.take('?')) [min, max] = [0, 1];
    else if (this.take('{')) {
      min = this.integer();
      max = this.take(',') ? (this.peek('}') ? Number.POSITIVE_INFINITY : this.integer()) : min;
      this.take('}');
    } else return part;
    this.take('?'); // which match is found first is of no account
    return { kind: 'repeat', part, min, max };
  }

  private integer(): number {
    let digits = '';
    while (/[0-9]/.test(this.characters[this.at] ?? '')) digits += this.characters[this.at++];
    return Number(digits);
  }

  /** What follows a backslash. */
  private escape(): CodePoints {
    const letter = this.characters[this.at++]!;
    const known = CLASSES[letter];
    if (known !== undefined) return known;
    const c = this.escaped(letter);
    return union([[c, c]]);
  }

  private escaped(letter: string): number {
    if (CONTROLS[letter] !== undefined) return CONTROLS[letter];
    if (letter === 'x') return this.hex(2);
    if (letter === 'c') return this.characters[this.at++]!.codePointAt(0)! % 32;
    if (letter !== 'u') return letter.codePointAt(0)!;
    if (this.take('{')) {
      let digits = '';
      while (!this.take('}')) digits += this.characters[this.at++];
      return Number.parseInt(digits, 16);
    }
    const first = this.hex(4);
    if (first >> 10 !== 0x36 || !this.peek('\\u')) return first;
    const before = this.at;
    this.at += 2;
    const second = this.hex(4);
    if (second >> 10 === 0x37) return 0x10000 + ((first & 0x3ff) << 10) + (second & 0x3ff);
    this.at = before;
    return first;
  }

  private hex(digits: number): number {
    const text = this.characters.slice(this.at, this.at + digits).join('');
    this.at += digits;
    return Number.parseInt(text, 16);
  }

  private bracket(): CodePoints {
    const negated = this.take('^');
    const ranges: (readonly [number, number])[] = [];
    while (!this.take(']')) {
      const low = this.member();
      if (typeof low !== 'number') ranges.push(...low);
      else if (this.peek('-') && this.characters[this.at + 1] !== ']') {
        this.at++;
        ranges.push([low, this.member() as number]);
      } else ranges.push([low, low]);
    }
    const set = union(ranges);
    return negated ? complement(set) : set;
  }

  private member(): number | CodePoints {
    if (!this.take('\\')) return this.characters[this.at++]!.codePointAt(0)!;
    const letter = this.characters[this.at++]!;
    if (/[pP]/.test(letter))
      throw new PatternError(`has \\${letter}, which is not supported: list the ranges of characters`);
    if (letter === 'b') return 8;
    return CLASSES[letter] ?? this.escaped(letter);
  }
}
