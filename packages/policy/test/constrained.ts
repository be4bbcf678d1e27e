import { fileURLToPath } from 'node:url';
import { type Constraint, readModel, type Tokenizer, tokenizerOf } from '@polymode/policy';
import { numbers } from './tiny-policy.js';

/** The tokenizer of a GGUF fixture: gpt2, llama3, mistral (SentencePiece), nemo, qwen2, qwen3, smollm. */
export async function fixtureTokenizer(name: string): Promise<Tokenizer> {
  const path = fileURLToPath(new URL(`fixtures/gguf/${name}.gguf`, import.meta.url));
  return tokenizerOf((await readModel(path)).otherFiles);
}

export const has = (mask: Uint32Array, token: number): boolean => ((mask[token >> 5]! >>> (token & 31)) & 1) === 1;

export interface Said {
  readonly text: string;
  readonly tokens: readonly number[];
  /** whether a stop token ended it */
  readonly ended: boolean;
}

/**
 * A completion of tokens drawn with equal chances from those allowed, or with a preference for the stop token, so that values
 * are not always long.
 */
export function drawn(
  constraint: Constraint,
  tokenizer: Tokenizer,
  maxTokens: number,
  seed: number,
  steer = true,
): Said {
  const allowed = constraint.allowed(steer ? { maxTokens } : {});
  const next = numbers(seed);
  const tokens: number[] = [];
  while (tokens.length < maxTokens) {
    const mask = allowed(tokens);
    const choices: number[] = [];
    for (let token = 0; token < tokenizer.vocabularySize; token++) if (has(mask, token)) choices.push(token);
    if (choices.length === 0) throw new Error(`nothing is allowed after ${JSON.stringify(tokenizer.decode(tokens))}`);
    const token = choices[Math.floor(next() * choices.length)]!;
    if (tokenizer.stopTokens.includes(token)) return { text: tokenizer.decode(tokens), tokens, ended: true };
    tokens.push(token);
  }
  return { text: tokenizer.decode(tokens), tokens, ended: false };
}
