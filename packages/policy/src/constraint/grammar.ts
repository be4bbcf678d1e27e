/**
 * Grammars over bytes: recursive transition networks. A rule is an automaton whose edges read a byte, or call a rule and go on
 * when that has ended; so a machine for them is a finite automaton with a stack (machine.ts).
 */
import { SchemaError } from './error.js';
import { remember } from './remember.js';

export interface Node {
  /** edges that read one byte: lowest, highest, target, and so on in threes */
  readonly bytes: number[];
  /** edges that read nothing */
  readonly empty: number[];
  /** a rule, and the node after it, in pairs */
  readonly calls: number[];
  /** a rule between `min` and `max` times, then the node `next` */
  repeat: Repeat | null;
  /** the rule may end here */
  end: boolean;
  /**
   * Inside of a string: the masks of such nodes are worked out together with those around them up to the string's end, and
   * shared by all places that hold such a string.
   */
  readonly lexical: boolean;
}

export interface Repeat {
  readonly rule: number;
  readonly min: number;
  readonly max: number;
  readonly next: number;
}

export interface Grammar {
  readonly nodes: readonly Node[];
  /** first node of each rule */
  readonly rules: readonly number[];
  /** the rule that a text as a whole follows */
  readonly root: number;
}

/** A part of a rule: given the node that comes after it, the node that it begins with. */
export type Piece = (next: number) => number;

/** An enum of 20,000 names fits; what unfolds to more than this does not, so that no schema takes much more than a second. */
const MAX_NODES = 200_000;

/** Where every rule ends. */
const END = 0;

export class GrammarBuilder {
  readonly nodes: Node[] = [{ bytes: [], empty: [], calls: [], repeat: null, end: true, lexical: false }];
  private readonly rules: number[] = [];
  private inString = false;
  /** rules that some text must follow, and where they come from */
  readonly promised: { readonly rule: number; readonly pointer: string }[] = [];
  /** where rules come from, as far as that is known */
  readonly places = new Map<number, string>();
  /** places of which no text can be */
  readonly unfulfilled: { readonly pointer: string; readonly reason: string }[] = [];

  node(): number {
    if (this.nodes.length >= MAX_NODES) {
      throw new SchemaError(
        '',
        `unfolds to more than ${MAX_NODES} steps: shorten its enums, patterns or lists of properties`,
      );
    }
    this.nodes.push({ bytes: [], empty: [], calls: [], repeat: null, end: false, lexical: this.inString });
    return this.nodes.length - 1;
  }

  /** Makes room for a rule, which may be called before `define` says what it is. */
  declare(): number {
    this.rules.push(-1);
    return this.rules.length - 1;
  }

  define(rule: number, piece: Piece): void {
    this.rules[rule] = piece(END);
  }

  rule(piece: Piece): number {
    const rule = this.declare();
    this.define(rule, piece);
    return rule;
  }

  /** A rule for the inside of a string. */
  lexicalRule(piece: Piece): number {
    const before = this.inString;
    this.inString = true;
    try {
      return this.rule(piece);
    } finally {
      this.inString = before;
    }
  }

  /** One byte from `low` to `high`. */
  byte(low: number, high: number = low): Piece {
    return (next) => {
      const at = this.node();
      this.nodes[at]!.bytes.push(low, high, next);
      return at;
    };
  }

  text(text: string): Piece {
    const bytes = [...new TextEncoder().encode(text)];
    return sequence(bytes.map((b) => this.byte(b)));
  }

  call(rule: number): Piece {
    return (next) => {
      const at = this.node();
      this.nodes[at]!.calls.push(rule, next);
      return at;
    };
  }

  oneOf(pieces: readonly Piece[]): Piece {
    return (next) => {
      const at = this.node();
      for (const piece of pieces) this.nodes[at]!.empty.push(piece(next));
      return at;
    };
  }

  optional(piece: Piece): Piece {
    return this.oneOf([piece, (next) => next]);
  }

  /** @param rule reads at least one byte */
  repeat(rule: number, min: number, max: number): Piece {
    return (next) => {
      const at = this.node();
      this.nodes[at]!.repeat = { rule, min, max, next };
      return at;
    };
  }

  /** One of some byte strings, by a trie. */
  words(words: Iterable<Uint8Array>): Piece {
    return (next) => {
      const start = this.node();
      const children = new Map<number, Map<number, number>>();
      for (const word of words) {
        let at = start;
        for (const [i, byte] of word.entries()) {
          if (i === word.length - 1) {
            this.nodes[at]!.bytes.push(byte, byte, next);
            break;
          }
          const parent = at;
          at = remember(
            remember(children, parent, () => new Map<number, number>()),
            byte,
            () => {
              const child = this.node();
              this.nodes[parent]!.bytes.push(byte, byte, child);
              return child;
            },
          );
        }
      }
      return start;
    };
  }

  build(root: number): Grammar {
    return { nodes: this.nodes, rules: this.rules, root };
  }
}

export function sequence(pieces: readonly Piece[]): Piece {
  return (next) => pieces.reduceRight((after, piece) => piece(after), next);
}
