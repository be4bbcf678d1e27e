import { type CausalInstance, type Graph, makeGraph } from './graph.js';

/** Written anywhere in the answer's line, these mean a graph without edges. Nodes cannot be named so. */
export const NO_EDGES_WORDS = /\b(?:no edges?|empty|none|null)\b/i;

const EDGE = /^([A-Za-z0-9_]+) *-> *([A-Za-z0-9_]+)$/;

/**
 * Reads the rest of the line after the first `Graph:`, or failing that the first line: edges `A->B` between commas, or
 * words such as `No edges`. Other arrows count as `->`.
 *
 * @returns null for anything else, unknown nodes, cycles and more edges than allowed
 */
export function parseGraph(text: string, { nodes, max_edges }: CausalInstance): Graph | null {
  const line = unwrapped(answerLine(text));
  if (line === '') return null;
  if (NO_EDGES_WORDS.test(line)) return { edges: [] };
  const pieces = line
    .split(',')
    .map((piece) => piece.trim())
    .filter((piece) => piece !== '');
  if (pieces.length === 0) return null;
  const known = new Set(nodes);
  const edges: [string, string][] = [];
  for (const piece of pieces) {
    const [, from = '', to = ''] = EDGE.exec(piece) ?? [];
    if (!known.has(from) || !known.has(to) || from === to) return null;
    edges.push([from, to]);
  }
  const graph = makeGraph(edges, nodes);
  return graph !== null && max_edges !== null && graph.edges.length > max_edges ? null : graph;
}

function answerLine(text: string): string {
  const plain = text.replaceAll('```', '').trim();
  const marker = /\bgraph\s*:\s*/i.exec(plain);
  const rest = marker === null ? plain : plain.slice(marker.index + marker[0].length);
  return rest.split('\n', 1)[0]!.trim();
}

/** Without quotes around it and punctuation behind it, and with one kind of arrow. */
function unwrapped(line: string): string {
  const quoted = line.length >= 2 && /["']/.test(line[0]!) && line[0] === line[line.length - 1];
  const arrows = (quoted ? line.slice(1, -1).trim() : line)
    .replaceAll('→', '->')
    .replaceAll('-->', '->')
    .replaceAll('=>', '->');
  // By hand, because a regular expression for a run at the end takes time that grows with the square of other runs.
  let end = arrows.length;
  while (end > 0 && ' .;'.includes(arrows[end - 1]!)) end--;
  return arrows.slice(0, end);
}

/** The answer in the form that the prompts ask for. */
export function renderGraph({ edges }: Graph): string {
  return `Graph: ${edges.length === 0 ? 'No edges' : edges.map((edge) => edge.replace('>', '->')).join(', ')}`;
}
