import type { Item } from '../../grader.js';
import { defineTask } from '../define-task.js';
import { parseGraph, renderGraph } from './answer.js';
import { type CausalInstance, explains, type Graph, graphFromKey, graphKey } from './graph.js';
import { checkItem } from './item.js';
import { type CausalOptions, perturbationSets } from './perturbations.js';
import { compactPrompt, fullPrompt } from './prompts.js';
import { explanations } from './space.js';

/**
 * Causal graphs that explain what perturbing some of their nodes did: HypoSpace's causal task.
 *
 * An answer is valid if every perturbed node's strict descendants are the nodes that were observed to change. Cyclic
 * answers, and those with unknown nodes or too many edges, are not read at all. Only the set of edges counts: graphs
 * that differ in the labels alone are different.
 */
export const causalTask = defineTask<CausalInstance, Graph, CausalOptions>({
  name: 'hypospace/causal',
  checkItem,
  asInstance,
  instances: perturbationSets,
  prompt: (instance, style) => (style === 'full' ? fullPrompt(instance) : compactPrompt(instance)),
  parse: parseGraph,
  verify: explains,
  key: graphKey,
  render: (answer, { nodes }) => renderGraph(typeof answer === 'string' ? graphFromKey(answer, nodes) : answer),
  admissibleSet: (instance) => explanations(instance).map(graphKey).sort(),
  admissibleCount: (instance) => explanations(instance).length,
});

function asInstance(item: Item): CausalInstance {
  const { nodes, max_edges, observations } = item as unknown as CausalInstance;
  return { nodes, max_edges: max_edges ?? null, observations };
}
