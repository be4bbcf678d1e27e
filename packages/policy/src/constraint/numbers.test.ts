import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GrammarBuilder } from './grammar.js';
import { Machine } from './machine.js';
import { type NumberLimits, numberRule } from './numbers.js';
import { waysOf } from './shortest.js';

const NONE: NumberLimits = {
  integer: false,
  min: Number.NEGATIVE_INFINITY,
  max: Number.POSITIVE_INFINITY,
  aboveMin: false,
  belowMax: false,
  multipleOf: null,
};

function reader(limits: Partial<NumberLimits>): (text: string) => boolean {
  const builder = new GrammarBuilder();
  const rule = numberRule(builder, { ...NONE, ...limits });
  if (rule === null) return () => false;
  const grammar = builder.build(rule);
  const machine = new Machine(grammar, waysOf(grammar).bytes);
  return (text) => machine.after(machine.start(), new TextEncoder().encode(text))?.complete ?? false;
}

const fits = (x: number, { min, max, aboveMin, belowMax, multipleOf }: NumberLimits): boolean =>
  (aboveMin ? x > min : x >= min) && (belowMax ? x < max : x <= max) && (multipleOf === null || x % multipleOf === 0);

const bound = (range: fc.Arbitrary<number>) => fc.option(range, { nil: undefined });

describe('integers within bounds', () => {
  it('are those, each in one spelling', () => {
    const small = fc.integer({ min: -1200, max: 1200 });
    fc.assert(
      fc.property(
        bound(small),
        bound(small),
        fc.boolean(),
        fc.boolean(),
        fc.option(fc.integer({ min: 1, max: 12 })),
        (min = -1500, max = 1500, aboveMin, belowMax, multipleOf) => {
          const limits = { integer: true, min, max, aboveMin, belowMax, multipleOf };
          const reads = reader(limits);
          for (let x = -1600; x <= 1600; x += x % 100 === 0 ? 1 : 3) {
            expect(reads(String(x)), `${x} in ${JSON.stringify(limits)}`).toBe(fits(x, limits));
          }
          for (const text of ['-0', '01', '-', '', '1.0', '1e1', '+1']) expect(reads(text)).toBe(false);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('are the safe ones without bounds', () => {
    const reads = reader({ integer: true });
    const last = Number.MAX_SAFE_INTEGER;
    expect([0, 7, -7, last, -last].map((x) => reads(String(x)))).toEqual([true, true, true, true, true]);
    expect(reads('9007199254740992')).toBe(false);
    expect(reads('-9007199254740992')).toBe(false);
  });
});

describe('numbers within bounds', () => {
  it('are those, with at least nine digits after the point of small ones', () => {
    const some = fc.integer({ min: -2e6, max: 2e6 }).map((n) => n / 1000);
    const digits = fc.integer({ min: -3e6, max: 3e6 }).map((n) => n / 1000);
    fc.assert(
      fc.property(
        bound(some),
        bound(some),
        fc.boolean(),
        fc.boolean(),
        fc.array(digits),
        (min, max, aboveMin, belowMax, xs) => {
          if (min === undefined && max === undefined) return;
          const limits = { ...NONE, min: min ?? NONE.min, max: max ?? NONE.max, aboveMin, belowMax };
          const reads = reader(limits);
          for (const x of [...xs, min ?? 0, max ?? 0, (min ?? 0) + 0.001, (max ?? 0) - 0.001]) {
            const text = x.toFixed(3).replace(/\.?0+$/, '');
            if (text === '-0') continue;
            expect(reads(text), `${text} in ${JSON.stringify(limits)}`).toBe(fits(Number(text), limits));
            if (fits(Number(text), limits)) expect(reads(`${x.toFixed(3)}0`)).toBe(true);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('never rounds across a bound', () => {
    // 0.1 + 0.2 has 17 digits; what is read as above it must be above it as a double.
    const reads = reader({ min: 0.1 + 0.2, aboveMin: true, max: 1 });
    expect(reads('0.3')).toBe(false);
    expect(reads('0.30000000000001')).toBe(true);
    expect(reads('0.300000000000000044')).toBe(false);
    expect(reader({ min: 0, aboveMin: true, max: 1e-20 })('0')).toBe(false);
  });

  it('are none where there is none', () => {
    const builder = new GrammarBuilder();
    expect(numberRule(builder, { ...NONE, min: 2, max: 1 })).toBeNull();
    expect(numberRule(builder, { ...NONE, integer: true, min: 1e17 })).toBeNull();
    expect(numberRule(builder, { ...NONE, integer: true, min: 0.2, max: 0.8 })).toBeNull();
  });
});

describe('any number', () => {
  it('is what JSON.stringify writes of doubles below 1.7e308', () => {
    const reads = reader({});
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1.69e308, max: 1.69e308 }), (x) => {
        expect(reads(JSON.stringify(x)), JSON.stringify(x)).toBe(true);
      }),
      { numRuns: 2000 },
    );
    for (const text of [
      '5e-324',
      '1e-7',
      '123456789012345680000',
      '0.000001',
      '1E5',
      '1e+05',
      '-0.0',
      '1e308',
      '-1.6e+308',
    ]) {
      expect(reads(text), text).toBe(true);
    }
    for (const text of ['1e309', '9e308', '1.8e308', '01', '.5', '5.', '1e', '--1', 'NaN', '10e400'])
      expect(reads(text)).toBe(false);
  });
});
