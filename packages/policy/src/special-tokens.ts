import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ggufSpecialTokens } from './gguf/model.js';
import type { BaseModel } from './registry.js';

/** By the file that they were read from, as old as it was: tokenizers are long. */
const known = new Map<string, { readonly modified: number; readonly tokens: Promise<readonly string[]> }>();

/**
 * Texts that a model's tokenizer reads as tokens of its own, such as those that begin and end messages. Data that holds one
 * says something else than it seems to.
 *
 * @throws Error when the file is damaged
 */
export async function specialTokens({ format, path }: BaseModel): Promise<readonly string[]> {
  const file = format === 'gguf' ? path : join(path, 'tokenizer.json');
  const { mtimeMs: modified } = await stat(file);
  const found = known.get(file);
  if (found?.modified === modified) return found.tokens;
  const tokens = format === 'gguf' ? ggufSpecialTokens(file) : inTokenizer(file);
  known.set(file, { modified, tokens });
  return tokens;
}

async function inTokenizer(file: string): Promise<string[]> {
  const { added_tokens: added } = JSON.parse(await readFile(file, 'utf8')) as {
    added_tokens?: readonly { content?: unknown; special?: unknown }[];
  };
  return (added ?? []).flatMap(({ content, special }) =>
    special === true && typeof content === 'string' && content.trim() !== '' ? [content] : [],
  );
}
