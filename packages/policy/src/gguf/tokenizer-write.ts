import { GgufError } from './error.js';
import type { Config, MetadataEntry } from './families.js';
import { cutsOfJson, type PreTokenizer, preTokenizers } from './pre-tokenizers.js';
import { mergesOfScores, scoresOfMerges } from './sentence-pieces.js';
import { joinable, TokenType } from './tokenizer-read.js';

export interface TokenizerMetadata {
  readonly entries: MetadataEntry[];
  /** why llama.cpp cuts some text in another way than this tokenizer; empty where it does not */
  readonly differences: readonly string[];
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  readonly single_word?: boolean;
}

/** The parts of tokenizer.json that are used here. */
interface TokenizerJson {
  readonly added_tokens?: readonly AddedToken[] | null;
  readonly normalizer?: unknown;
  readonly pre_tokenizer?: unknown;
  readonly post_processor?: unknown;
  readonly model: {
    readonly type?: string;
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (string | readonly [string, string])[];
    readonly unk_token?: string | null;
    readonly byte_fallback?: boolean;
    readonly ignore_merges?: boolean;
  };
}

/**
 * A model's tokenizer and chat template as llama.cpp's metadata.
 *
 * Where that cannot say all, the whole tokenizer.json goes in too, under the name that the format has for it.
 *
 * @param files of a model folder, by name
 * @param rows of the embeddings: spare ones get names of their own
 * @throws GgufError when there is no tokenizer, or one of another kind than BPE
 */
export function tokenizerMetadata(
  files: ReadonlyMap<string, Uint8Array>,
  config: Config,
  rows: number,
): TokenizerMetadata {
  const text = (name: string): string | undefined => {
    const bytes = files.get(name);
    return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
  };
  const source = text('tokenizer.json');
  if (source === undefined) throw new GgufError('the model has no tokenizer.json, which a GGUF file needs');
  const json = JSON.parse(source) as TokenizerJson;
  if ((json.model?.type ?? 'BPE') !== 'BPE' || json.model?.merges === undefined) {
    throw new GgufError(`tokenizer.json: model.type is ${json.model?.type}, but a GGUF file needs BPE`);
  }
  const settings = JSON.parse(text('tokenizer_config.json') ?? '{}') as Config;
  const generation = JSON.parse(text('generation_config.json') ?? '{}') as Config;
  const { tokens, types } = listTokens(json, rows);
  const merges = json.model.merges.map((merge) => (typeof merge === 'string' ? pairOf(merge) : merge));
  const kind = isSentencePiece(json) ? sentencePiece(json, tokens, types, merges) : byteLevel(json, merges);
  const differences = [...kind.differences, ...addedTokenDifferences(json)];
  const special = specialTokens(settings, config, generation, tokens);
  const bos = beginsWith(json.post_processor, special.find(({ key }) => key === 'bos_token_id')?.text);
  const template = text('chat_template.jinja') ?? templateOf(settings);
  const entries: MetadataEntry[] = [
    ...kind.entries,
    { key: 'tokenizer.ggml.tokens', type: 'strings', value: tokens },
    { key: 'tokenizer.ggml.token_type', type: 'i32s', value: types },
    ...special.map(({ key, id }): MetadataEntry => ({ key: `tokenizer.ggml.${key}`, type: 'u32', value: id })),
    { key: 'tokenizer.ggml.add_bos_token', type: 'bool', value: bos ?? settings.add_bos_token === true },
  ];
  if (template !== undefined) entries.push({ key: 'tokenizer.chat_template', type: 'string', value: template });
  if (differences.length > 0) entries.push({ key: 'tokenizer.huggingface.json', type: 'string', value: source });
  return { entries, differences };
}

/** Each row's token, and its kind. */
function listTokens(json: TokenizerJson, rows: number): { tokens: string[]; types: number[] } {
  const tokens = Array.from({ length: rows }, (_, id) => `[PAD${id}]`);
  const types = new Array<number>(rows).fill(TokenType.unused);
  const put = (content: string, id: number, type: number): void => {
    if (!Number.isInteger(id) || id < 0 || id >= rows) {
      throw new GgufError(`token ${JSON.stringify(content)} has id ${id}, but the embeddings have ${rows} rows`);
    }
    tokens[id] = content;
    types[id] = type;
  };
  const bytes = isSentencePiece(json) ? /^<0x[0-9A-F]{2}>$/ : null;
  for (const [content, id] of Object.entries(json.model.vocab)) {
    put(content, id, bytes?.test(content) ? TokenType.byte : TokenType.normal);
  }
  for (const { content, id, special } of json.added_tokens ?? []) {
    const unknown = bytes !== null && content === json.model.unk_token;
    put(content, id, unknown ? TokenType.unknown : special === true ? TokenType.control : TokenType.userDefined);
  }
  return { tokens, types };
}

function pairOf(merge: string): [string, string] {
  const space = merge.indexOf(' ', 1);
  return [merge.slice(0, space), merge.slice(space + 1)];
}

interface Kind {
  readonly entries: MetadataEntry[];
  readonly differences: readonly string[];
}

function byteLevel(json: TokenizerJson, merges: readonly (readonly [string, string])[]): Kind {
  const name = preTokenizerName(json);
  return {
    entries: [
      { key: 'tokenizer.ggml.model', type: 'string', value: 'gpt2' },
      { key: 'tokenizer.ggml.pre', type: 'string', value: name ?? 'default' },
      { key: 'tokenizer.ggml.merges', type: 'strings', value: merges.map((pair) => pair.join(' ')) },
    ],
    differences: name === null ? ['its pre_tokenizer is none that llama.cpp has a name for'] : [],
  };
}

function preTokenizerName(json: TokenizerJson): string | null {
  const normalizer = (json.normalizer as { type?: string; normalizers?: readonly unknown[] } | null) ?? null;
  const plain = normalizer?.type === 'Sequence' && normalizer.normalizers?.length === 0 ? null : normalizer;
  const cuts = JSON.stringify(cutsOfJson(json.pre_tokenizer));
  const same = (known: PreTokenizer): boolean =>
    JSON.stringify(known.cuts) === cuts &&
    known.normalizer?.type === plain?.type &&
    known.ignoreMerges === (json.model.ignore_merges === true);
  return preTokenizers.find(same)?.names[0] ?? null;
}

const isSentencePiece = (json: TokenizerJson): boolean => json.model.byte_fallback === true;

function sentencePiece(
  json: TokenizerJson,
  tokens: readonly string[],
  types: readonly number[],
  merges: readonly (readonly [string, string])[],
): Kind {
  const joined = joinable(tokens, types);
  const scores = scoresOfMerges(joined, merges);
  const differences: string[] = [];
  const prefix = prefixOf(json);
  if (prefix === null) differences.push('its normalizer and pre_tokenizer are not those of a SentencePiece model');
  const rebuilt = mergesOfScores(joined, scores);
  if (JSON.stringify(rebuilt) !== JSON.stringify(merges))
    differences.push('its merges follow from no scores of its tokens');
  return {
    entries: [
      { key: 'tokenizer.ggml.model', type: 'string', value: 'llama' },
      { key: 'tokenizer.ggml.pre', type: 'string', value: 'default' },
      { key: 'tokenizer.ggml.scores', type: 'f32s', value: scores },
      { key: 'tokenizer.ggml.add_space_prefix', type: 'bool', value: prefix ?? true },
    ],
    differences,
  };
}

/** Whether each text gets a space before it; null for a tokenizer that treats spaces in a way of its own. */
function prefixOf({ normalizer, pre_tokenizer: pre }: TokenizerJson): boolean | null {
  if (pre !== null && pre !== undefined) return null;
  const { type, normalizers } = (normalizer ?? {}) as { type?: string; normalizers?: readonly unknown[] };
  const steps = JSON.stringify(type === 'Sequence' ? normalizers : [normalizer]);
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  if (steps === JSON.stringify([replace])) return false;
  return steps === JSON.stringify([{ type: 'Prepend', prepend: '▁' }, replace]) ? true : null;
}

function addedTokenDifferences({ added_tokens: added }: TokenizerJson): string[] {
  const odd = added?.find(
    ({ lstrip, rstrip, single_word: word }) => lstrip === true || rstrip === true || word === true,
  );
  return odd === undefined ? [] : [`its token ${JSON.stringify(odd.content)} takes in spaces or stands as a word only`];
}

function specialTokens(
  settings: Config,
  config: Config,
  generation: Config,
  tokens: readonly string[],
): { key: string; id: number; text: string }[] {
  const found: { key: string; id: number; text: string }[] = [];
  const add = (key: string, id: unknown): void => {
    if (typeof id === 'number' && tokens[id] !== undefined) found.push({ key, id, text: tokens[id] });
  };
  const named = (field: string): number | undefined => {
    const value = settings[field] as string | { content?: string } | null | undefined;
    const id = tokens.indexOf((typeof value === 'object' ? value?.content : value) ?? '');
    return id < 0 ? undefined : id;
  };
  const ends = [generation.eos_token_id ?? config.eos_token_id].flat();
  const eos = named('eos_token') ?? ends[0];
  add('bos_token_id', named('bos_token') ?? config.bos_token_id);
  add('eos_token_id', eos);
  add(
    'eot_token_id',
    ends.find((id) => id !== eos),
  );
  add('unknown_token_id', named('unk_token'));
  add('padding_token_id', named('pad_token') ?? config.pad_token_id);
  return found;
}

/** Whether a post-processor puts this token first; null when it puts nothing around a text. */
function beginsWith(processor: unknown, token: string | undefined): boolean | null {
  const { type, processors, single } = (processor ?? {}) as {
    type?: string;
    processors?: readonly unknown[];
    single?: readonly { SpecialToken?: { id?: string } }[];
  };
  if (type === 'Sequence') {
    return (processors ?? []).map((p) => beginsWith(p, token)).find((answer) => answer !== null) ?? null;
  }
  if (type !== 'TemplateProcessing') return null;
  return token !== undefined && single?.[0]?.SpecialToken?.id === token;
}

/** The template of tokenizer_config.json: text, or the default one of a list. */
function templateOf({ chat_template: template }: Config): string | undefined {
  if (typeof template === 'string') return template;
  if (!Array.isArray(template)) return undefined;
  return (template as { name?: string; template?: string }[]).find(({ name }) => name === 'default')?.template;
}
