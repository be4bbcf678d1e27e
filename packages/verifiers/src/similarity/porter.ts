/**
 * The suffix stripper of M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, with the departures that
 * NLTK's stemmer makes from it by default, marked below. Letters other than a, e, i, o, u and y count as consonants.
 */

type Condition = (stem: string) => boolean;

/** suffix, what stands in its place, and what must hold for the stem before it */
type Rule = readonly [suffix: string, replacement: string, condition?: Condition];

/** NLTK: words whose stem is known. */
const IRREGULAR: ReadonlyMap<string, string> = new Map([
  ['skies', 'sky'],
  ['sky', 'sky'],
  ['dying', 'die'],
  ['lying', 'lie'],
  ['tying', 'tie'],
  ['news', 'news'],
  ['innings', 'inning'],
  ['inning', 'inning'],
  ['outings', 'outing'],
  ['outing', 'outing'],
  ['cannings', 'canning'],
  ['canning', 'canning'],
  ['howe', 'howe'],
  ['proceed', 'proceed'],
  ['exceed', 'exceed'],
  ['succeed', 'succeed'],
]);

/** @param word in lower case */
export function porterStem(word: string): string {
  const irregular = IRREGULAR.get(word);
  if (irregular !== undefined) return irregular;
  if ([...word].length <= 2) return word;
  let stem = plural(word);
  stem = pastOrGerund(stem);
  stem = finalY(stem);
  stem = doubleSuffix(stem);
  stem = strip(stem, STEP_3);
  stem = strip(stem, STEP_4);
  stem = finalE(stem);
  return stem.endsWith('ll') && measure(stem.slice(0, -1)) > 1 ? stem.slice(0, -1) : stem;
}

/** Step 1a. */
function plural(word: string): string {
  // NLTK: dies is die, not di.
  if (word.endsWith('ies') && [...word].length === 4) return `${word.slice(0, -3)}ie`;
  return strip(word, [
    ['sses', 'ss'],
    ['ies', 'i'],
    ['ss', 'ss'],
    ['s', ''],
  ]);
}

/** Step 1b. */
function pastOrGerund(word: string): string {
  // NLTK: died is die, and spied is spi.
  if (word.endsWith('ied')) return word.slice(0, [...word].length === 4 ? -1 : -2);
  if (word.endsWith('eed')) return measure(word.slice(0, -3)) > 0 ? word.slice(0, -1) : word;
  const suffix = ['ed', 'ing'].find((one) => word.endsWith(one) && hasVowel(word.slice(0, -one.length)));
  if (suffix === undefined) return word;
  const stem = word.slice(0, -suffix.length);
  if (/(?:at|bl|iz)$/.test(stem)) return `${stem}e`;
  if (endsDouble(stem)) return /[lsz]$/.test(stem) ? stem : [...stem].slice(0, -1).join('');
  return measure(stem) === 1 && endsShort(stem) ? `${stem}e` : stem;
}

/** Step 1c. NLTK: only after a consonant that is not the first letter, so that enjoy stays and fly does not. */
function finalY(word: string): string {
  const stem = word.slice(0, -1);
  const flags = consonants(stem);
  return word.endsWith('y') && flags.length > 1 && flags.at(-1) ? `${stem}i` : word;
}

/** Step 2. */
function doubleSuffix(word: string): string {
  // NLTK: what alli leaves may end in another suffix.
  if (word.endsWith('alli') && some(word.slice(0, -4))) return doubleSuffix(word.slice(0, -2));
  return strip(word, STEP_2);
}

/** Step 5a. */
function finalE(word: string): string {
  if (!word.endsWith('e')) return word;
  const stem = word.slice(0, -1);
  const m = measure(stem);
  return m > 1 || (m === 1 && !endsShort(stem)) ? stem : word;
}

/** The first rule whose suffix fits is the one that counts, whether its condition holds or not. */
function strip(word: string, rules: readonly Rule[]): string {
  const rule = rules.find(([suffix]) => word.endsWith(suffix));
  if (rule === undefined) return word;
  const [suffix, replacement, condition] = rule;
  const stem = word.slice(0, word.length - suffix.length);
  return condition === undefined || condition(stem) ? stem + replacement : word;
}

const some: Condition = (stem) => measure(stem) > 0;
const several: Condition = (stem) => measure(stem) > 1;

const STEP_2: readonly Rule[] = [
  ['ational', 'ate', some],
  ['tional', 'tion', some],
  ['enci', 'ence', some],
  ['anci', 'ance', some],
  ['izer', 'ize', some],
  // NLTK: bli, where the paper has abli.
  ['bli', 'ble', some],
  ['alli', 'al', some],
  ['entli', 'ent', some],
  ['eli', 'e', some],
  ['ousli', 'ous', some],
  ['ization', 'ize', some],
  ['ation', 'ate', some],
  ['ator', 'ate', some],
  ['alism', 'al', some],
  ['iveness', 'ive', some],
  ['fulness', 'ful', some],
  ['ousness', 'ous', some],
  ['aliti', 'al', some],
  ['iviti', 'ive', some],
  ['biliti', 'ble', some],
  // NLTK: two more; the l of logi counts as the stem's.
  ['fulli', 'ful', some],
  ['logi', 'log', (stem) => some(`${stem}l`)],
];

const STEP_3: readonly Rule[] = [
  ['icate', 'ic', some],
  ['ative', '', some],
  ['alize', 'al', some],
  ['iciti', 'ic', some],
  ['ical', 'ic', some],
  ['ful', '', some],
  ['ness', '', some],
];

const STEP_4: readonly Rule[] = [
  ...['al', 'ance', 'ence', 'er', 'ic', 'able', 'ible', 'ant', 'ement', 'ment', 'ent'].map(removed),
  ['ion', '', (stem) => several(stem) && /[st]$/.test(stem)],
  ...['ou', 'ism', 'ate', 'iti', 'ous', 'ive', 'ize'].map(removed),
];

function removed(suffix: string): Rule {
  return [suffix, '', several];
}

/** Per letter: whether it is a consonant. y is one at the start and after a vowel. */
function consonants(word: string): boolean[] {
  const flags: boolean[] = [];
  for (const letter of word) {
    flags.push(letter === 'y' ? !(flags.at(-1) ?? false) : !'aeiou'.includes(letter));
  }
  return flags;
}

/** m: how often a vowel is followed by a consonant. */
function measure(stem: string): number {
  const flags = consonants(stem);
  return flags.filter((consonant, i) => consonant && i > 0 && !flags[i - 1]).length;
}

function hasVowel(stem: string): boolean {
  return consonants(stem).includes(false);
}

/** *d: ends with a double consonant */
function endsDouble(stem: string): boolean {
  const letters = [...stem];
  return letters.length >= 2 && letters.at(-1) === letters.at(-2) && consonants(stem).at(-1) === true;
}

/** *o: ends consonant, vowel, consonant, the last of them not w, x or y. NLTK: or is a vowel and a consonant. */
function endsShort(stem: string): boolean {
  const flags = consonants(stem);
  const [third, second, last] = [flags.at(-3), flags.at(-2), flags.at(-1)];
  if (flags.length === 2) return second === false && last === true;
  return third === true && second === false && last === true && !/[wxy]$/.test(stem);
}
