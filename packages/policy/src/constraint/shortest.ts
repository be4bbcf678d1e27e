/**
 * The shortest way to the end from each node of a grammar. What has none leads nowhere: a value that contains itself, or a
 * condition that nothing fulfils.
 */
import type { Grammar } from './grammar.js';
import { Heap } from './heap.js';
import { remember } from './remember.js';

export interface Shortest {
  /** bytes from each node to the end of its rule; Infinity where that cannot be reached */
  readonly bytes: Float64Array;
  /** nodes by `bytes`, fewest first, each after those that its way goes over; nodes that lead nowhere are left out */
  readonly order: Int32Array;
  /** the next node on the way where that reads a byte or nothing, else −1 */
  readonly step: Int32Array;
  /** the byte that the step reads, or −1 for nothing */
  readonly byte: Int16Array;
}

const known = new WeakMap<Grammar, Shortest>();

/** The shortest ways of a grammar, worked out once. */
export function waysOf(grammar: Grammar): Shortest {
  return remember(known, grammar, () => shortestWays(grammar));
}

/**
 * Knuth's generalisation of Dijkstra's algorithm to grammars (Information Processing Letters 6 (1), 1977): a node's cost is
 * final once it is the least of those left, since no way is cheaper than any part of it.
 */
function shortestWays({ nodes, rules }: Grammar): Shortest {
  const n = nodes.length;
  const bytes = new Float64Array(n).fill(Number.POSITIVE_INFINITY);
  const done = new Uint8Array(n);
  const step = new Int32Array(n).fill(-1);
  const byte = new Int16Array(n).fill(-1);
  const order: number[] = [];
  const before = dependents({ nodes, rules });
  const heap = new Heap();
  const offer = (node: number, cost: number, to = -1, by = -1): void => {
    if (done[node] === 1 || !(cost < bytes[node]!)) return;
    bytes[node] = cost;
    step[node] = to;
    byte[node] = by;
    heap.push(node, cost);
  };
  for (const [i, node] of nodes.entries()) {
    if (node.end) offer(i, 0);
  }
  while (heap.size > 0) {
    const { item, cost } = heap.pop();
    if (done[item] === 1 || cost > bytes[item]!) continue;
    done[item] = 1;
    order.push(item);
    for (const from of before(item)) {
      const node = nodes[from]!;
      for (let e = 0; e < node.bytes.length; e += 3) {
        if (node.bytes[e + 2] === item) offer(from, cost + 1, item, preferred(node.bytes[e]!, node.bytes[e + 1]!));
      }
      for (const to of node.empty) if (to === item) offer(from, cost, item);
      for (let e = 0; e < node.calls.length; e += 2) {
        const [start, next] = [rules[node.calls[e]!]!, node.calls[e + 1]!];
        if (done[start] === 1 && done[next] === 1) offer(from, bytes[start]! + bytes[next]!);
      }
      if (node.repeat !== null && done[node.repeat.next] === 1) {
        const { rule, min, next } = node.repeat;
        if (min === 0) offer(from, bytes[next]!);
        else if (done[rules[rule]!] === 1) offer(from, min * bytes[rules[rule]!]! + bytes[next]!);
      }
    }
  }
  return { bytes, order: Int32Array.from(order), step, byte };
}

/** Where there is a choice, a character that reads well: a letter, or a digit, or else the first. */
function preferred(low: number, high: number): number {
  for (const c of [0x61, 0x30]) if (low <= c && c <= high) return c;
  return low;
}

/** Nodes whose cost hangs on another's, by that other. */
function dependents({ nodes, rules }: Pick<Grammar, 'nodes' | 'rules'>): (node: number) => Iterable<number> {
  const users = nodes.map((): number[] => []);
  const callers = rules.map((): number[] => []);
  for (const [i, { bytes, empty, calls, repeat }] of nodes.entries()) {
    for (let e = 2; e < bytes.length; e += 3) users[bytes[e]!]!.push(i);
    for (const to of empty) users[to]!.push(i);
    for (let e = 0; e < calls.length; e += 2) {
      callers[calls[e]!]!.push(i);
      users[calls[e + 1]!]!.push(i);
    }
    if (repeat !== null) {
      callers[repeat.rule]!.push(i);
      users[repeat.next]!.push(i);
    }
  }
  const called = new Map<number, number[]>();
  for (const [rule, from] of callers.entries()) {
    const start = rules[rule]!;
    called.set(start, [...(called.get(start) ?? []), ...from]);
  }
  return (node) => new Set([...users[node]!, ...(called.get(node) ?? [])]);
}
