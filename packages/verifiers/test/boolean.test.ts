import { type BooleanOptions, hypothesisSpace, type Operator, tasks } from '@polymode/verifiers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const task = tasks['hypospace/boolean'];
const SETS = {
  basic: ['AND', 'OR'],
  extended: ['AND', 'OR', 'NOT'],
  full: ['AND', 'OR', 'NOT', 'NOR'],
} as const satisfies Record<string, readonly Operator[]>;
const SPACES = [
  ['basic', 1],
  ['basic', 2],
  ['basic', 3],
  ['extended', 1],
  ['extended', 2],
  ['full', 1],
  ['full', 2],
] as const;
const instance = task.readInstance({
  variables: ['x', 'y'],
  operators: ['AND', 'OR', 'NOT'],
  max_depth: 2,
  observations: [{ inputs: { x: 0, y: 1 }, output: 1 }],
});
const key = (text: string) => task.assess(text, instance).key;
/** Key of an expression by itself. */
const keyOf = (expression: string) => key(`Expression: ${expression}`);

describe('hypothesis spaces', () => {
  it.each([
    ['basic', 1, 4],
    ['basic', 2, 10],
    ['basic', 3, 58],
    ['extended', 1, 6],
    ['extended', 2, 34],
    ['full', 1, 7],
    ['full', 2, 65],
  ] as const)('%s of depth %i has %i members', (set, depth, size) => {
    expect(hypothesisSpace(['x', 'y'], SETS[set], depth).size).toBe(size);
  });

  it.each([
    ['basic', 4],
    ['extended', 14],
    ['full', 16],
  ] as const)('%s of depth 2 has %i truth tables', (set, tables) => {
    const inputs = [0, 1, 2, 3].map((row) => ({ x: row >> 1, y: row & 1 }));
    const space = hypothesisSpace(['x', 'y'], SETS[set], 2);
    const tableOf = (k: string) =>
      inputs.map((i) =>
        Number(
          task.verify(space.get(k)!, { ...instance, operators: SETS[set], observations: [{ inputs: i, output: 1 }] }),
        ),
      );
    expect(new Set([...space.keys()].map((k) => tableOf(k).join(''))).size).toBe(tables);
  });
});

describe('the verifier proves itself', () => {
  it.each(SPACES)(
    '%s of depth %i: every member of every instance is accepted, every other is not',
    (operators, maxDepth) => {
      const space = [...hypothesisSpace(['x', 'y'], SETS[operators], maxDepth).keys()];
      for (const each of task.instances({ operators, maxDepth })) {
        const members = new Set(task.admissibleSet(each));
        expect(members.size).toBe(task.admissibleCount(each));
        expect(members.size).toBeGreaterThan(0);
        for (const k of space) {
          expect(task.assess(task.render(k, each), each)).toEqual({
            key: k,
            valid: members.has(k),
            reward: members.has(k) ? 1 : 0,
            countsForUniqueness: true,
          });
        }
      }
    },
  );

  it('turning an observed output round makes every member wrong', () => {
    for (const each of task.instances({ operators: 'extended', maxDepth: 2 })) {
      const [first, ...rest] = each.observations;
      const mutant = { ...each, observations: [{ ...first!, output: 1 - first!.output }, ...rest] };
      for (const k of task.admissibleSet(each)) {
        expect(task.assess(task.render(k, each), mutant).valid).toBe(false);
      }
    }
  });

  it('renders with the operators there are', () => {
    expect(task.render('AND(NOT(x),y)', instance)).toBe('Expression: NOT x AND y');
    expect(task.render('OR(AND(x,y),NOT(NOT(x)))', instance)).toBe('Expression: (x AND y) OR NOT NOT x');
    expect(task.render('NOR(AND(x,y),x)', instance)).toBe('Expression: NOT ((x AND y) OR x)');
    expect(task.render('NOR(AND(x,y),x)', { ...instance, operators: SETS.full })).toBe('Expression: NOR(x AND y, x)');
    expect(task.render('NOT(NOR(x,y))', { ...instance, operators: SETS.full })).toBe('Expression: NOT NOR(x, y)');
  });

  it.each([
    '',
    'AND(y,x)',
    'AND(x)',
    'AND(x,x)',
    'AND(x,y',
    'AND(x,y))',
    'AND(x,,y)',
    'NOT(OR(x,y))',
    'x y',
    'FOO(x)',
    'x,y',
    'NOT(x,y)',
  ])('%j is no key', (bad) => {
    expect(() => task.render(bad, instance)).toThrow(RangeError);
  });
});

/** Text of a random expression and its value, worked out by a second, direct definition. */
type Tree = { text: string; value: (x: boolean, y: boolean) => boolean };
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.constantFrom<Tree>({ text: 'x', value: (x: boolean) => x }, { text: 'y', value: (_: boolean, y: boolean) => y }),
    tie('tree').map((a) => ({ text: `NOT (${a.text})`, value: (x: boolean, y: boolean) => !a.value(x, y) })),
    fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => ({
      text: `(${a.text}) AND (${b.text})`,
      value: (x: boolean, y: boolean) => a.value(x, y) && b.value(x, y),
    })),
    fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => ({
      text: `(${a.text}) | (${b.text})`,
      value: (x: boolean, y: boolean) => a.value(x, y) || b.value(x, y),
    })),
    fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => ({
      text: `NOR(${a.text}, ${b.text})`,
      value: (x: boolean, y: boolean) => !(a.value(x, y) || b.value(x, y)),
    })),
  ),
}));

describe('canonical form', () => {
  it('keeps the meaning, survives rendering, and does not see order, repetition or grouping', () => {
    fc.assert(
      fc.property(tree, tree, tree, (a, b, c) => {
        const k = keyOf(a.text)!;
        const expression = task.parse(`Expression: ${a.text}`, instance)!;
        for (const style of [SETS.extended, SETS.full]) {
          expect(key(task.render(expression, { ...instance, operators: style }))).toBe(k);
        }
        expect(task.render(k, instance)).toBe(task.render(expression, instance));
        for (const row of [0, 1, 2, 3]) {
          const [x, y] = [row >> 1, row & 1];
          const inSpace = hypothesisSpace(['x', 'y'], SETS.extended, 2).has(k);
          const output = a.value(x === 1, y === 1) ? 1 : 0;
          const seen = { ...instance, observations: [{ inputs: { x, y }, output }] };
          expect(task.verify(expression, seen)).toBe(inSpace);
          expect(task.verify(expression, { ...seen, observations: [{ inputs: { x, y }, output: 1 - output }] })).toBe(
            false,
          );
        }
        for (const op of ['AND', 'OR']) {
          expect(keyOf(`(${a.text}) ${op} (${b.text})`)).toBe(keyOf(`(${b.text}) ${op} (${a.text})`));
          expect(keyOf(`(${a.text}) ${op} (${a.text})`)).toBe(k);
          expect(keyOf(`((${a.text}) ${op} (${b.text})) ${op} (${c.text})`)).toBe(
            keyOf(`(${a.text}) ${op} ((${b.text}) ${op} (${c.text}))`),
          );
        }
        expect(keyOf(`NOT ((${a.text}) OR (${b.text}))`)).toBe(keyOf(`NOR(${b.text}, ${a.text})`));
      }),
      { numRuns: 300 },
    );
  });
});

describe('reading answers', () => {
  it.each([
    ['layers of wrapping', 'Expression: "`$x \\land y$.`".**', 'AND(x,y)'],
    ['LaTeX words stuck to names', 'Expression: \\neg x\\wedge y', 'AND(NOT(x),y)'],
    ['\\text', 'Expression: \\text{x} \\vee \\text{NOT} y', 'OR(NOT(y),x)'],
    ['up to a second marker', 'Expression: x Expression: y', 'x'],
    ['an empty marker first', 'expression:\nthe expression: y', 'y'],
    ['the marker beats earlier lines', 'x OR y\nExpression: x AND y', 'AND(x,y)'],
    ['no marker: the first line that could be one, even prose', 'Let me think\nx AND y', null],
    ['no marker: punctuation alone is no candidate', '```\nx AND y\n```', 'AND(x,y)'],
    ['no marker: a heading is no candidate', '# x OR y\nx AND y', 'AND(x,y)'],
    ['symbols without spaces', 'Expression: ~x&y|x', 'OR(AND(NOT(x),y),x)'],
    ['NOR of three', 'Expression: NOR(x, y, NOT x)', 'NOR(NOT(x),x,y)'],
    ['NOR of an OR', 'Expression: NOR(x OR y, y)', 'NOR(x,y)'],
    ['comma outside NOR', 'Expression: (x, y)', null],
    ['NOR without parentheses', 'Expression: NOR x', null],
    ['empty NOR', 'Expression: NOR()', null],
    ['two operators', 'Expression: x && y', null],
    ['NOT at the end', 'Expression: x AND NOT', null],
    ['a name that begins like a variable', 'Expression: x1', null],
    ['prototype names', 'Expression: constructor', null],
  ])('%s', (_, text, expected) => {
    expect(key(text)).toBe(expected);
  });

  it('survives answers that are nested too deeply to be members', () => {
    expect(key(`Expression: ${'('.repeat(900)}x${')'.repeat(900)}`)).toBe('x');
    expect(key(`Expression: ${'NOT '.repeat(900)}x`)).toHaveLength(900 * 5 + 1);
    for (const open of ['(', '~', 'NOR(', 'x AND (y OR ('])
      expect(key(`Expression: ${open.repeat(50_000)}`)).toBeNull();
    expect(key(`Expression: ${'~'.repeat(100_000)}x`)).toBeNull();
  });

  it('takes time in proportion to the answer: a million of anything is read', () => {
    const n = 1_000_000;
    for (const filler of [' ', '.', '`', '\\text{', '$', '\n', '(', 'x ']) {
      expect(key(`Expression: x${filler.repeat(n)}y`)).toBe(filler === '\n' ? 'x' : null);
    }
  });

  it('never throws on any text', () => {
    const piece = fc.constantFrom(
      'x',
      'y',
      'NOT',
      'AND',
      'OR',
      'NOR',
      '(',
      ')',
      ',',
      ' ',
      '~',
      '$',
      '\n',
      'Expression:',
      '`',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece, { maxLength: 15 }).map((p) => p.join(' ')),
        ),
        (text) => {
          const found = task.parse(text, instance);
          if (found !== null) expect(key(task.render(found, instance))).toBe(task.key(found));
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('an expression outside the space is an outcome of its own, invalid and not unique', () => {
    expect(task.assess('Expression: NOT NOT NOT NOT y', instance)).toEqual({
      key: 'NOT(NOT(NOT(NOT(y))))',
      valid: false,
      reward: 0,
      countsForUniqueness: false,
    });
  });
});

describe('prompts', () => {
  it('compact: operators, observations, and the depth when it is not 2', () => {
    expect(task.prompt(instance, 'compact')).toBe('Operators: AND OR NOT\n(x=0, y=1) -> 1\n');
    expect(task.prompt({ ...instance, max_depth: 1, operators: ['NOR', 'AND'] }, 'compact')).toBe(
      'Operators: AND NOR\nMax depth: 1\n(x=0, y=1) -> 1\n',
    );
  });

  it('full: in the order of the benchmark', () => {
    const prompt = task.prompt(instance, 'full');
    const parts = [
      'Allowed operators: AND',
      '(x=0, y=1) -> 1',
      'None',
      'Task:',
      'Requirements:',
      'AND, OR, NOT\n',
      'at most 2 levels',
      'No constants',
      'Output format',
      'Examples',
      'LaTeX',
      'markdown',
      'symbols',
    ];
    const at = parts.map((part) => prompt.indexOf(part));
    expect(at).toEqual([...at].sort((a, b) => a - b));
    expect(at[0]).toBeGreaterThan(0);
    expect(prompt).not.toContain('NOR (1');
  });
});

describe('instances', () => {
  it.each([
    ['basic', 1, 35],
    ['basic', 2, 35],
    ['extended', 1, 56],
    ['extended', 2, 78],
    ['full', 1, 59],
    ['full', 2, 80],
  ] as const)('%s of depth %i has %i', (operators, maxDepth, size) => {
    const all = task.instances({ operators, maxDepth });
    expect(all).toHaveLength(size);
    expect(new Set(all.map((i) => JSON.stringify(i))).size).toBe(size);
  });

  it('by number of observations, drawn or all', () => {
    const options: BooleanOptions = { operators: 'full', observations: [1, 4] };
    expect(task.instances(options)).toHaveLength(8 + 16);
    expect(task.instances({ ...options, observations: 3 }).every((i) => i.observations.length === 3)).toBe(true);
    const draw = (seed: number) => JSON.stringify(task.generate({ ...options, count: 10, seed }));
    expect(draw(3)).toBe(draw(3));
    expect(draw(3)).not.toBe(draw(4));
    expect(task.generate({ count: 1 }).flatMap((row) => task.checkItem(row))).toEqual([]);
  });

  it.each([{ observations: 5 }, { maxDepth: 0 }, { operators: [] }, { maxDepth: 9 }, { count: 79 }])(
    '%j is refused',
    (options) => {
      expect(() => task.instances(options)).toThrow(RangeError);
    },
  );
});
