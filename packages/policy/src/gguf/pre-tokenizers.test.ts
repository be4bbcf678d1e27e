import { describe, expect, it } from 'vitest';
import { cutsOfJson, preTokenizerJson, preTokenizers } from './pre-tokenizers.js';

describe('preTokenizerJson', () => {
  it('is read back as what it was written from', () => {
    for (const { cuts } of preTokenizers) expect(cutsOfJson(preTokenizerJson(cuts))).toEqual(cuts);
  });

  it('gives no name twice, and no two names of one meaning', () => {
    const names = preTokenizers.flatMap((known) => known.names);
    expect(new Set(names).size).toBe(names.length);
    const meanings = preTokenizers.map(({ cuts, normalizer, ignoreMerges }) =>
      JSON.stringify([cuts, normalizer, ignoreMerges]),
    );
    expect(new Set(meanings).size).toBe(meanings.length);
  });
});

describe('cutsOfJson', () => {
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };

  it("knows SmolLM's own form", () => {
    const digits = { type: 'Digits', individual_digits: true };
    const smollm = preTokenizers.find(({ names }) => names.includes('smollm'))!;
    expect(cutsOfJson({ type: 'Sequence', pretokenizers: [digits, bytes] })).toEqual(smollm.cuts);
  });

  it.each([
    ['no bytes', { type: 'Digits', individual_digits: true }],
    ['a space before each text', { ...bytes, add_prefix_space: true }],
    ['a step after the bytes', { type: 'Sequence', pretokenizers: [bytes, bytes] }],
    [
      'several digits at once',
      { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: false }, bytes] },
    ],
    [
      'matches that are dropped',
      {
        type: 'Sequence',
        pretokenizers: [{ type: 'Split', pattern: { Regex: ' ' }, behavior: 'Removed', invert: false }, bytes],
      },
    ],
    ['none', null],
  ])('has no word for %s', (_, json) => {
    expect(cutsOfJson(json)).toBeNull();
  });
});
