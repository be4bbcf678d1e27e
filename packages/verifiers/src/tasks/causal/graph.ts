/** One perturbed node and what it did to every node. */
export interface CausalObservation {
  readonly perturbed: string;
  /** 1 for every strict descendant of the perturbed node, 0 for all others and for itself */
  readonly effects: Readonly<Record<string, number>>;
}

/** What perturbing some nodes of an unknown causal graph did. */
// A type rather than an interface, so that an instance can be handed on as the fields of a row.
export type CausalInstance = {
  /** names, all different */
  readonly nodes: readonly string[];
  /** most edges that a graph may have; null for no limit */
  readonly max_edges: number | null;
  readonly observations: readonly CausalObservation[];
};

/** A directed acyclic graph on the nodes of an instance. */
export interface Graph {
  /** `A>B` for an edge from A to B; distinct, in code unit order */
  readonly edges: readonly string[];
}

/** The key of the graph without edges. */
const NO_EDGES = '-';

/** `A>B,A>C`, or `-` for no edges. */
export function graphKey({ edges }: Graph): string {
  return edges.length === 0 ? NO_EDGES : edges.join(',');
}

/** @throws RangeError unless `key` is what `graphKey` returns for some graph on these nodes */
export function graphFromKey(key: string, nodes: readonly string[]): Graph {
  const edges = key === NO_EDGES ? [] : key.split(',').map((edge) => edge.split('>'));
  const named = edges.every((ends) => ends.length === 2 && ends.every((name) => nodes.includes(name)));
  const graph = named ? makeGraph(edges as [string, string][], nodes) : null;
  if (graph === null || graphKey(graph) !== key) {
    throw new RangeError(`'${key}' is not the key of a graph on ${nodes.join(', ')}; one looks like A>B,A>C or -.`);
  }
  return graph;
}

/**
 * @param edges from and to, both among the nodes; repeats count once
 * @returns null when the edges form a cycle
 */
export function makeGraph(edges: readonly (readonly [string, string])[], nodes: readonly string[]): Graph | null {
  const distinct = [...new Set(edges.map(([from, to]) => `${from}>${to}`))].sort();
  const graph = { edges: distinct };
  const reach = descendants(graph, nodes);
  return reach.some((mask, i) => (mask & (1 << i)) !== 0) ? null : graph;
}

/** For every node the strict descendants as bits, node i being bit i. A node of a cycle is its own descendant. */
function descendants({ edges }: Graph, nodes: readonly string[]): number[] {
  const position = new Map(nodes.map((name, i) => [name, i]));
  const reach = nodes.map(() => 0);
  for (const edge of edges) {
    const [from, to] = edge.split('>');
    reach[position.get(from!)!]! |= 1 << position.get(to!)!;
  }
  // Warshall's closure.
  for (let middle = 0; middle < nodes.length; middle++) {
    for (let from = 0; from < nodes.length; from++) {
      if ((reach[from]! & (1 << middle)) !== 0) reach[from]! |= reach[middle]!;
    }
  }
  return reach;
}

/** Whether the graph gives every observed effect and has no more edges than allowed. */
export function explains(graph: Graph, { nodes, max_edges, observations }: CausalInstance): boolean {
  if (max_edges !== null && graph.edges.length > max_edges) return false;
  const reach = descendants(graph, nodes);
  return observations.every((o) => reach[nodes.indexOf(o.perturbed)] === effectBits(o, nodes));
}

/** The effects as bits, node i being bit i. */
export function effectBits({ effects }: CausalObservation, nodes: readonly string[]): number {
  return nodes.reduce((bits, name, i) => (effects[name] === 1 ? bits | (1 << i) : bits), 0);
}
