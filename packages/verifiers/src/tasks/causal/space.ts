import { type CausalInstance, effectBits, type Graph } from './graph.js';

/** Nodes of the largest graphs that are enumerated: 29,281 of them on five nodes, 3.8 million on six. */
export const MOST_ENUMERATED_NODES = 5;

/** A graph by numbers of nodes. */
export interface NumberedGraph {
  readonly edges: readonly (readonly [number, number])[];
  /** for every node its strict descendants, node i being bit i */
  readonly reach: readonly number[];
}

const spaces = new Map<number, readonly NumberedGraph[]>();

/** Every directed acyclic graph on n labelled nodes. @throws RangeError when there are too many to enumerate */
export function allGraphs(n: number): readonly NumberedGraph[] {
  if (n > MOST_ENUMERATED_NODES) {
    throw new RangeError(`There are too many graphs on ${n} nodes to enumerate; use at most ${MOST_ENUMERATED_NODES}.`);
  }
  let space = spaces.get(n);
  if (space === undefined) {
    space = enumerate(n);
    spaces.set(n, space);
  }
  return space;
}

/** Every pair of nodes is unconnected or connected one way or the other; what closes a cycle is not followed. */
function enumerate(n: number): NumberedGraph[] {
  const pairs: [number, number][] = [];
  for (let a = 0; a < n; a++) for (let b = a + 1; b < n; b++) pairs.push([a, b]);
  const found: NumberedGraph[] = [];
  const extend = (pair: number, { edges, reach }: NumberedGraph): void => {
    const next = pairs[pair];
    if (next === undefined) {
      found.push({ edges, reach });
      return;
    }
    extend(pair + 1, { edges, reach });
    for (const [from, to] of [next, [next[1], next[0]] as const]) {
      if ((reach[to]! & (1 << from)) !== 0) continue;
      const gained = reach[to]! | (1 << to);
      const wider = reach.map((mask, i) => (i === from || (mask & (1 << from)) !== 0 ? mask | gained : mask));
      extend(pair + 1, { edges: [...edges, [from, to]], reach: wider });
    }
  };
  extend(0, { edges: [], reach: Array.from({ length: n }, () => 0) });
  return found;
}

/** Every graph that explains the instance. @throws RangeError when there are too many graphs to enumerate */
export function explanations({ nodes, max_edges, observations }: CausalInstance): Graph[] {
  const wanted = observations.map((o) => [nodes.indexOf(o.perturbed), effectBits(o, nodes)] as const);
  const most = max_edges ?? Number.POSITIVE_INFINITY;
  return allGraphs(nodes.length)
    .filter(({ edges, reach }) => edges.length <= most && wanted.every(([node, bits]) => reach[node] === bits))
    .map(({ edges }) => ({ edges: edges.map(([from, to]) => `${nodes[from]}>${nodes[to]}`).sort() }));
}
