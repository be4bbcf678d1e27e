import { GgufError } from './error.js';
import type { Metadata } from './metadata.js';
import { type PreTokenizer, preTokenizerJson, preTokenizers, unnamedPreTokenizer } from './pre-tokenizers.js';
import { mergesOfScores } from './sentence-pieces.js';

/** `tokenizer.ggml.token_type` */
export const TokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

export interface TokenizerFiles {
  /** special tokens as config.json has them */
  readonly ids: {
    readonly bos_token_id: number | null;
    readonly eos_token_id: number | null;
    readonly pad_token_id: number | null;
  };
  /** by name; objects are to be written as JSON */
  readonly files: Readonly<Record<string, unknown>>;
}

/** Control tokens that end a chat's turn, where a file says only what ends a text. */
const TURN_ENDS = ['<|eot_id|>', '<|im_end|>', '<|end|>', '<end_of_turn>'];

interface Vocabulary {
  readonly tokens: readonly string[];
  readonly types: ArrayLike<number>;
  readonly bos: number | null;
  readonly eos: number | null;
  readonly unknown: number | null;
  readonly padding: number | null;
}

/**
 * The Hugging Face files of the tokenizer and chat template that a file's metadata describes.
 *
 * @param rows of the embeddings: how many tokens there may be
 * @throws GgufError naming a key or a kind of tokenizer that this package has not
 */
export function readTokenizer(metadata: Metadata, architecture: string, rows: number): TokenizerFiles {
  const kind = metadata.string('tokenizer.ggml.model');
  const build = tokenizerKinds.get(kind);
  if (build === undefined) {
    const known = [...tokenizerKinds.keys()].join(', ');
    throw new GgufError(`tokenizer.ggml.model is ${kind}; supported are ${known}`);
  }
  const vocabulary = readVocabulary(metadata, rows);
  const built = build(metadata, vocabulary, architecture);
  const exact = metadata.get('tokenizer.huggingface.json');
  const { tokens, bos, eos, unknown, padding } = vocabulary;
  const text = (id: number | null): string | undefined => (id === null ? undefined : tokens[id]);
  const template = metadata.get('tokenizer.chat_template');
  const chatTemplate = typeof template === 'string' ? template : undefined;
  const ids = { bos_token_id: bos, eos_token_id: eos, pad_token_id: padding };
  const files: Record<string, unknown> = {
    'tokenizer.json': typeof exact === 'string' ? parseTokenizer(exact) : built.json,
    'tokenizer_config.json': {
      tokenizer_class: 'PreTrainedTokenizerFast',
      bos_token: text(bos),
      eos_token: text(eos),
      unk_token: text(unknown),
      pad_token: text(padding),
      add_bos_token: built.addsBos,
      clean_up_tokenization_spaces: false,
      model_max_length: metadata.integer(`${architecture}.context_length`),
      chat_template: chatTemplate,
    },
    'generation_config.json': {
      bos_token_id: bos ?? undefined,
      eos_token_id: oneOrMany(endTokens(metadata, vocabulary, chatTemplate ?? '')),
      pad_token_id: padding ?? undefined,
    },
  };
  if (chatTemplate !== undefined) files['chat_template.jinja'] = chatTemplate;
  return { ids, files };
}

/** Control tokens and the one for what is unknown. */
export function readSpecialTokens(metadata: Metadata): string[] {
  const types = metadata.numbers('tokenizer.ggml.token_type') ?? [];
  return metadata.strings('tokenizer.ggml.tokens').filter((_, id) => isSpecial(types[id]));
}

function readVocabulary(metadata: Metadata, rows: number): Vocabulary {
  const tokens = metadata.strings('tokenizer.ggml.tokens').map((token, id) => (token === '' ? `[EMPTY_${id}]` : token));
  if (tokens.length > rows) {
    throw new GgufError(`tokenizer.ggml.tokens has ${tokens.length} tokens, but token_embd.weight ${rows} rows`);
  }
  const seen = new Set<string>();
  for (const token of tokens) {
    if (seen.has(token)) throw new GgufError(`tokenizer.ggml.tokens has ${JSON.stringify(token)} twice`);
    seen.add(token);
  }
  const id = (key: string): number | null => {
    const value = metadata.get(`tokenizer.ggml.${key}`);
    return typeof value === 'number' && value >= 0 && value < tokens.length ? value : null; // −1 stands for none
  };
  const special = {
    bos: id('bos_token_id'),
    eos: id('eos_token_id'),
    unknown: id('unknown_token_id'),
    padding: id('padding_token_id'),
  };
  const types = metadata.numbers('tokenizer.ggml.token_type');
  if (types !== undefined && types.length !== tokens.length) {
    throw new GgufError(`tokenizer.ggml.token_type has ${types.length} entries for ${tokens.length} tokens`);
  }
  const named = new Set<number | null>(Object.values(special));
  return {
    tokens,
    types: types ?? tokens.map((_, i) => (named.has(i) ? TokenType.control : TokenType.normal)),
    ...special,
  };
}

function isSpecial(type: number | undefined): boolean {
  return type === TokenType.control || type === TokenType.unknown;
}

interface Built {
  readonly json: unknown;
  readonly addsBos: boolean;
}

const tokenizerKinds: ReadonlyMap<string, (metadata: Metadata, vocabulary: Vocabulary, architecture: string) => Built> =
  new Map([
    ['gpt2', byteLevelBpe],
    ['llama', sentencePieceBpe],
  ]);

function byteLevelBpe(metadata: Metadata, vocabulary: Vocabulary, architecture: string): Built {
  const { normalizer, cuts, ignoreMerges, addsBos: usual } = findPreTokenizer(metadata, architecture);
  const merges = metadata.strings('tokenizer.ggml.merges').map((merge) => {
    const space = merge.indexOf(' ', 1);
    if (space < 0) throw new GgufError(`tokenizer.ggml.merges has ${JSON.stringify(merge)}, which is no pair`);
    return [merge.slice(0, space), merge.slice(space + 1)];
  });
  const addsBos = metadata.boolean('tokenizer.ggml.add_bos_token', usual);
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  const json = tokenizerJson(metadata, vocabulary, addsBos, {
    normalizer,
    pre_tokenizer: preTokenizerJson(cuts),
    decoder: bytes,
    model: { unk_token: null, fuse_unk: false, byte_fallback: false, ignore_merges: ignoreMerges },
    merges,
  });
  return { json, addsBos };
}

function findPreTokenizer(metadata: Metadata, architecture: string): PreTokenizer {
  const recorded = metadata.get('tokenizer.ggml.pre');
  const unnamed = recorded === undefined || recorded === 'default';
  const name = (unnamed ? unnamedPreTokenizer.get(architecture) : undefined) ?? recorded;
  const found = preTokenizers.find(({ names }) => names.some((known) => known === name));
  if (found !== undefined) return found;
  const known = preTokenizers.flatMap(({ names }) => names).join(', ');
  throw metadata.wrong('tokenizer.ggml.pre', `one of ${known} (gguf-new-metadata --pre-tokenizer sets it)`);
}

function sentencePieceBpe(metadata: Metadata, vocabulary: Vocabulary): Built {
  const { tokens, types, unknown } = vocabulary;
  const scores = metadata.numbers('tokenizer.ggml.scores');
  if (scores?.length !== tokens.length) {
    throw new GgufError(`tokenizer.ggml.scores has ${scores?.length ?? 0} entries for ${tokens.length} tokens`);
  }
  const addsBos = metadata.boolean('tokenizer.ggml.add_bos_token', true);
  const addsSpace = metadata.boolean('tokenizer.ggml.add_space_prefix', true);
  const underline = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const json = tokenizerJson(metadata, vocabulary, addsBos, {
    normalizer: addsSpace
      ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, underline] }
      : { type: 'Sequence', normalizers: [underline] },
    pre_tokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(addsSpace ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      unk_token: unknown === null ? null : tokens[unknown],
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
    },
    merges: mergesOfScores(joinable(tokens, types), scores),
  });
  return { json, addsBos };
}

/** Tokens that text may be joined to; null for the others. */
export function joinable(tokens: readonly string[], types: ArrayLike<number>): (string | null)[] {
  return tokens.map((token, id) =>
    types[id] === TokenType.normal || types[id] === TokenType.userDefined ? token : null,
  );
}

interface Parts {
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly decoder: unknown;
  readonly model: Readonly<Record<string, unknown>>;
  readonly merges: readonly unknown[];
}

function tokenizerJson(metadata: Metadata, vocabulary: Vocabulary, addsBos: boolean, parts: Parts): unknown {
  const { tokens, types } = vocabulary;
  const vocab: [string, number][] = [];
  const added: unknown[] = [];
  for (const [id, content] of tokens.entries()) {
    const type = types[id];
    // Converters fill the embeddings' spare rows with these; the tokenizer never had them.
    if (type === TokenType.unused && content === `[PAD${id}]`) continue;
    vocab.push([content, id]);
    const special = isSpecial(type);
    if (special || type === TokenType.userDefined) {
      added.push({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special });
    }
  }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: parts.normalizer,
    pre_tokenizer: parts.pre_tokenizer,
    post_processor: postProcessor(metadata, vocabulary, addsBos),
    decoder: parts.decoder,
    model: {
      type: 'BPE',
      dropout: null,
      ...parts.model,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      vocab: Object.fromEntries(vocab),
      merges: parts.merges,
    },
  };
}

/** What is put around a text where special tokens are asked for. */
function postProcessor(metadata: Metadata, { tokens, bos, eos }: Vocabulary, addsBos: boolean): unknown {
  const only = (adds: boolean, id: number | null, key: string): number[] => {
    if (!adds) return [];
    if (id === null) throw new GgufError(`tokenizer.ggml.${key} is true, but there is no such token`);
    return [id];
  };
  const before = only(addsBos, bos, 'add_bos_token');
  const after = only(metadata.boolean('tokenizer.ggml.add_eos_token', false), eos, 'add_eos_token');
  if (before.length + after.length === 0) return null;
  const piece = (id: number, type: number): unknown => ({ SpecialToken: { id: tokens[id], type_id: type } });
  const sequence = (name: string, type: number): unknown[] => [
    ...before.map((id) => piece(id, type)),
    { Sequence: { id: name, type_id: type } },
    ...after.map((id) => piece(id, type)),
  ];
  return {
    type: 'TemplateProcessing',
    single: sequence('A', 0),
    pair: [...sequence('A', 0), ...sequence('B', 1)],
    special_tokens: Object.fromEntries(
      [...before, ...after].map((id) => [tokens[id], { id: tokens[id], ids: [id], tokens: [tokens[id]] }]),
    ),
  };
}

/** What ends an answer: the end of a text, and of a turn where that is another token. */
function endTokens(metadata: Metadata, { tokens, types, eos }: Vocabulary, chatTemplate: string): number[] {
  const ends = new Set<number>(eos === null ? [] : [eos]);
  const recorded = ['eot_token_id', 'eom_token_id'].map((key) => metadata.get(`tokenizer.ggml.${key}`));
  for (const id of recorded) if (typeof id === 'number' && id >= 0 && id < tokens.length) ends.add(id);
  if (recorded[0] === undefined) {
    for (const text of TURN_ENDS.filter((end) => chatTemplate.includes(end))) {
      const id = tokens.indexOf(text);
      if (id >= 0 && types[id] === TokenType.control) ends.add(id);
    }
  }
  return [...ends];
}

const oneOrMany = (ids: readonly number[]): number | readonly number[] | undefined => (ids.length < 2 ? ids[0] : ids);

function parseTokenizer(text: string): unknown {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new GgufError('tokenizer.huggingface.json is not JSON', { cause });
  }
  if (typeof (json as { model?: unknown } | null)?.model !== 'object') {
    throw new GgufError('tokenizer.huggingface.json is no tokenizer: it has no model');
  }
  return json;
}
