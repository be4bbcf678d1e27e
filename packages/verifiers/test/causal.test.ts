import { readFileSync } from 'node:fs';
import { tasks } from '@polymode/verifiers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectRows, readTwice } from './task-rules.js';

const task = tasks['hypospace/causal'];
const sets = JSON.parse(readFileSync(new URL('./vectors/causal_sets.json', import.meta.url), 'utf8')) as {
  dag_counts: Record<string, number>;
  sets: { id: string; nodes: string[]; max_edges: number; observations: unknown[] }[];
};

/** Every acyclic graph on the nodes, by trying all subsets of the ordered pairs; acyclic if sources can be taken away. */
function bruteForceGraphs(nodes: readonly string[]): [string, string][][] {
  const pairs = nodes.flatMap((a) => nodes.filter((b) => b !== a).map((b): [string, string] => [a, b]));
  const graphs: [string, string][][] = [];
  for (let subset = 0; subset < 2 ** pairs.length; subset++) {
    const edges = pairs.filter((_, i) => (subset >> i) & 1);
    let left = [...nodes];
    while (true) {
      const sources = left.filter((n) => !edges.some(([a, b]) => b === n && left.includes(a)));
      if (sources.length === 0) break;
      left = left.filter((n) => !sources.includes(n));
    }
    if (left.length === 0) graphs.push(edges);
  }
  return graphs;
}

function reaches(edges: readonly [string, string][], from: string, to: string): boolean {
  return edges.some(([a, b]) => a === from && (b === to || reaches(edges, b, to)));
}

const keyOf = (edges: readonly [string, string][]) =>
  edges
    .map(([a, b]) => `${a}>${b}`)
    .sort()
    .join(',') || '-';

describe('the verifier proves itself', () => {
  it.each([2, 3, 4, 5])('on %i nodes: accepts what it renders of every member, whose key comes back', (nodes) => {
    const instances = nodes === 5 ? task.instances({ nodes, count: 12, seed: 3 }) : task.instances({ nodes });
    for (const instance of instances) {
      const members = task.admissibleSet(instance);
      expect(members.length).toBeGreaterThan(0);
      expect(task.admissibleCount(instance)).toBe(members.length);
      for (const key of members) {
        const found = task.assess(task.render(key, instance), instance);
        expect(found).toEqual({ key, valid: true, reward: 1, countsForUniqueness: true });
      }
    }
  });

  it.each([3, 4])('of all graphs on %i nodes, accepts the admissible set and nothing else', (nodes) => {
    const instances = task.instances({ nodes, perturbations: nodes, upTo: true });
    const graphs = bruteForceGraphs(instances[0]!.nodes);
    const step = nodes === 3 ? 1 : 29;
    for (const instance of instances.filter((_, i) => i % step === 0)) {
      const right = graphs.filter((edges) =>
        instance.observations.every(({ perturbed, effects }) =>
          instance.nodes.every((n) => (effects[n] === 1) === reaches(edges, perturbed, n)),
        ),
      );
      expect(task.admissibleSet(instance)).toEqual(right.map(keyOf).sort());
      const accepted = graphs.map(keyOf).filter((key) => task.assess(task.render(key, instance), instance).valid);
      expect(accepted.sort()).toEqual(task.admissibleSet(instance));
    }
  });

  it('flipping one observed effect makes every member wrong', () => {
    const instances = task.instances({ nodes: 4, count: 20, seed: 5 });
    for (const instance of instances) {
      const [first, ...rest] = instance.observations;
      for (const node of instance.nodes.filter((n) => n !== first!.perturbed)) {
        const effects = { ...first!.effects, [node]: 1 - first!.effects[node]! };
        const flipped = { ...instance, observations: [{ ...first!, effects }, ...rest] };
        for (const key of task.admissibleSet(instance)) {
          expect(task.assess(task.render(key, instance), flipped).valid).toBe(false);
        }
      }
    }
  });
});

describe('the space', () => {
  it.each(Object.entries(sets.dag_counts))('%s edges: %i graphs', (id, size) => {
    const [n, limit] = id.split(',') as [string, string];
    const nodes = ['A', 'B', 'C', 'D', 'E'].slice(0, Number(n));
    const max_edges = limit === 'all' ? null : Number(limit.slice(3));
    // Nothing observed: every graph is admissible.
    expect(task.admissibleCount({ nodes, max_edges, observations: [] })).toBe(size);
  });

  it('has 61 instances on three nodes and 847 on four', () => {
    const sizes = (nodes: number) =>
      Array.from({ length: nodes }, (_, i) => task.instances({ nodes, perturbations: i + 1 }).length);
    expect(sizes(3)).toEqual([12, 30, 19]);
    expect(sizes(4)).toEqual([32, 204, 392, 219]);
  });

  it('numbers the instances on three nodes as the vectors do', () => {
    const all = task.instances({ nodes: 3, perturbations: 3, upTo: true });
    const numbered = sets.sets.filter((s) => s.id.startsWith('c3-'));
    expect(numbered.length).toBeGreaterThan(5);
    for (const { id, observations } of numbered) {
      expect(all[Number(id.split('-')[2])]!.observations).toEqual(observations);
    }
  });

  it('is not enumerated over five nodes, where answers are still graded', () => {
    const nodes = ['A', 'B', 'C', 'D', 'E', 'F'];
    const effects = { A: 0, B: 1, C: 1, D: 1, E: 1, F: 1 };
    const instance = { nodes, max_edges: null, observations: [{ perturbed: 'A', effects }] };
    expect(() => task.admissibleSet(instance)).toThrow('too many graphs on 6 nodes');
    expect(task.assess('Graph: A->B, B->C, C->D, D->E, E->F', instance).valid).toBe(true);
    expect(task.assess('Graph: A->B, B->C, C->D, D->E, F->E', instance).valid).toBe(false);
  });
});

describe('reading answers', () => {
  const instance = task.instances({ nodes: 3, perturbations: 1, maxEdges: 2 })[0]!;

  it.each([
    ['the line after the marker', 'Graph:\n\n B->C', 'B>C'],
    ['the marker as part of a word', 'subgraph: A->B', null],
    ['an edge twice', 'Graph: A->B, A -> B', 'A>B'],
    ['as many edges as allowed', 'Graph: A->B, A->C', 'A>B,A>C'],
    ['one more', 'Graph: A->B, A->C, B->C', null],
    ['a cycle', 'Graph: A->B, B->A', null],
    ['a loop', 'Graph: A->A', null],
    ['a lower case name', 'Graph: a->B', null],
    ['a chain', 'Graph: A->B->C', null],
    ['other arrows', '"graph : A → B, B --> C".', null],
    ['other arrows in quotes', 'GRAPH: "A → B, B => C;."', 'A>B,B>C'],
    ['words for no edges', 'Graph: (none)', '-'],
    ['nothing', '', null],
    ['commas alone', 'Graph: ,,', null],
  ])('%s', (_, text, expected) => {
    expect(task.assess(text, instance).key).toBe(expected);
  });

  it('never throws, agrees with itself on any text', () => {
    const token = fc.oneof(
      fc.constantFrom('Graph:', 'graph ', 'A->B', 'B->C', 'A → C', ', ', '\n', '"', '.', 'No edges', '```'),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(token, { maxLength: 10 }), (tokens) => {
        const found = readTwice(task, tokens.join(''), instance);
        if (found !== null) expect(found.valid).toBe(task.admissibleSet(instance).includes(found.key));
      }),
      { numRuns: 500 },
    );
  });

  it.each(['', 'A>B,', 'B>A,A>B', 'A>D', 'A>C,A>B', 'A>B,A>B', 'A'])('%j is no key', (bad) => {
    expect(() => task.render(bad, instance)).toThrow(RangeError);
  });
});

describe('rows', () => {
  it('are a user message and the fields of the instance', () => {
    expectRows(task);
  });

  it('have prompts that say what varies', () => {
    const [instance] = task.instances({ nodes: 3, perturbations: 1, maxEdges: 2 });
    expect(task.prompt(instance!, 'compact')).toBe('Nodes: A, B, C\nMax edges: 2\nPerturb(A) -> A:0 B:0 C:0\n');
    expect(task.prompt({ ...instance!, max_edges: 3 }, 'compact')).not.toContain('Max');
    expect(task.prompt(instance!, 'full')).toContain('at most 2 edges');
  });

  it.each([
    [{ nodes: ['A', 'A'] }, 'item.nodes'],
    [{ nodes: ['A', 'None'] }, 'item.nodes'],
    [{ nodes: ['A', 'B>C'] }, 'item.nodes'],
    [{ max_edges: -1 }, 'item.max_edges'],
    [{ observations: [] }, 'item.observations'],
    [{ observations: [3] }, 'item.observations[0]'],
    [{ observations: [{ perturbed: 'Z', effects: { A: 0, B: 0, C: 0 } }] }, 'item.observations[0].perturbed'],
    [{ observations: [{ perturbed: 'A', effects: { A: 0, B: 2, C: 0 } }] }, 'item.observations[0].effects'],
  ])('%j is no instance', (fields, path) => {
    const item = { ...task.instances({ nodes: 3, count: 1 })[0]!, ...fields };
    expect(task.checkItem(item)[0]?.path).toBe(path);
    expect(() => task.readInstance(item)).toThrow(path);
  });

  it.each([{ nodes: 1 }, { nodes: 6 }, { perturbations: 0 }, { perturbations: 5 }, { maxEdges: 7 }, { count: 205 }])(
    '%j is refused',
    (options) => {
      expect(() => task.instances(options)).toThrow(RangeError);
    },
  );
});
