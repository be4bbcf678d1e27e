import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { porterStem } from './porter.js';

const path = new URL('../../test/fixtures/text-similarity/pairs.json', import.meta.url);
const { stems } = JSON.parse(readFileSync(path, 'utf8')) as { stems: Record<string, string> };

it(`stems ${Object.keys(stems).length} words as NLTK does`, () => {
  const wrong = Object.entries(stems).filter(([word, stem]) => porterStem(word) !== stem);
  expect(wrong.map(([word, stem]) => [word, stem, porterStem(word)])).toEqual([]);
  expect(Object.keys(stems).length).toBeGreaterThan(4000);
});
