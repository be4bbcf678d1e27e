/**
 * Writes lexicon.br from WordNet's database files: what METEOR needs of them.
 *
 *     node make_lexicon.mjs /usr/share/wordnet
 *
 * The folder is Debian's package wordnet-base, or `dict` of WordNet 3.0. The output is text under Brotli, three lines a part
 * of speech (noun, verb, adj, adv):
 *
 *     words, with ^ before those that are only written with capitals
 *     synsets of at least two words: words with spaces between, synsets with semicolons
 *     irregular forms, each with its base forms, likewise
 *
 * Terms of several words are left out, as texts are compared word by word.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';

const dir = process.argv[2];
if (dir === undefined) throw new Error('Give the folder of index.noun, data.noun and so on.');
const linesOf = (file) =>
  readFileSync(join(dir, file), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('  '));
const isWord = (name) => !name.includes('_');

const lines = ['noun', 'verb', 'adj', 'adv'].flatMap((pos) => {
  const namesAt = new Map(
    linesOf(`data.${pos}`).map((line) => {
      const fields = line.split(' ');
      const count = Number.parseInt(fields[3], 16);
      // Adjectives carry where they may stand: galore(ip).
      const names = Array.from({ length: count }, (_, i) => fields[4 + 2 * i].replace(/\([^()]*\)$/, ''));
      return [fields[0], names.filter(isWord)];
    }),
  );
  const words = linesOf(`index.${pos}`).flatMap((line) => {
    const fields = line.trimEnd().split(' ');
    const [word, , senses, pointers] = fields;
    if (!isWord(word)) return [];
    const offsets = fields.slice(6 + Number(pointers));
    if (offsets.length !== Number(senses)) throw new Error(`cannot read ${line}`);
    const names = offsets.flatMap((offset) => namesAt.get(offset).filter((name) => name.toLowerCase() === word));
    if (names.length < offsets.length) throw new Error(`${word} is missing from a synset`);
    return [names.includes(word) ? word : `^${word}`];
  });
  const synsets = [...namesAt.values()].filter((names) => new Set(names).size > 1);
  const irregular = linesOf(`${pos}.exc`)
    .map((line) => line.trim().split(' '))
    .filter(([form]) => isWord(form))
    .map((forms) => forms.filter(isWord))
    .filter(({ length }) => length > 1);
  const joined = (lists) => lists.map((list) => list.join(' ')).join(';');
  return [words.join(' '), joined(synsets), joined(irregular)];
});

const text = lines.join('\n');
const bytes = brotliCompressSync(text, {
  params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 22 },
});
writeFileSync(new URL('lexicon.br', import.meta.url), bytes);
console.log(`${text.length} characters, ${bytes.length} bytes`);
