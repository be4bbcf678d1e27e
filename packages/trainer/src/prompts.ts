import type { Tokenizer } from '@polymode/policy';
import { TrainerInputError } from './errors.js';
import type { TrainRow } from './types.js';

/** A training row with its prompt in tokens. */
export interface Prompt {
  readonly row: TrainRow;
  readonly tokens: readonly number[];
}

/** The tokens of a row's conversation, up to where the model is to answer. */
export function encodePrompt(tokenizer: Tokenizer, { messages, tools }: TrainRow): number[] {
  return tokenizer.encodeChat(messages, { tools: tools ?? undefined });
}

/**
 * The prompts of a file's rows.
 *
 * @param limit tokens that a prompt may have at most
 * @param param which file this is
 * @throws TrainerInputError naming the lines that are too long
 */
export function encodeRows(tokenizer: Tokenizer, rows: readonly TrainRow[], limit: number, param: string): Prompt[] {
  const prompts = rows.map((row) => ({ row, tokens: encodePrompt(tokenizer, row) }));
  const long = prompts.flatMap((p, i) => (p.tokens.length > limit ? [`line ${i + 1} (${p.tokens.length})`] : []));
  if (long.length > 0) {
    const shown = long.slice(0, 10).join(', ') + (long.length > 10 ? `, and ${long.length - 10} more` : '');
    throw new TrainerInputError(
      `invalid_${param}`,
      param,
      `${long.length} prompt(s) are longer than the ${Math.max(limit, 0)} tokens that the model's context leaves beside ` +
        `max_completion_tokens: ${shown}. Shorten them or lower max_completion_tokens.`,
    );
  }
  return prompts;
}
