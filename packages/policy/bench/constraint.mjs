/**
 * What constrained decoding costs for each token of a completion, on a made-up vocabulary of the size of Qwen's: 151,936 tokens,
 * bytes and words, some in other scripts, some of punctuation. Milliseconds of processor time; the model itself is not run.
 *
 *     node packages/policy/bench/constraint.mjs [--tokens 151936] [--completions 20]
 */
import { parseArgs } from 'node:util';
import { compileConstraint } from '@polymode/policy/json-schema';

const { values } = parseArgs({
  options: { tokens: { type: 'string', default: '151936' }, completions: { type: 'string', default: '20' } },
});
const [SIZE, COMPLETIONS] = [Number(values.tokens), Number(values.completions)];
const STOP = SIZE - 1;
const MAX_TOKENS = 300;

const SCHEMAS = {
  'any object': 'object',
  'five properties': {
    type: 'object',
    properties: {
      name: { type: 'string' },
      age: { type: 'integer', minimum: 0, maximum: 150 },
      mood: { enum: ['good', 'bad', 'so so'] },
      born: { type: 'string', format: 'date' },
      tags: { type: 'array', items: { type: 'string', maxLength: 20 }, maxItems: 5 },
    },
    required: ['name', 'age', 'mood', 'born', 'tags'],
  },
  'a tree': {
    type: 'object',
    properties: { label: { type: 'string', maxLength: 40 }, children: { type: 'array', items: { $ref: '#' } } },
    required: ['label', 'children'],
  },
  'a choice of ten': {
    anyOf: Array.from({ length: 10 }, (_, i) => ({
      type: 'object',
      properties: {
        kind: { const: `kind ${i}` },
        value: { type: 'string', pattern: `^[a-z]{1,${i + 3}}$` },
        note: { type: 'string' },
      },
      required: ['kind', 'value', 'note'],
    })),
  },
};

const next = random(1);
const vocabulary = makeVocabulary();
const used = (run) => {
  const { user, system } = process.cpuUsage();
  const result = run();
  const after = process.cpuUsage();
  return [result, (after.user + after.system - user - system) / 1000];
};
const results = {};
const [, trie] = used(() => compileConstraint({ const: 1 }, vocabulary));
console.log(`the vocabulary's prefix tree, once: ${trie.toFixed(0)} ms`);
console.log('                   compile  first mask  slowest  new masks: mean (count)  kept masks: mean   masks/token');
for (const [name, schema] of Object.entries(SCHEMAS)) {
  measure(schema); // so that what follows is compiled
  const { compile, times } = measure(schema);
  const mean = (list) => list.reduce((a, b) => a + b, 0) / Math.max(1, list.length);
  const count = times.fresh.length + times.kept.length;
  const row = {
    compile,
    first: times.first,
    slowest: Math.max(...times.fresh),
    fresh: mean(times.fresh),
    kept: mean(times.kept),
    freshCount: times.fresh.length,
    count,
  };
  results[name] = row;
  console.log(
    `${name.padEnd(18)} ${row.compile.toFixed(1).padStart(7)} ${row.first.toFixed(2).padStart(11)} ${row.slowest.toFixed(2).padStart(8)} ${row.fresh.toFixed(3).padStart(16)} (${row.freshCount}) ${row.kept.toFixed(4).padStart(18)} ${((row.fresh * row.freshCount + row.kept * times.kept.length) / count).toFixed(3).padStart(13)} ms`,
  );
}
console.log(JSON.stringify({ tokens: SIZE, trie, results, memory: process.memoryUsage().rss, node: process.version }));

/** Times of masks, made for the first time and kept ones. */
function measure(schema) {
  const [constraint, compile] = used(() => compileConstraint(schema, vocabulary));
  const times = { first: 0, fresh: [], kept: [] };
  const seen = new Set();
  for (let i = 0; i < COMPLETIONS; i++) {
    const allowed = constraint.allowed({ maxTokens: MAX_TOKENS });
    const tokens = [];
    while (tokens.length < MAX_TOKENS) {
      const [mask, ms] = used(() => allowed(tokens));
      // One mask object a state: one that was seen before was kept.
      if (seen.size === 0) times.first = ms;
      (seen.has(mask) ? times.kept : times.fresh).push(ms);
      seen.add(mask);
      const token = choose(mask);
      if (token === STOP) break;
      tokens.push(token);
    }
  }
  return { compile, times };
}

/** An allowed token, closing quotes and braces preferred, as models do. */
function choose(mask) {
  const has = (t) => ((mask[t >> 5] >>> (t & 31)) & 1) === 1;
  if (next() < 0.1) for (const t of [0x22, 0x7d, 0x5d, STOP]) if (has(t)) return t;
  for (let i = 0; i < 200; i++) {
    const t = Math.floor(next() * SIZE);
    if (has(t)) return t;
  }
  const start = Math.floor(next() * SIZE);
  for (let i = 0; i < SIZE; i++) if (has((start + i) % SIZE)) return (start + i) % SIZE;
  throw new Error('nothing is allowed');
}

function makeVocabulary() {
  const words = new Set();
  const letters = (from, to, n) =>
    Array.from({ length: n }, () => String.fromCodePoint(from + Math.floor(next() * (to - from + 1)))).join('');
  while (words.size < SIZE - 257) {
    const kind = next();
    const n = 2 + Math.floor(next() * 9);
    const space = next() < 0.5 ? ' ' : '';
    if (kind < 0.6) words.add(space + letters(0x61, 0x7a, n));
    else if (kind < 0.7) words.add(space + letters(0x41, 0x5a, 1) + letters(0x61, 0x7a, n));
    else if (kind < 0.87) words.add(letters(0x4e00, 0x9fff, 1 + Math.floor(next() * 3)));
    else if (kind < 0.94) words.add(space + letters(0x430, 0x44f, n));
    else
      words.add(
        letters(0x21, 0x40, 1 + Math.floor(next() * 4)) +
          (next() < 0.5 ? letters(0x5b, 0x7e, 1 + Math.floor(next() * 2)) : ''),
      );
  }
  const list = [...words].map((word) => new TextEncoder().encode(word));
  const bytes = [...Array.from({ length: 256 }, (_, b) => Uint8Array.of(b)), ...list];
  return { vocabularySize: SIZE, stopTokens: [STOP], tokenBytes: (id) => bytes[id] ?? null };
}

function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
