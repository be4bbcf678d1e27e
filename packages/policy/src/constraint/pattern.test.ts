import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Automaton, both, lengthAutomaton, otherThan, patternAutomaton } from './pattern.js';

function accepts({ states }: Automaton, text: string): boolean {
  let at = 0;
  for (const character of text) {
    const c = character.codePointAt(0)!;
    const edge = states[at]!.edges.find(({ on }) => on.some(([low, high]) => low <= c && c <= high));
    if (edge === undefined) return false;
    at = edge.to;
  }
  return states[at]!.accepting;
}

const PATTERNS = [
  '^a*b$',
  'ab',
  '^(ab|a)(bc|c)?$',
  'a|^b|c$',
  '^$',
  '^^a$$',
  'a$|b',
  '(?:^|-)ab(?:-|$)',
  '[^ab]',
  '^[a-c-]{2,3}$',
  '^(a|b){0,2}?c+$',
  '^\\d{2}-\\w*$',
  '^[\\d\\-a]+\\s$',
  '^\\u0061\\x62\\cJ?$',
  '^.$',
  '^\\u{1f600}[é-ü]?$',
  '^(?<name>a)\\/\\.$',
  '^\\ud83d\\ude00$',
  '(a+)+$',
  '^(a?){5}a{5}$',
  '',
  '[]',
  'a[]|b',
  '^[^]$',
  '^\\S\\D\\W$',
  '($|a)(a|^)',
];

const letters = fc.constantFrom('a', 'b', 'c', '-', '1', ' ', '\n', 'é', '😀', '/', '.', '_', '\u2028', '\ufeff');

describe('a pattern as an automaton', () => {
  it.each(PATTERNS)('accepts what %j finds', (pattern) => {
    const automaton = patternAutomaton(pattern);
    const regex = new RegExp(pattern, 'u');
    fc.assert(
      fc.property(fc.array(letters, { maxLength: 8 }), (parts) => {
        const text = parts.join('');
        expect(accepts(automaton, text), JSON.stringify(text)).toBe(regex.test(text));
      }),
      { numRuns: 500 },
    );
  });

  it('accepts what random ones find', () => {
    const { tree } = fc.letrec<{ tree: string }>((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.constantFrom('a', 'b', '[ab]', '[^a]', '.', '^', '$', '\\w', '\\s'),
        fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => a + b),
        fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => `(${a}|${b})`),
        fc.tuple(tie('tree'), fc.constantFrom('*', '+', '?', '{2}', '{1,3}', '{0,}')).map(([a, q]) => `(?:${a})${q}`),
      ),
    }));
    fc.assert(
      fc.property(
        tree,
        fc.array(fc.array(letters, { maxLength: 6 }), { minLength: 5, maxLength: 5 }),
        (pattern, texts) => {
          const automaton = patternAutomaton(pattern);
          for (const text of texts.map((parts) => parts.join(''))) {
            expect(accepts(automaton, text), `${pattern} on ${JSON.stringify(text)}`).toBe(
              new RegExp(pattern, 'u').test(text),
            );
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it.each([
    ['(a', 'is no regular expression'],
    ['(a)\\1', 'has \\1'],
    ['a(?=b)', 'look-around'],
    ['(?<!b)a', 'look-around'],
    ['\\bword', 'has \\b'],
    ['\\p{L}', 'has \\p'],
    ['[\\p{L}]', 'has \\p'],
    ['a{30000}', 'repeats too much'],
    ['((a{100}){100}){100}', 'repeats too much'],
    ['(a|b)*a(a|b){14}', 'needs more than 4000 states'],
    [`${'('.repeat(300)}a${')'.repeat(300)}`, 'nests groups'],
  ])('refuses %j', (pattern, message) => {
    expect(() => patternAutomaton(pattern)).toThrow(message);
  });

  it('goes with others and with lengths', () => {
    const automaton = [patternAutomaton('^a'), patternAutomaton('b$'), lengthAutomaton(3, 4)].reduce(both);
    const accepted = ['ab', 'aab', 'acb', 'a😀😀b', 'accb', 'acccb', 'bab'].filter((text) => accepts(automaton, text));
    expect(accepted).toEqual(['aab', 'acb', 'a😀😀b', 'accb']);
  });

  it('is any text but some', () => {
    const names = ['a', 'ab', 'é', ''];
    const automaton = otherThan(names);
    fc.assert(
      fc.property(fc.array(letters, { maxLength: 3 }), (parts) => {
        expect(accepts(automaton, parts.join(''))).toBe(!names.includes(parts.join('')));
      }),
    );
  });
});
