/**
 * Makes the tokenizer of the base model that ships with the project:
 * `npm run base-model:tokenizer -w @polymode/trainer [-- --out DIR]`. Equal code gives equal bytes.
 *
 * Byte-level BPE: any text survives the round trip. Whole short lines of the tasks, such as `0 1 0` or `Layer 1:`, are
 * single tokens, so that an answer is a dozen tokens and a small model can learn the task rather than its spelling.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { uniforms } from '@polymode/policy';
import { tasks } from '@polymode/verifiers';
import { trainBytePairs } from './bpe.js';
import { booleanExample, voxelExample } from './corpus.js';
import { SHIPPED_MODEL } from './shipped-model.js';

const { values } = parseArgs({ options: { out: { type: 'string', default: SHIPPED_MODEL } } });

const SPECIAL = ['<|endoftext|>', '<|user|>', '<|assistant|>'] as const;
const VOCABULARY = 512;

/** Pieces that merges stay inside of: rows of bits, headings, observations; then words, numbers, signs and spaces. */
const PIECES = [
  String.raw`[01](?: [01])+\n?`,
  String.raw`[A-Z][a-z]+(?: [a-z0-9]+)?:\n?`,
  String.raw`\([a-z]=[01](?:, [a-z]=[01])*\) -> [01]\n?`,
  ' ?[A-Za-z]+',
  ' ?[0-9]+',
  String.raw` ?[^\sA-Za-z0-9]+`,
  String.raw`\s+`,
].join('|');

const CHAT_TEMPLATE =
  "{% for message in messages %}{% if message['role'] == 'assistant' %}<|assistant|>{{ message['content'] }}<|endoftext|>" +
  "{% else %}<|user|>{{ message['content'] }}{% endif %}{% endfor %}" +
  '{% if add_generation_prompt %}<|assistant|>{% endif %}';

const pieces = new Map<string, number>();
for (const text of corpusTexts()) {
  for (const [piece] of text.matchAll(new RegExp(PIECES, 'gu'))) pieces.set(piece, (pieces.get(piece) ?? 0) + 1);
}
const { tokens, merges } = trainBytePairs(pieces, VOCABULARY - SPECIAL.length);
const vocabulary = Object.fromEntries([...SPECIAL, ...tokens].map((token, id) => [token, id]));

const addedTokens = SPECIAL.map((content, id) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
}));
const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
await mkdir(values.out, { recursive: true });
await writeJson('tokenizer.json', {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: addedTokens,
  normalizer: null,
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [{ type: 'Split', pattern: { Regex: PIECES }, behavior: 'Isolated', invert: false }, byteLevel],
  },
  post_processor: null,
  decoder: byteLevel,
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    vocab: vocabulary,
    merges,
  },
});
await writeJson('tokenizer_config.json', {
  tokenizer_class: 'PreTrainedTokenizerFast',
  added_tokens_decoder: Object.fromEntries(addedTokens.map(({ id, ...token }) => [id, token])),
  bos_token: SPECIAL[0],
  eos_token: SPECIAL[0],
  pad_token: SPECIAL[0],
  clean_up_tokenization_spaces: false,
  model_max_length: 1024,
  chat_template: CHAT_TEMPLATE,
});
await writeJson('generation_config.json', { bos_token_id: 0, eos_token_id: 0, pad_token_id: 0, do_sample: true });
console.log(`${Object.keys(vocabulary).length} tokens, ${merges.length} merges, in ${values.out}`);

/** Many compact prompts with answers, a few of other heights and operators, and full prompts, whose words are worth a merge too. */
function* corpusTexts(): Generator<string> {
  for (let row = 0; row < 2000; row++) {
    const drawn = uniforms({ seed: 1, stream: 2, step: 0, row, count: 64 });
    let next = 0;
    const random = (): number => drawn[next++ % drawn.length]!;
    const { messages, answer } = row % 2 === 0 ? voxelExample(random) : booleanExample(random);
    for (const { content } of messages) yield content;
    yield answer;
  }
  for (const { messages } of tasks['hypospace/voxel'].generate({ maxHeight: 4, count: 8 })) yield messages[0]!.content;
  for (const { messages } of tasks['hypospace/boolean'].generate({ operators: 'full', count: 8 })) {
    yield messages[0]!.content;
  }
  for (const { messages } of tasks['hypospace/voxel'].generate({ style: 'full', count: 4 })) yield messages[0]!.content;
  for (const { messages } of tasks['hypospace/boolean'].generate({ style: 'full', count: 4 })) {
    yield messages[0]!.content;
  }
}

async function writeJson(name: string, content: unknown): Promise<void> {
  await writeFile(join(values.out, name), `${JSON.stringify(content, null, 1)}\n`);
}
