import { breathe } from '../pace.js';
import { Lexicon } from './lexicon.js';
import { porterStem } from './porter.js';
import { tokens13a } from './tokens.js';

/** Weight of recall, shape and weight of the penalty for fragments: NLTK's defaults. */
const ALPHA = 0.9;
const BETA = 3;
const GAMMA = 0.5;

const WORDS_PER_BREATH = 500;

interface Word {
  readonly place: number;
  readonly form: string;
}

/**
 * METEOR (Lavie and Agarwal, 2007) with matches of equal words, then of words with equal stems, then of words of which one
 * is a synonym of the other in WordNet. As in NLTK, synonyms are looked up by the stem.
 *
 * F = P·R / (α·P + (1−α)·R);  score = F · (1 − γ·(chunks / matches)^β), chunks being runs of words that match in order.
 */
export async function meteor(candidate: string, reference: string, signal?: AbortSignal): Promise<number> {
  const words = async (text: string): Promise<Word[]> =>
    (await tokens13a(text, signal)).map((token, place) => ({ place, form: token.toLowerCase() }));
  const [a, b] = [await words(candidate), await words(reference)];
  const matches: [number, number][] = [];
  const [restA, restB] = await matched(a, b, matches, signal);
  const [otherA, otherB] = await matched(await stemmed(restA, signal), await stemmed(restB, signal), matches, signal);
  await matchSynonyms(otherA, otherB, matches, signal);
  if (matches.length === 0) return 0;

  matches.sort(([i], [j]) => i - j);
  const chunks = matches.filter(([i, j], k) => {
    const before = matches[k - 1];
    return before === undefined || i !== before[0] + 1 || j !== before[1] + 1;
  }).length;
  const precision = matches.length / a.length;
  const recall = matches.length / b.length;
  const mean = (precision * recall) / (ALPHA * precision + (1 - ALPHA) * recall);
  return mean * (1 - GAMMA * (chunks / matches.length) ** BETA);
}

/** From the last word to the first, each with the last equal one that is free. @returns the words without a match */
async function matched(
  a: readonly Word[],
  b: readonly Word[],
  matches: [number, number][],
  signal?: AbortSignal,
): Promise<[Word[], Word[]]> {
  const free = placesOf(b);
  const rest: Word[] = [];
  for (let k = a.length - 1; k >= 0; k--) {
    const word = a[k]!;
    const place = free.get(word.form)?.pop();
    if (place === undefined) rest.push(word);
    else matches.push([word.place, place]);
    if (k % WORDS_PER_BREATH === 0) await breathe(signal);
  }
  const left = new Set([...free.values()].flat());
  return [rest.reverse(), b.filter(({ place }) => left.has(place))];
}

/** Likewise, each with the last one that is free and equal to it or one of its synonyms. */
async function matchSynonyms(
  a: readonly Word[],
  b: readonly Word[],
  matches: [number, number][],
  signal?: AbortSignal,
): Promise<void> {
  if (a.length === 0 || b.length === 0) return;
  const lexicon = await Lexicon.load();
  const free = placesOf(b);
  for (let k = a.length - 1; k >= 0; k--) {
    const { form, place } = a[k]!;
    let last: number[] = [];
    for (const name of lexicon.synonyms(form).add(form)) {
      const places = free.get(name) ?? [];
      if ((places.at(-1) ?? -1) > (last.at(-1) ?? -1)) last = places;
    }
    const found = last.pop();
    if (found !== undefined) matches.push([place, found]);
    if (k % WORDS_PER_BREATH === 0) await breathe(signal);
  }
}

/** Where each form stands, in order. */
function placesOf(words: readonly Word[]): Map<string, number[]> {
  const places = new Map<string, number[]>();
  for (const { form, place } of words) {
    const list = places.get(form);
    if (list) list.push(place);
    else places.set(form, [place]);
  }
  return places;
}

async function stemmed(words: readonly Word[], signal?: AbortSignal): Promise<Word[]> {
  const stems: Word[] = [];
  for (const { place, form } of words) {
    if (stems.push({ place, form: porterStem(form) }) % WORDS_PER_BREATH === 0) await breathe(signal);
  }
  return stems;
}
