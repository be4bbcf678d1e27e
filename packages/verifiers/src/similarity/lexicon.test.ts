import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { Lexicon } from './lexicon.js';

const path = new URL('../../test/fixtures/text-similarity/pairs.json', import.meta.url);
const { synonyms } = JSON.parse(readFileSync(path, 'utf8')) as { synonyms: Record<string, string[]> };

it(`knows the synonyms of ${Object.keys(synonyms).length} words, inflected ones too, as NLTK does`, async () => {
  const lexicon = await Lexicon.load();
  const found = Object.keys(synonyms).map((word) => [word, [...lexicon.synonyms(word)].sort()]);
  expect(Object.fromEntries(found)).toEqual(synonyms);
  expect(Object.values(synonyms).filter(({ length }) => length > 1).length).toBeGreaterThan(100);
  expect(lexicon.synonyms('constructor').size).toBeLessThan(5);
  expect(lexicon.synonyms('')).toEqual(new Set());
});
