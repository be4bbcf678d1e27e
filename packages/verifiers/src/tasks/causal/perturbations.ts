import { drawDistinct } from '../../random.js';
import type { GenerateOptions } from '../../task.js';
import { requireInteger } from '../require-integer.js';
import type { CausalInstance } from './graph.js';
import { allGraphs, MOST_ENUMERATED_NODES, type NumberedGraph } from './space.js';

export interface CausalOptions extends GenerateOptions {
  /** nodes of the graphs, 2..5. @defaultValue 4 */
  readonly nodes?: number;
  /** most edges of a graph. @defaultValue n(n−1)/2, as many as there can be */
  readonly maxEdges?: number;
  /** nodes that are perturbed, 1..nodes. @defaultValue 2 */
  readonly perturbations?: number;
  /** 1..`perturbations` of them instead of exactly that many. @defaultValue false */
  readonly upTo?: boolean;
}

/** What some graph explains, by number of perturbed nodes, then in lexicographic order of (node, effects). */
export function perturbationSets(options: CausalOptions): CausalInstance[] {
  const { nodes = 4, perturbations = 2, upTo = false, count, seed = 0 } = options;
  requireInteger('nodes', nodes, 2, MOST_ENUMERATED_NODES);
  const { maxEdges = (nodes * (nodes - 1)) / 2 } = options;
  requireInteger('maxEdges', maxEdges, 0, (nodes * (nodes - 1)) / 2);
  requireInteger('perturbations', perturbations, 1, nodes);
  const names = Array.from({ length: nodes }, (_, i) => String.fromCharCode(65 + i));
  const graphs = allGraphs(nodes).filter(({ edges }) => edges.length <= maxEdges);
  const all: string[] = [];
  for (let k = upTo ? 1 : perturbations; k <= perturbations; k++) all.push(...ofSize(k, graphs, nodes));
  const chosen = count === undefined ? all : drawDistinct(count, all.length, seed).map((i) => all[i]!);
  return chosen.map((text) => ({
    nodes: names,
    max_edges: maxEdges,
    observations: text.split(' ').map((part) => ({
      perturbed: names[Number(part[0])]!,
      effects: Object.fromEntries(names.map((name, i) => [name, Number(part[i + 1])])),
    })),
  }));
}

/** Sorted texts such as `0011 2000`: node 0 reaches 1 and 2, and node 2 nothing. */
function ofSize(k: number, graphs: readonly NumberedGraph[], nodes: number): string[] {
  const bits = (mask: number): string => Array.from({ length: nodes }, (_, i) => (mask >> i) & 1).join('');
  const vectors = Array.from({ length: 1 << nodes }, (_, mask) => bits(mask));
  const found = new Set<string>();
  for (let chosen = 1; chosen < 1 << nodes; chosen++) {
    const perturbed = Array.from({ length: nodes }, (_, i) => i).filter((i) => ((chosen >> i) & 1) === 1);
    if (perturbed.length !== k) continue;
    for (const { reach } of graphs) found.add(perturbed.map((p) => `${p}${vectors[reach[p]!]}`).join(' '));
  }
  return [...found].sort();
}
