import { compileGrader, tasks } from '@polymode/verifiers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectRows, readTwice } from './task-rules.js';

const task = tasks['arithmetic/countdown'];

/** A number, or a sign and what it joins. Everything below is written without the code that is tested. */
type Tree = number | readonly [sign: string, left: Tree, right: Tree];

/** With parentheses around everything. */
const written = (tree: Tree): string =>
  typeof tree === 'number' ? String(tree) : `(${written(tree[1])}${tree[0]}${written(tree[2])})`;

/** Trees of which each uses all the numbers: any two of a list are joined until one is left. */
function treesOver(numbers: readonly number[]): Tree[] {
  const found = new Map<string, Tree>();
  const join = (list: readonly Tree[]): void => {
    if (list.length === 1) found.set(written(list[0]!), list[0]!);
    for (const [i, a] of list.entries()) {
      for (const [j, b] of list.entries()) {
        if (i === j) continue;
        const others = list.filter((_, k) => k !== i && k !== j);
        for (const sign of ['+', '-', '*', '/']) join([...others, [sign, a, b]]);
      }
    }
  };
  join(numbers);
  return [...found.values()];
}

function choices(numbers: readonly number[]): number[][] {
  const bits = Array.from({ length: 2 ** numbers.length - 1 }, (_, i) => i + 1);
  return bits.map((mask) => numbers.filter((_, i) => (mask >> i) & 1));
}

/** null unless all results on the way are positive whole numbers */
function value(tree: Tree): number | null {
  if (typeof tree === 'number') return tree;
  const [a, b] = [value(tree[1]), value(tree[2])];
  if (a === null || b === null) return null;
  const result = { '+': a + b, '-': a - b, '*': a * b, '/': a / b }[tree[0]]!;
  return result > 0 && Number.isInteger(result) ? result : null;
}

/** Trees that one step of a law of commutation or association makes of a tree, anywhere in it. */
function rewritten(tree: Tree): Tree[] {
  if (typeof tree === 'number') return [];
  const [sign, a, b] = tree;
  const found: Tree[] = [
    ...rewritten(a).map((left): Tree => [sign, left, b]),
    ...rewritten(b).map((right): Tree => [sign, a, right]),
  ];
  for (const [plus, minus] of [
    ['+', '-'],
    ['*', '/'],
  ] as const) {
    if (sign === plus) found.push([plus, b, a]);
    if (typeof b !== 'number') {
      const [inner, c, d] = b;
      if (sign === plus && inner === plus) found.push([plus, [plus, a, c], d]);
      if (sign === plus && inner === minus) found.push([minus, [plus, a, c], d]);
      if (sign === minus && inner === plus) found.push([minus, [minus, a, c], d]);
      if (sign === minus && inner === minus) found.push([plus, [minus, a, c], d]);
    }
    if (typeof a !== 'number' && a[0] === minus) {
      if (sign === plus) found.push([minus, [plus, a[1], b], a[2]]);
      if (sign === minus) found.push([minus, [minus, a[1], b], a[2]]);
    }
  }
  return found;
}

/** The trees in classes: of one are those that the laws turn into each other. */
function classes(trees: readonly Tree[]): string[][] {
  const parent = new Map(trees.map((tree) => [written(tree), written(tree)]));
  const root = (one: string): string => {
    let at = one;
    while (parent.get(at) !== at) at = parent.get(at)!;
    parent.set(one, at);
    return at;
  };
  for (const tree of trees) for (const next of rewritten(tree)) parent.set(root(written(tree)), root(written(next)));
  const found = new Map<string, string[]>();
  for (const tree of trees) {
    const text = written(tree);
    found.set(root(text), [...(found.get(root(text)) ?? []), text]);
  }
  return [...found.values()];
}

const keyOf = (text: string): string | null => task.assess(text, { numbers: [1], target: 1 }).key;

describe('the canonical form', () => {
  // By generating functions: if s sums and as many products have n numbers, a sum is a set of two or more numbers and products with
  // signs, not all of them minus, so that s = e^2(x+s) − e^(x+s) − (x+s) = 3x²/2! + 34x³/3! + 630x⁴/4! + …
  it.each([
    [[2], 1],
    [[2, 3], 6],
    [[2, 3, 5], 68],
    [[2, 3, 5, 7], 1260],
  ])(
    'of all expressions of %j, one a class of what commutation and association turn into each other',
    (numbers, size) => {
      const keys = classes(treesOver(numbers)).map((texts) => [...new Set(texts.map(keyOf))]);
      expect(keys).toHaveLength(size);
      expect(keys.every((of) => of.length === 1 && of[0] !== null)).toBe(true);
      expect(new Set(keys.flat()).size).toBe(size);
    },
  );

  it.each([
    ['a-b+c in any order', ['9-5+3', '3+9-5', '3-5+9', '9-(5-3)', '3-(5-9)', '(9-5)+3'], '3+9-5'],
    ['a/b*c in any order', ['8/4*6', '6*8/4', '6/4*8', '8/(4/6)', '6/(4/8)'], '6*8/4'],
    ['nested ones', ['2*(3+(4+5))', '(5+3+4)*2', '((4+5)+3)*2'], '2*(3+4+5)'],
    ['other signs', ['7×(8−2)÷3', '7·(8-2)/3', '(8-2)*7/3'], '7*(8-2)/3'],
    ['spaces', [' 1 + 2 ', '2+1', '((1)+(2))'], '1+2'],
    ['what is claimed', ['2*3 = 6', '3*2=6'], '2*3'],
  ])('%s', (_, texts, key) => {
    for (const text of texts) expect(task.assess(text, { numbers: [1], target: 6 }).key).toBe(key);
  });

  it.each([
    ['5*1', '5/1'],
    ['5+3-3', '5'],
    ['2*(3+4)', '2*3+2*4'],
    ['(5-3)*(4-2)', '(3-5)*(2-4)'],
    ['8-6/2', '(8-6)/2'],
  ])('%s and %s are different', (a, b) => {
    expect(keyOf(a)).not.toBe(keyOf(b));
  });
});

describe('the verifier proves itself', () => {
  const instances = [
    ...task.instances({ numbers: 3, count: 12, seed: 1, minSolutions: 1 }),
    ...task.instances({ count: 4, seed: 2 }),
    { numbers: [3, 3, 8, 8], target: 24 },
    { numbers: [1, 5, 5, 5], target: 25 },
  ];

  it.each(instances.map((i) => [`${i.numbers.join(' ')} to ${i.target}`, i] as const))(
    '%s: the admissible set is that of all trees',
    async (_, instance) => {
      const right = new Set<string>();
      const wrong = new Set<string>();
      for (const some of choices(instance.numbers)) {
        for (const tree of treesOver(some)) {
          (value(tree) === instance.target ? right : wrong).add(keyOf(written(tree))!);
        }
      }
      const members = task.admissibleSet(instance);
      expect(members).toEqual([...right].sort());
      expect(task.admissibleCount(instance)).toBe(members.length);
      expect(task.rewards(instance)).toEqual(new Map(members.map((key) => [key, 1])));

      const grader = compileGrader({ type: 'task', task: 'arithmetic/countdown' });
      for (const key of members) {
        const text = task.render(key, instance);
        expect(task.assess(text, instance)).toEqual({ key, valid: true, reward: 1, countsForUniqueness: true });
        expect(await grader.grade({ output_text: text }, instance)).toEqual({ reward: 1, outcome: key });
      }
      for (const key of wrong) {
        if (!right.has(key)) expect(task.assess(key, instance)).toMatchObject({ key, valid: false, reward: 0 });
      }
    },
  );

  it('another sign, another number, a number twice and another target make members wrong', () => {
    for (const instance of task.instances({ count: 12, seed: 5 })) {
      const members = new Set(task.admissibleSet(instance));
      for (const key of members) {
        const mutants = [...key].flatMap((c, i) =>
          '+-*/'.includes(c) ? ['+', '-', '*', '/'].map((sign) => key.slice(0, i) + sign + key.slice(i + 1)) : [],
        );
        for (const mutant of mutants) {
          const found = task.assess(mutant, instance);
          expect(found.valid).toBe(members.has(found.key!));
        }
        const [last] = key.match(/\d+$/) ?? ['0'];
        for (const foreign of [`${key}+11-11`, `(${key})*11/11`, `${key}+${last}-${last}+0`, `0+${key}`]) {
          expect(task.assess(foreign, instance)).toMatchObject({ valid: false, reward: 0 });
        }
        expect(task.assess(key, { ...instance, target: instance.target + 1 }).valid).toBe(false);
        expect(task.assess(`${key} = ${instance.target + 1}`, instance).key).toBe(null);
      }
    }
  });

  it('a number may be used as often as it is given', () => {
    expect(task.assess('5*5', { numbers: [5, 5], target: 25 }).valid).toBe(true);
    expect(task.assess('5*5', { numbers: [5], target: 25 }).valid).toBe(false);
    expect(task.assess('5*5', { numbers: [5, 25], target: 25 }).valid).toBe(false);
    expect(task.admissibleSet({ numbers: [5, 25], target: 25 })).toEqual(['25']);
  });

  it('results are positive whole numbers in the order that goes best, and no other', () => {
    const valid = (text: string, numbers: number[], target: number) => task.assess(text, { numbers, target }).valid;
    expect(valid('3-5+4', [3, 4, 5], 2)).toBe(true);
    expect(valid('2/4*6', [2, 4, 6], 3)).toBe(true);
    expect(valid('(3-5)*(4-7)', [3, 4, 5, 7], 6)).toBe(false);
    expect(valid('8/(3-8/3)', [3, 3, 8, 8], 24)).toBe(false);
    expect(valid('(5-5)*3+7', [3, 5, 5, 7], 7)).toBe(false);
    expect(valid('7/(5-5)', [5, 5, 7], 7)).toBe(false);
  });
});

describe('the space', () => {
  it('of six numbers is listed, of seven only graded', () => {
    const six = { numbers: [25, 50, 75, 100, 3, 6].sort((a, b) => a - b), target: 952 };
    const members = task.admissibleSet(six);
    // The famous one: ((100 + 6) · 3 · 75 − 50) / 25.
    expect(members).toContain(task.assess('((100+6)*3*75-50)/25', six).key);
    for (const key of members) expect(task.assess(key, six).valid).toBe(true);
    const seven = { numbers: [1, 2, 3, 4, 5, 6, 7], target: 28 };
    expect(() => task.admissibleSet(seven)).toThrow('use at most 6');
    expect(task.assess('1+2+3+4+5+6+7', seven).valid).toBe(true);
  });
});

describe('reading answers', () => {
  const instance = { numbers: [2, 3, 4, 10], target: 14 };

  it.each([
    ['thoughts before a marker', 'First 10+4 is 14.\nExpression: 4 + 10\nDone.', '10+4'],
    ['thoughts and no marker', 'First 10+4', null],
    ['the target behind =', '4 + 10 = 14', '10+4'],
    ['another number behind =', '4 + 10 = 15', null],
    ['a sign in front', '-2+3', null],
    ['a sign twice', '2--3', null],
    ['a power', '2**3', null],
    ['a fraction', '2.5+3', null],
    ['a number side by side', '2 3', null],
    ['no sign before a parenthesis', '2(3+4)', null],
    ['an open parenthesis', '(2+3', null],
    ['one too many', '2+3)', null],
    ['empty parentheses', '()', null],
    ['a zero in front', '02+3', null],
    ['code', 'process.exit()', null],
    ['a number that is not exact', '1234567890123456+1', null],
    ['nothing', '', null],
    ['the marker alone', 'Expression:', null],
  ])('%s', (_, text, expected) => {
    expect(task.assess(text, instance).key).toBe(expected);
  });

  it('never throws and agrees with itself and with the admissible set on any text', () => {
    const token = fc.oneof(
      fc.constantFrom('2', '3', '4', '10', '+', '-', '*', '/', '(', ')', ' ', '=', '14', 'Expression:', '\n'),
      fc.string({ unit: 'binary' }),
    );
    const members = new Set(task.admissibleSet(instance));
    fc.assert(
      fc.property(fc.array(token, { maxLength: 12 }), (tokens) => {
        const found = readTwice(task, tokens.join(''), instance);
        if (found !== null) expect(found.valid).toBe(members.has(found.key));
      }),
      { numRuns: 1000 },
    );
  });

  it('any tree is read as what it is, and is right iff its key is in the set', () => {
    const members = new Set(task.admissibleSet(instance));
    const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small' },
        fc.constantFrom(2, 3, 4, 10),
        fc.tuple(fc.constantFrom('+', '-', '*', '/'), tie('tree'), tie('tree')),
      ),
    }));
    fc.assert(
      fc.property(tree, (one) => {
        const { key, valid } = task.assess(written(one), instance);
        expect(key).not.toBe(null);
        for (const next of rewritten(one)) expect(task.assess(written(next), instance).key).toBe(key);
        expect(valid).toBe(members.has(key!));
      }),
      { numRuns: 1000 },
    );
  });

  it('deep and long texts take no time', () => {
    for (const text of [
      '('.repeat(1e6),
      `${'1+'.repeat(1e6)}1`,
      '9'.repeat(1e6),
      ' '.repeat(1e6),
      `${'(1-'.repeat(200)}1${')'.repeat(200)}`,
    ]) {
      expect(task.assess(text, instance).valid).toBe(false);
    }
  });

  it.each(['', '3+2', '2+3 ', '(2+3)', '2*(3)', 'x', '(3+2)*4', '2−1'])('%j is no key', (bad) => {
    expect(() => task.render(bad, instance)).toThrow(RangeError);
  });
});

describe('rows', () => {
  it('are a user message and the fields of the instance', () => {
    expectRows(task);
  });

  it('are solvable within the options, and all different', () => {
    const options = { numbers: 3, maxNumber: 9, minTarget: 20, maxTarget: 40, minSolutions: 2 };
    const all = task.instances(options);
    expect(all.length).toBeGreaterThan(20);
    for (const instance of all) {
      expect(instance.numbers).toEqual([...instance.numbers].sort((a, b) => a - b));
      expect(instance.numbers.every((n) => n >= 1 && n <= 9)).toBe(true);
      expect(instance.target).toBeGreaterThanOrEqual(20);
      expect(instance.target).toBeLessThanOrEqual(40);
      expect(task.admissibleCount(instance)).toBeGreaterThanOrEqual(2);
    }
    // A draw of as many as there are has every one; of one more it is refused.
    const names = (list: readonly object[]) => list.map((i) => JSON.stringify(i)).sort();
    expect(names(task.instances({ ...options, count: all.length, seed: 3 }))).toEqual(names(all));
    expect(() => task.instances({ ...options, count: all.length + 1, seed: 3 })).toThrow(
      `Found ${all.length} instances`,
    );
  });

  it('have prompts that say what varies', () => {
    expect(task.prompt({ numbers: [3, 7, 25], target: 46 }, 'compact')).toBe('Numbers: 3 7 25\nTarget: 46\n');
    const full = task.prompt({ numbers: [3, 7, 7], target: 21 }, 'full');
    expect(full).toContain('Reach 21 with the numbers 3, 7, 7.');
    expect(full).toContain('listed twice may be used twice');
    // The example in the prompt is right.
    const example = full.slice(full.lastIndexOf('Expression:'));
    expect(task.assess(example, { numbers: [2, 3, 4, 7], target: 9 }).valid).toBe(true);
  });

  it.each([
    [{ numbers: [] }, 'item.numbers'],
    [{ numbers: [1, 0] }, 'item.numbers'],
    [{ numbers: [1.5] }, 'item.numbers'],
    [{ numbers: '1 2' }, 'item.numbers'],
    [{ numbers: Array(21).fill(1) }, 'item.numbers'],
    [{ numbers: [100_000_000, 100_000_000] }, 'item.numbers'],
    [{ target: 0 }, 'item.target'],
    [{ target: '24' }, 'item.target'],
  ])('%j is no instance', (fields, path) => {
    const item = { numbers: [2, 3], target: 6, ...fields };
    expect(task.checkItem(item)[0]?.path).toBe(path);
    expect(() => task.readInstance(item)).toThrow(path);
  });

  it.each([
    { numbers: 1 },
    { numbers: 7 },
    { maxNumber: 0 },
    { minTarget: 0 },
    { minTarget: 5, maxTarget: 4 },
    { minSolutions: 0 },
    { count: 0 },
    { count: 1, seed: 0.5 },
    { numbers: 6, maxNumber: 1000, count: 1 },
    { numbers: 4, maxNumber: 20 },
    { numbers: 2, maxNumber: 3, minTarget: 1000, count: 1 },
  ])('%j is refused', (options) => {
    expect(() => task.instances(options)).toThrow(RangeError);
  });
});
