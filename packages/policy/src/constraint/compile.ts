import type { Tokenizer } from '../tokenizer.js';
import { Constraint } from './constraint.js';
import type { Grammar } from './grammar.js';
import type { JsonStyle } from './json-rules.js';
import { remember } from './remember.js';
import { compileSchema } from './schema.js';
import { compileToolCalls, type Tool, type ToolCallOptions } from './tool-calls.js';
import { type Trie, trieOf } from './trie.js';

/** The parts of a tokenizer that constraints need. */
export type Vocabulary = Pick<Tokenizer, 'vocabularySize' | 'stopTokens' | 'tokenBytes'>;

export interface VocabularyOptions {
  /** Rows of the model's embeddings, where they are more than the tokenizer has tokens. @defaultValue the tokenizer's own size */
  readonly vocabularySize?: number | undefined;
  /** Tokens that end a completion; never part of its text. @defaultValue the tokenizer's own */
  readonly stopTokens?: readonly number[] | undefined;
}

/** `response_format` of type `json_object`. */
export const ANY_OBJECT = 'object';

/**
 * What keeps a model's answer to JSON that a schema finds valid.
 *
 * @param schema JSON Schema, or 'object' for any JSON object
 * @throws SchemaError for a schema that cannot be followed, naming the place
 * @throws Error for a tokenizer whose tokens have no bytes of their own, or not all bytes
 */
export function compileConstraint(
  schema: unknown,
  tokenizer: Vocabulary,
  options: VocabularyOptions & JsonStyle = {},
): Constraint {
  const grammar = compileSchema(schema === ANY_OBJECT ? { type: 'object' } : schema, options);
  return constraintOf(grammar, tokenizer, options);
}

/** What keeps a model's tool calls to the tools and their schemas. @throws as `compileConstraint` does */
export function compileToolConstraint(
  tools: readonly Tool[],
  tokenizer: Vocabulary,
  options: VocabularyOptions & ToolCallOptions = {},
): Constraint {
  return constraintOf(compileToolCalls(tools, options), tokenizer, options);
}

/** A grammar for a tokenizer's tokens. */
export function constraintOf(grammar: Grammar, tokenizer: Vocabulary, options: VocabularyOptions = {}): Constraint {
  const { vocabularySize = tokenizer.vocabularySize, stopTokens = tokenizer.stopTokens } = options;
  return new Constraint(grammar, trieFor(tokenizer, vocabularySize, stopTokens), stopTokens);
}

const tries = new WeakMap<Vocabulary, Map<string, Trie>>();

/** Made once for a tokenizer: for 150,000 tokens it takes half a second. */
function trieFor(tokenizer: Vocabulary, size: number, stopTokens: readonly number[]): Trie {
  const known = remember(tries, tokenizer, () => new Map());
  return remember(known, `${size}: ${stopTokens.join()}`, () => {
    const stops = new Set(stopTokens);
    return trieOf(size, (token) => (stops.has(token) ? null : tokenizer.tokenBytes(token)));
  });
}
