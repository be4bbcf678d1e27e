import type { CausalInstance, CausalObservation } from './graph.js';

/** `Perturb(A) -> A:0 B:1 C:0` */
function observationLine({ perturbed, effects }: CausalObservation, nodes: readonly string[]): string {
  const sorted = [...nodes].sort();
  return `Perturb(${perturbed}) -> ${sorted.map((name) => `${name}:${effects[name]}`).join(' ')}`;
}

/** The limit where it limits anything. */
function limitOf({ nodes, max_edges }: CausalInstance): number | null {
  return max_edges !== null && max_edges < (nodes.length * (nodes.length - 1)) / 2 ? max_edges : null;
}

export function compactPrompt(instance: CausalInstance): string {
  const limit = limitOf(instance);
  return [
    `Nodes: ${instance.nodes.join(', ')}`,
    ...(limit === null ? [] : [`Max edges: ${limit}`]),
    ...instance.observations.map((o) => observationLine(o, instance.nodes)),
  ]
    .map((line) => `${line}\n`)
    .join('');
}

export function fullPrompt(instance: CausalInstance): string {
  const limit = limitOf(instance);
  const [a = 'A', b = 'B', c = 'C'] = instance.nodes;
  return `Nodes of a causal system were perturbed one at a time, and the effects on all nodes were recorded.

What the values mean:
- the perturbed node itself is 0
- nodes downstream of it, along any directed path, are 1
- all other nodes are 0

Nodes: ${instance.nodes.join(', ')}
${limit === null ? '' : `Constraint: the graph has at most ${limit} ${limit === 1 ? 'edge' : 'edges'}.\n`}
Observations:
${instance.observations.map((o) => observationLine(o, instance.nodes)).join('\n')}

Graphs given so far:
None

Task: give one directed acyclic graph on these nodes that explains every observation.
Its set of edges must differ from that of every graph given so far.

Answer with exactly one line, edges separated by commas:
Graph: ${a}->${b}, ${b}->${c}
or, if there are none:
Graph: No edges
`;
}
