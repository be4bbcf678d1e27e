/** Rules for JSON strings: any, of some length, of a pattern. Each begins and ends with the quote. */
import { ANY_CHARACTER, type CodePoints, character, UNUSUAL } from './code-points.js';
import { type GrammarBuilder, type Piece, sequence } from './grammar.js';
import { type Automaton, both, lengthAutomaton } from './pattern.js';
import { remember } from './remember.js';

export interface StringLimits {
  /** characters: Unicode code points, as JSON Schema counts them */
  readonly minLength: number;
  /** may be Infinity */
  readonly maxLength: number;
  /** all of them are to accept the text */
  readonly patterns: readonly Automaton[];
}

/** A rule for a string. @throws PatternError when patterns and limits together take too many states */
export function stringRule(builder: GrammarBuilder, { minLength, maxLength, patterns }: StringLimits): number {
  const limited = minLength > 0 || maxLength < Number.POSITIVE_INFINITY;
  return builder.lexicalRule((next) => {
    if (patterns.length > 0) {
      const limits = limited ? [lengthAutomaton(minLength, maxLength)] : [];
      return automatonString(builder, [...patterns, ...limits].reduce(both))(next);
    }
    const inside = limited
      ? builder.repeat(builder.rule(character(builder, ANY_CHARACTER)), minLength, maxLength)
      : anyCharacters(builder);
    return sequence([builder.byte(0x22), inside, builder.byte(0x22)])(next);
  });
}

/** A loop is cheaper to follow than calls, and most strings are of this kind. */
function anyCharacters(builder: GrammarBuilder): Piece {
  return (next) => {
    const loop = builder.node();
    builder.nodes[loop]!.empty.push(character(builder, ANY_CHARACTER)(loop), next);
    return loop;
  };
}

function automatonString(builder: GrammarBuilder, { states }: Automaton): Piece {
  return (next) => {
    const nodes = states.map(() => builder.node());
    const close = builder.byte(0x22)(next);
    const rules = new Map<string, number>();
    const ruleOf = (set: CodePoints): number =>
      remember(rules, set.join(), () => builder.rule(character(builder, set, UNUSUAL)));
    for (const [i, { edges, accepting }] of states.entries()) {
      const node = builder.nodes[nodes[i]!]!;
      for (const { on, to } of edges) if (on.length > 0) node.calls.push(ruleOf(on), nodes[to]!);
      if (accepting) node.empty.push(close);
    }
    return builder.byte(0x22)(nodes[0]!);
  };
}
