import { tasks } from '@polymode/verifiers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const task = tasks['hypospace/voxel'];
const instanceArbitrary = fc
  .record({ grid: fc.integer({ min: 1, max: 4 }), max_height: fc.integer({ min: 1, max: 4 }) })
  .chain(({ grid, max_height }) =>
    fc.uniqueArray(fc.nat(grid * grid - 1), { minLength: 1, maxLength: Math.min(4, grid * grid) }).map((cells) => ({
      grid,
      max_height,
      top: Array.from({ length: grid * grid }, (_, i) => (cells.includes(i) ? '1' : '0')).join(''),
    })),
  );

describe('the verifier proves itself', () => {
  it('accepts what it renders of every member, whose key comes back; H^k members, all different', () => {
    fc.assert(
      fc.property(instanceArbitrary, (instance) => {
        const members = task.admissibleSet(instance);
        expect(new Set(members).size).toBe(instance.max_height ** instance.top.replaceAll('0', '').length);
        for (const key of members) {
          expect(task.assess(task.render(key, instance), instance)).toEqual({
            key,
            valid: true,
            reward: 1,
            countsForUniqueness: true,
          });
        }
      }),
      { numRuns: 60 },
    );
  });

  it('of every structure of up to H+1 layers on a 2x2 grid, accepts the admissible set and nothing else', () => {
    const layer = Array.from({ length: 16 }, (_, bits) => bits.toString(2).padStart(4, '0'));
    const instance = { grid: 2, max_height: 2, top: '1100' };
    const accepted = new Set<string>();
    const answer = (layers: string[]) => task.render({ grid: 2, layers }, instance);
    for (const a of layer) {
      for (const b of layer) {
        for (const c of layer) {
          const { key, valid } = task.assess(answer([a, b, c]), instance);
          if (valid) accepted.add(key!);
        }
      }
    }
    expect([...accepted].sort()).toEqual(task.admissibleSet(instance));
  });

  it('flipping one bit of the view makes every member wrong', () => {
    fc.assert(
      fc.property(instanceArbitrary, fc.nat(), (instance, n) => {
        const cell = n % instance.top.length;
        const flipped = [...instance.top].map((b, i) => (i === cell ? (b === '1' ? '0' : '1') : b)).join('');
        for (const key of task.admissibleSet(instance)) {
          expect(task.assess(task.render(key, instance), { ...instance, top: flipped }).valid).toBe(false);
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe('reading answers', () => {
  const instance = { grid: 2, max_height: 3, top: '1100' };
  const key = (text: string) => task.assess(text, instance).key;
  const layer1 = 'Structure:\nLayer 1:\n1 1\n0 0\n';

  it.each([
    [
      'an explanation ends the whole answer, later layers included',
      `${layer1}Thus done\nLayer 2:\n1 0\n0 0`,
      '2x2:1100',
    ],
    ['a line that begins Note: is skipped', `${layer1}Note: more\nLayer 2:\n1 0\n0 0`, '2x2:1100/1000'],
    ['Note: inside a line ends the answer', `${layer1}A note: more\nLayer 2:\n1 0\n0 0`, '2x2:1100'],
    [
      'a Layer line without number is ignored, whatever it says',
      `${layer1}Layer thus\nLayer 2:\n1 0\n0 0`,
      '2x2:1100/1000',
    ],
    ['bars at both ends', 'Structure:\nLayer 1:\n| 1 | 1 |\n| 0 | 0 |', '2x2:1100'],
    ['a comma at the end', 'Structure:\nLayer 1:\n1, 1,\n0, 0,', '2x2:1100'],
    ['commas win over bars', 'Structure:\nLayer 1:\n1|0,1\n0 0', null],
    ['a number in prose is a row', `${layer1}7`, null],
    ['two empty layers at the end', `${layer1}Layer 2:\nLayer 3:`, '2x2:1100'],
    ['an empty layer in between', `${layer1}Layer 2:\nLayer 3:\n1 0\n0 0`, null],
    ['a row that is too long after one that is right', 'Structure:\nLayer 1:\n1 1\n0 0 0', null],
    ['a header with more after the number', 'Structure:\nLayer 1st floor\n1 1\n0 0', '2x2:1100'],
    ['Layer 1 without colon and without Structure:', 'Layer 1\n1 1\n0 0', null],
    ['Structure: after a layer wins', 'Layer 1:\n1 1\n0 0\nStructure:', null],
    ['fractions are prose', `${layer1}0.5 1`, '2x2:1100'],
  ])('%s', (_, text, expected) => {
    expect(key(text)).toBe(expected);
  });

  it('an empty fourth layer is not height, a filled one is too much', () => {
    const tower = ['1100', '1000', '1000'];
    const valid = (layers: string[]) => task.assess(task.render({ grid: 2, layers }, instance), instance).valid;
    expect(valid([...tower, '0000'])).toBe(true);
    expect(valid([...tower, '1000'])).toBe(false);
  });

  it('never throws and agrees with itself on any text', () => {
    const line = fc.oneof(
      fc.constantFrom('Structure:', 'Layer 1:', 'Layer 2:', '1 1', '0 0', '1 0', '[1, 0]', '0|1', 'since', '', '2 0'),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
        const found = task.parse(lines.join('\n'), instance);
        if (found === null) return;
        expect(task.key(task.parse(task.render(found, instance), instance)!)).toBe(task.key(found));
        expect(task.render(task.key(found), instance)).toBe(task.render(found, instance));
        expect(task.verify(found, instance)).toBe(task.admissibleSet(instance).includes(task.key(found)));
      }),
      { numRuns: 500 },
    );
  });

  it.each(['', 'x', '2x2:', '2x3:1100', '2x2:110', '2x2:1100/0000', '2x2:1100/'])('%j is no key', (bad) => {
    expect(() => task.render(bad, instance)).toThrow(RangeError);
  });
});

describe('prompts', () => {
  const instance = { grid: 3, max_height: 3, top: '010000011' };

  it('compact: the view, and the height when it is not 3', () => {
    expect(task.prompt(instance, 'compact')).toBe('Top view:\n0 1 0\n0 0 0\n0 1 1\n');
    expect(task.prompt({ ...instance, max_height: 4 }, 'compact')).toBe(
      'Max height: 4\nTop view:\n0 1 0\n0 0 0\n0 1 1\n',
    );
  });

  it('the answer to it', () => {
    expect(task.render('3x3:010000011/010000000', instance)).toBe(
      'Structure:\nLayer 1:\n0 1 0\n0 0 0\n0 1 1\nLayer 2:\n0 1 0\n0 0 0\n0 0 0',
    );
  });

  it('full: in the order of the benchmark, with the limits of the instance', () => {
    const prompt = task.prompt({ ...instance, max_height: 4 }, 'full');
    const parts = [
      '3x3',
      '4 layers',
      'Top view:\n0 1 0\n0 0 0\n0 1 1\n',
      'None',
      'Task:',
      'Rules:',
      'Structure:\nLayer 1:',
      'For example',
      'Do not answer',
    ];
    const at = parts.map((part) => prompt.indexOf(part));
    expect(at).toEqual([...at].sort((a, b) => a - b));
    expect(at[0]).toBeGreaterThan(0);
  });
});

describe('instances', () => {
  it('3x3 views have 9, 36 and 84 members for 1, 2 and 3 blocks, in lexicographic order of cells', () => {
    const tops = (blocks: number, upTo = false) => task.instances({ blocks, upTo }).map((i) => i.top);
    expect([1, 2, 3].map((b) => tops(b).length)).toEqual([9, 36, 84]);
    expect(tops(2).slice(0, 3)).toEqual(['110000000', '101000000', '100100000']);
    // Lexicographic order of cells is descending order of the bit strings.
    expect(tops(3)).toEqual([...new Set(tops(3))].sort().reverse());
    expect(tops(3, true)).toEqual([...tops(1), ...tops(2), ...tops(3)]);
    expect(tops(3).every((t) => t.replaceAll('0', '').length === 3)).toBe(true);
  });

  it('a draw is without replacement, repeats with its seed and differs with another', () => {
    const draw = (seed: number) => task.instances({ count: 60, seed }).map((i) => i.top);
    expect(new Set(draw(1)).size).toBe(60);
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    expect(new Set(task.instances({ count: 84 }).map((i) => i.top)).size).toBe(84);
  });

  it('draws from more views than could be listed', () => {
    const options = { grid: 10, blocks: 8 };
    expect(() => task.instances(options)).toThrow('Set count');
    const drawn = task.instances({ ...options, count: 5 });
    expect(drawn.every((i) => i.top.length === 100 && i.top.replaceAll('0', '').length === 8)).toBe(true);
  });

  it('rows are a user message and the fields of the instance', () => {
    const [row] = task.generate({ grid: 2, blocks: 4, maxHeight: 2 });
    const instance = { grid: 2, max_height: 2, top: '1111' };
    expect(row).toEqual({ messages: [{ role: 'user', content: task.prompt(instance, 'compact') }], ...instance });
    expect(task.generate({ count: 1, style: 'full' })[0]!.messages[0]!.content).toContain('Task:');
    expect(task.checkItem(row!)).toEqual([]);
  });

  it.each([{ grid: 0 }, { grid: 51 }, { blocks: 0 }, { blocks: 10 }, { maxHeight: 0 }, { count: 85 }, { count: 0 }])(
    '%j is refused',
    (options) => {
      expect(() => task.instances(options)).toThrow(RangeError);
    },
  );

  it('refuses to list an admissible set of more than a million', () => {
    const instance = { grid: 4, max_height: 3, top: '1'.repeat(16) };
    expect(task.admissibleCount(instance)).toBe(3 ** 16);
    expect(() => task.admissibleSet(instance)).toThrow('too many to list');
  });
});
