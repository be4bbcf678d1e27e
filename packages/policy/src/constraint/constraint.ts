import type { Grammar } from './grammar.js';
import { Machine, type State } from './machine.js';
import { Masks } from './masks.js';
import { waysOf } from './shortest.js';
import { tokenCosts } from './token-costs.js';
import type { Trie } from './trie.js';

export interface AllowedOptions {
  /**
   * The same as the completion's. With it the text is led to a short end before that many tokens are said, if so many suffice
   * (`minTokens`); without it, or where they do not, a completion may end in the middle of its text, by its length.
   */
  readonly maxTokens?: number | undefined;
}

/** How far a completion is read: its tokens so far, and the machine after them. */
interface Reading {
  count: number;
  last: number;
  state: State;
}

/** What a model may say, token by token, so that the whole follows a grammar. Serves any number of completions at once. */
export class Constraint {
  /**
   * Tokens that a completion needs at least, the stop token with them, for its end to be sure: an upper bound of the fewest
   * possible. With a smaller maxTokens it may end by its length.
   */
  readonly minTokens: number;
  private readonly machine: Machine;
  private readonly masks: Masks;

  /**
   * @param trie the vocabulary's
   * @param stopTokens allowed where the text may end, and nowhere else
   */
  constructor(
    grammar: Grammar,
    private readonly trie: Trie,
    stopTokens: readonly number[],
  ) {
    this.machine = new Machine(grammar, tokenCosts(grammar, waysOf(grammar), trie));
    this.masks = new Masks(grammar, this.machine, trie, stopTokens);
    this.minTokens = this.machine.start().cost + 1;
  }

  /**
   * A function for `SamplingOptions.allowed`: the tokens that may come next, as a bit mask that is not to be changed. One
   * function does for all completions of a request; what it has read of each it knows by the array of its tokens.
   *
   * @throws Error, that function, for tokens that it did not allow
   */
  allowed({ maxTokens = Number.POSITIVE_INFINITY }: AllowedOptions = {}): (tokens: readonly number[]) => Uint32Array {
    const readings = new WeakMap<readonly number[], Reading>();
    return (tokens) => {
      const { state } = this.read(tokens, readings);
      const left = maxTokens - tokens.length;
      const mask = this.masks.of(state);
      // After a token of the mask, `left − 1` are left; and the end takes its cost and a stop token.
      const steers = mask.worst + 2 > left && state.cost + 1 <= left;
      return (steers ? this.masks.within(state, left - 1) : mask).words;
    };
  }

  /** Whether tokens are the beginning of a text that follows the grammar, and whether it is whole. */
  check(tokens: readonly number[]): 'open' | 'complete' | 'wrong' {
    let state: State | null = this.machine.start();
    for (const token of tokens) {
      const bytes = this.trie.bytes[token] ?? null;
      state = bytes === null || state === null ? null : this.machine.after(state, bytes);
    }
    return state === null ? 'wrong' : state.complete ? 'complete' : 'open';
  }

  private read(tokens: readonly number[], readings: WeakMap<readonly number[], Reading>): Reading {
    this.machine.tidy();
    let reading = readings.get(tokens);
    const goesOn =
      reading !== undefined &&
      reading.count <= tokens.length &&
      (reading.count === 0 || tokens[reading.count - 1] === reading.last);
    if (reading === undefined || !goesOn) {
      reading = { count: 0, last: -1, state: this.machine.start() };
      readings.set(tokens, reading);
    }
    for (; reading.count < tokens.length; reading.count++) {
      const token = tokens[reading.count]!;
      const bytes = this.trie.bytes[token] ?? null;
      const next = bytes === null ? null : this.machine.after(reading.state, bytes);
      if (next === null)
        throw new Error(`token ${token}, number ${reading.count + 1} of the completion, was not allowed`);
      reading.state = next;
      reading.last = token;
    }
    return reading;
  }
}
