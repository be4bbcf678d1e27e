import type { Grammar } from './grammar.js';
import type { Shortest } from './shortest.js';
import type { Trie } from './trie.js';

/**
 * Tokens that suffice from each node to the end of its rule: those that the shortest way's bytes are cut into, fewest, but none
 * over the bounds of a rule. So it is at least the fewest there are; and there always is a token that lowers it.
 *
 * @returns by node; Infinity for those that lead nowhere
 */
export function tokenCosts({ nodes, rules }: Grammar, shortest: Shortest, trie: Trie): Float64Array {
  const { order, step, byte } = shortest;
  const costs = new Float64Array(nodes.length).fill(Number.POSITIVE_INFINITY);
  const child = childOf(trie);
  const inTokens = (from: number): number => {
    let least = Number.POSITIVE_INFINITY;
    let at = from;
    for (let node = -1; byte[at]! >= 0 || step[at]! >= 0; ) {
      if (byte[at]! >= 0) {
        node = child(node, byte[at]!);
        if (node < 0) break;
      }
      const reads = byte[at]! >= 0;
      at = step[at]!;
      if (reads && trie.token[node]! >= 0) least = Math.min(least, 1 + costs[at]!);
    }
    return least;
  };
  for (const at of order) {
    const { end, calls, repeat } = nodes[at]!;
    if (end) costs[at] = 0;
    else if (byte[at]! >= 0) costs[at] = inTokens(at);
    else if (step[at]! >= 0) costs[at] = costs[step[at]!]!;
    else {
      // Ways that are not worked out yet are longer.
      for (let e = 0; e < calls.length; e += 2) {
        costs[at] = Math.min(costs[at]!, costs[rules[calls[e]!]!]! + costs[calls[e + 1]!]!);
      }
      if (repeat !== null) {
        const each = repeat.min === 0 ? 0 : repeat.min * costs[rules[repeat.rule]!]!;
        costs[at] = Math.min(costs[at]!, each + costs[repeat.next]!);
      }
    }
  }
  return costs;
}

/** The node below another by a byte; −1 for the root, and where there is none. */
function childOf({ byte, end }: Trie): (node: number, by: number) => number {
  const find = (from: number, to: number, by: number): number => {
    for (let i = from; i < to; i = end[i]!) if (byte[i] === by) return i;
    return -1;
  };
  const first = Array.from({ length: 256 }, (_, b) => find(0, byte.length, b));
  return (node, by) => (node < 0 ? first[by]! : find(node + 1, end[node]!, by));
}
