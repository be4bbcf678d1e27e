import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { AutoTokenizer, env } from '@huggingface/transformers';
import { type ChatMessage, presentMessage, templateMessage } from './chat-messages.js';
import { placesOf, type TemplatePlaces, withToolsInText } from './chat-tools.js';
import { tokenIds } from './config.js';
import { tokenBytesOf } from './token-bytes.js';

export interface ChatOptions {
  /** Ends where the assistant is to answer, or where the conversation does. @defaultValue true */
  readonly generate?: boolean | undefined;
  /** functions that may be called, in OpenAI's form */
  readonly tools?: readonly unknown[] | undefined;
}

/** A model's tokenizer and chat template. */
export interface Tokenizer {
  readonly vocabularySize: number;
  /** what unused positions are filled with */
  readonly paddingToken: number;
  /** tokens that end a completion, the tokenizer's own first */
  readonly stopTokens: readonly number[];
  /**
   * A conversation as the model expects it. Where the template has no place for tools, for calls in earlier answers or for what
   * they came to, the messages' text says so instead.
   *
   * @throws Error when the model has no template, or it refuses the conversation
   */
  encodeChat(messages: readonly ChatMessage[], options?: ChatOptions): number[];
  /** Text as it is, without special tokens. */
  encode(text: string): number[];
  /** Text of tokens, special tokens left out. */
  decode(tokens: readonly number[]): string;
  /**
   * What a token adds to the UTF-8 of a text, which may be part of a character; null for special tokens and for ids without a
   * token. A text's bytes are those of its tokens one after the other, but for a space that SentencePiece puts first and
   * `decode` takes off.
   *
   * @throws Error when the tokens have no bytes of their own, as WordPiece's do not
   */
  tokenBytes(id: number): Uint8Array | null;
  /** How the vocabulary spells a token, as in `<|endoftext|>`; null for ids without one. */
  tokenName(id: number): string | null;
}

/**
 * Loads the tokenizer of a folder in Hugging Face layout. Nothing is fetched from anywhere.
 *
 * @throws Error when the folder has no tokenizer, or one without an end-of-text token
 */
export async function loadTokenizer(dir: string): Promise<Tokenizer> {
  const folder = resolve(dir);
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    if (!existsSync(join(folder, name))) throw new Error(`${dir} has no ${name}`);
  }
  env.allowRemoteModels = false;
  // An absolute path, which cannot be the name of a model: transformers.js would look that up in its cache first.
  const tokenizer = await AutoTokenizer.from_pretrained(folder, { local_files_only: true });
  const ends = [tokenizer.eos_token_id, ...(await generationStops(folder))];
  const stopTokens = [...new Set(ends.filter((id): id is number => typeof id === 'number'))];
  if (stopTokens.length === 0) throw new Error(`the tokenizer of ${dir} has no eos_token`);
  const padding = tokenizer.pad_token_id;
  // Since version 5, transformers writes the template to a file of its own, which transformers.js does not read.
  const templateFile = await readFile(join(folder, 'chat_template.jinja'), 'utf8').catch(() => null);
  const hasTemplate = templateFile !== null || Boolean(tokenizer.chat_template);
  const template = (
    messages: readonly ChatMessage[],
    { tools, generate, tokenize }: ChatOptions & { tokenize: boolean },
  ): unknown =>
    tokenizer.apply_chat_template(messages.map(templateMessage), {
      add_generation_prompt: generate ?? true,
      tokenize,
      return_tensor: false,
      return_dict: false,
      ...(tools === undefined ? {} : { tools: tools as Record<string, unknown>[] }),
      ...(templateFile === null ? {} : { chat_template: templateFile }),
    });
  let places: TemplatePlaces | null = null;
  return {
    vocabularySize: tokenizer.get_vocab().size,
    paddingToken: typeof padding === 'number' && padding >= 0 ? padding : stopTokens[0]!,
    stopTokens,
    encodeChat: (messages, { generate = true, tools } = {}) => {
      if (!hasTemplate) {
        throw new Error(
          `the tokenizer of ${dir} has no chat template: add chat_template.jinja, or use an instruct model`,
        );
      }
      places ??= placesOf((probe, listed) =>
        String(template(probe, { tools: listed, generate: false, tokenize: false })),
      );
      const told = withToolsInText(messages.map(presentMessage), tools, places);
      return [...(template(told.messages, { tools: told.tools, generate, tokenize: true }) as number[])];
    },
    encode: (text) => tokenizer.encode(text, { add_special_tokens: false }),
    // transformers.js refuses to decode nothing.
    decode: (tokens) =>
      tokens.length === 0
        ? ''
        : tokenizer.decode([...tokens], { skip_special_tokens: true, clean_up_tokenization_spaces: false }),
    tokenName: (id) => tokenizer._tokenizer.id_to_token(id) ?? null,
    tokenBytes: tokenBytesOf(
      tokenizer._tokenizerJSON,
      (id) => tokenizer._tokenizer.id_to_token(id),
      tokenizer._tokenizerConfig.additional_special_tokens ?? [],
    ),
  };
}

/** The tokenizer of a model whose files are in memory. @throws Error as `loadTokenizer` does */
export async function tokenizerOf(files: ReadonlyMap<string, Uint8Array>): Promise<Tokenizer> {
  // transformers.js picks the kind of tokenizer by files in a folder, and reads them before it returns.
  const dir = await mkdtemp(join(tmpdir(), 'polymode-tokenizer-'));
  try {
    for (const [name, bytes] of files) await writeFile(join(dir, name), bytes);
    return await loadTokenizer(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function generationStops(folder: string): Promise<number[]> {
  try {
    const { eos_token_id: ids } = JSON.parse(await readFile(join(folder, 'generation_config.json'), 'utf8'));
    return tokenIds(ids);
  } catch {
    return []; // the file is optional
  }
}
