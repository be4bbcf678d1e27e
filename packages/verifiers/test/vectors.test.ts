import { readFileSync } from 'node:fs';
import {
  type Assessment,
  compileGrader,
  equalRewards,
  type GradableTask,
  hypothesisSpace,
  type Operator,
  summarize,
  type Task,
  tasks,
} from '@polymode/verifiers';
import { describe, expect, it } from 'vitest';

interface Case {
  instance: string;
  text: string;
  tag: string;
  parsed: boolean;
  valid: boolean;
  key: string | null;
}
type Fields = Record<string, unknown>;
interface Cases {
  instances: Record<string, Fields>;
  cases: Case[];
}
interface Sets {
  sets: (Fields & { id: string; size: number; members: string[] })[];
  spaces?: Record<string, string[]>;
}
interface MetricsCase {
  domain: string;
  instance: Fields;
  responses: string[];
  admissible: number;
  parsed?: number;
  validity: number;
  uniqueness: number;
  recovery: number;
}

function read<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`./vectors/${name}.json`, import.meta.url), 'utf8')) as T;
}

/** Erases the types of the instances, which the vectors carry as plain JSON. */
function erased<Instance extends object>(
  task: GradableTask & Pick<Task<Instance, never, never>, 'readInstance' | 'admissibleSet' | 'admissibleCount'>,
): {
  assess(text: string, fields: Fields): Assessment;
  set(fields: Fields): string[];
  count(fields: Fields): number;
} {
  return {
    assess: (text, fields) => task.assess(text, fields),
    set: (fields) => task.admissibleSet(task.readInstance(fields)),
    count: (fields) => task.admissibleCount(task.readInstance(fields)),
  };
}

const DOMAINS = {
  boolean: erased(tasks['hypospace/boolean']),
  causal: erased(tasks['hypospace/causal']),
  voxel: erased(tasks['hypospace/voxel']),
} as const;

describe.each(['boolean', 'causal', 'voxel'] as const)('%s vectors', (domain) => {
  const { instances, cases } = read<Cases>(`${domain}_cases`);
  const grader = compileGrader({ type: 'task', task: `hypospace/${domain}` });

  it.each(cases.map((c, i) => [`${i} ${c.tag}`, c] as const))('%s', async (_, c) => {
    const item = instances[c.instance]!;
    const { key, valid } = DOMAINS[domain].assess(c.text, item);
    expect({ parsed: key !== null, valid, key }).toEqual({ parsed: c.parsed, valid: c.valid, key: c.key });
    expect(grader.checkItem(item)).toEqual([]);
    expect(await grader.grade({ output_text: c.text }, item)).toEqual({
      reward: c.valid ? 1 : 0,
      outcome: c.key ?? 'unparseable',
    });
  });

  it.each(read<Sets>(`${domain}_sets`).sets.map((s) => [s.id, s] as const))('admissible set of %s', (_, set) => {
    const members = DOMAINS[domain].set(set);
    expect(members).toEqual([...set.members].sort());
    expect(members).toHaveLength(set.size);
    expect(DOMAINS[domain].count(set)).toBe(set.size);
  });
});

const OPERATORS: Record<string, Operator[]> = {
  basic: ['AND', 'OR'],
  extended: ['AND', 'OR', 'NOT'],
  full: ['AND', 'OR', 'NOT', 'NOR'],
};

it.each(Object.entries(read<Sets>('boolean_sets').spaces ?? {}))('boolean space %s', (id, members) => {
  const [operators, depth] = id.split(',');
  const space = hypothesisSpace(['x', 'y'], OPERATORS[operators!]!, Number(depth));
  expect([...space.keys()].sort()).toEqual(members);
});

describe('metrics vectors', () => {
  const { cases } = read<{ cases: MetricsCase[] }>('metrics');
  const domains: Record<string, keyof typeof DOMAINS> = { boolean: 'boolean', causal: 'causal', voxel3d: 'voxel' };

  it('has cases of every task', () => {
    expect(new Set(cases.map((c) => c.domain))).toEqual(new Set(Object.keys(domains)));
  });

  it.each(cases.map((c, i) => [`${i} ${c.domain}`, c] as const))('%s', (_, c) => {
    const { assess, set } = DOMAINS[domains[c.domain]!];
    const admissible = set(c.instance);
    expect(admissible).toHaveLength(c.admissible);
    const summary = summarize(
      c.responses.map((text) => assess(text, c.instance)),
      equalRewards(admissible),
    );
    // The vectors are rounded to 12 digits.
    expect(summary.validity).toBeCloseTo(c.validity, 11);
    expect(summary.uniqueness).toBeCloseTo(c.uniqueness, 11);
    expect(summary.recovery).toBeCloseTo(c.recovery, 11);
    if (c.parsed !== undefined) expect(summary.parse_rate).toBeCloseTo(c.parsed, 11);
  });
});
