import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import { breathe } from '../pace.js';

const FILE = new URL('../../data/wordnet/lexicon.br', import.meta.url);

const ENTRIES_PER_BREATH = 500;

/** Endings that inflection puts in place of others, by part of speech in the file's order: noun, verb, adjective, adverb. */
const ENDINGS: readonly (readonly (readonly [inflected: string, base: string])[])[] = [
  [
    ['s', ''],
    ['ses', 's'],
    ['ves', 'f'],
    ['xes', 'x'],
    ['zes', 'z'],
    ['ches', 'ch'],
    ['shes', 'sh'],
    ['men', 'man'],
    ['ies', 'y'],
  ],
  [
    ['s', ''],
    ['ies', 'y'],
    ['es', 'e'],
    ['es', ''],
    ['ed', 'e'],
    ['ed', ''],
    ['ing', 'e'],
    ['ing', ''],
  ],
  [
    ['er', ''],
    ['est', ''],
    ['er', 'e'],
    ['est', 'e'],
  ],
  [],
];

interface PartOfSpeech {
  /** synonyms of each word, itself included if it is written in small letters */
  readonly synonyms: ReadonlyMap<string, readonly string[]>;
  /** base forms of words that are inflected irregularly */
  readonly irregular: ReadonlyMap<string, readonly string[]>;
}

/** Synonyms of English words in WordNet 3.0. */
export class Lexicon {
  private static loading: Promise<Lexicon> | null = null;

  private constructor(private readonly parts: readonly PartOfSpeech[]) {}

  /** Reads the file at the first call, over several turns of the event loop. It takes some 30 MB of memory. */
  static load(): Promise<Lexicon> {
    Lexicon.loading ??= readLexicon().then((parts) => new Lexicon(parts));
    return Lexicon.loading;
  }

  /** Words in small letters that share a synset with the word or a base form of it. @param word in small letters */
  synonyms(word: string): Set<string> {
    const found = new Set<string>();
    for (const [i, { synonyms, irregular }] of this.parts.entries()) {
      const bases =
        irregular.get(word) ??
        ENDINGS[i]!.flatMap(([inflected, base]) =>
          word.endsWith(inflected) ? [word.slice(0, word.length - inflected.length) + base] : [],
        );
      for (const form of [word, ...bases]) for (const name of synonyms.get(form) ?? []) found.add(name);
    }
    return found;
  }
}

async function readLexicon(): Promise<PartOfSpeech[]> {
  const bytes = await promisify(brotliDecompress)(await readFile(FILE));
  const lines = bytes.toString('utf8').split('\n');
  const parts: PartOfSpeech[] = [];
  for (let at = 0; at < lines.length; at += 3) {
    const synonyms = new Map<string, string[]>();
    await each(lines[at]!, ' ', (word) => {
      if (word.startsWith('^')) synonyms.set(word.slice(1), []);
      else synonyms.set(word, [word]);
    });
    await each(lines[at + 1]!, ';', (synset) => {
      const names = synset.split(' ');
      const small = names.filter((name) => name === name.toLowerCase());
      for (const name of names) synonyms.get(name.toLowerCase())!.push(...small);
    });
    const irregular = new Map<string, string[]>();
    await each(lines[at + 2]!, ';', (entry) => {
      const [form, ...bases] = entry.split(' ');
      irregular.set(form!, bases);
    });
    parts.push({ synonyms, irregular });
  }
  return parts;
}

/** Cuts the line entry by entry: all at once would be a long step. */
async function each(line: string, separator: string, take: (entry: string) => void): Promise<void> {
  for (let at = 0, taken = 0; at < line.length; taken++) {
    const end = line.indexOf(separator, at);
    const entry = line.slice(at, end < 0 ? line.length : end);
    take(entry);
    at += entry.length + separator.length;
    if (taken % ENTRIES_PER_BREATH === 0) await breathe();
  }
}
