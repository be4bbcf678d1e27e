import { selfReference } from './conjunction.js';
import { SchemaError } from './error.js';
import type { Grammar, GrammarBuilder, Piece } from './grammar.js';
import { waysOf } from './shortest.js';

/** The grammar of a whole text. @throws SchemaError when a rule that is promised has no text, or would call itself for ever */
export function finish(builder: GrammarBuilder, whole: Piece): Grammar {
  const grammar = builder.build(builder.rule(whole));
  const { bytes } = waysOf(grammar);
  for (const { rule, pointer } of builder.promised) {
    if (bytes[grammar.rules[rule]!]! < Number.POSITIVE_INFINITY) continue;
    const cause = builder.unfulfilled.find((place) => place.pointer.startsWith(pointer));
    if (cause !== undefined) throw new SchemaError(cause.pointer, `${cause.reason}: no value is valid`);
    checkLoops(grammar, builder);
    throw new SchemaError(pointer, 'requires itself again and again: no value would ever end');
  }
  checkLoops(grammar, builder);
  return grammar;
}

/** A rule that calls itself before it has read a byte would be called for ever. */
function checkLoops(grammar: Grammar, builder: GrammarBuilder): void {
  const { nodes, rules } = grammar;
  const { bytes } = waysOf(grammar);
  const ruleAt = new Map(rules.map((start, rule) => [start, rule]));
  // Only what a text may be empty of can stand before such a call.
  const onwards = (at: number): number[] => {
    const { empty, calls, repeat } = nodes[at]!;
    const next = [...empty];
    const call = (rule: number, after: number): void => {
      next.push(rules[rule]!);
      if (bytes[rules[rule]!] === 0) next.push(after);
    };
    for (let e = 0; e < calls.length; e += 2) call(calls[e]!, calls[e + 1]!);
    if (repeat !== null) {
      call(repeat.rule, repeat.next);
      if (repeat.min === 0) next.push(repeat.next);
    }
    return next;
  };
  const [OPEN, DONE] = [1, 2];
  const seen = new Uint8Array(nodes.length);
  for (let start = 0; start < nodes.length; start++) {
    if (seen[start] !== 0) continue;
    const path = [{ at: start, ways: onwards(start) }];
    seen[start] = OPEN;
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const to = top.ways.pop();
      if (to === undefined) {
        seen[top.at] = DONE;
        path.pop();
      } else if (seen[to] === OPEN) {
        const places = path.map(({ at }) => builder.places.get(ruleAt.get(at) ?? -1)).filter((p) => p !== undefined);
        throw selfReference(places.at(-1) ?? '');
      } else if (seen[to] === 0) {
        seen[to] = OPEN;
        path.push({ at: to, ways: onwards(to) });
      }
    }
  }
}
