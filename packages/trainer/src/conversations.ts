import { presentMessage, presentTools, type Sequence, saidWithCalls, type Tokenizer } from '@polymode/policy';
import type { Message, PreferenceRow, SupervisedRow } from './types.js';

/** A sequence, and which of its completion's tokens are to be learned. */
export interface LearnedSequence extends Sequence {
  readonly learned: readonly boolean[];
}

/** What a row amounts to in tokens. */
export interface EncodedRow {
  /** none when nothing that is to be learned fits the context */
  readonly sequences: readonly LearnedSequence[];
  /** whether something was cut off to fit the context */
  readonly truncated: boolean;
}

/**
 * The sequences of a supervised row: every answer of weight other than 0 is learned, up to and with the token that ends it.
 * A conversation whose template only ever appends is one sequence; where it rewrites what came before, as templates that drop
 * earlier reasoning do, each answer is a sequence of its own.
 *
 * @param context tokens that the model reads at most
 */
export function encodeSupervised(tokenizer: Tokenizer, row: SupervisedRow, context: number): EncodedRow {
  if (!('messages' in row)) {
    const prompt = tokenizer.encode(row.prompt);
    const completion = [...tokenizer.encode(row.completion), tokenizer.stopTokens[0]!];
    // A text that begins with nothing begins with the token that ends others.
    const begun = prompt.length === 0 ? [tokenizer.stopTokens[0]!] : prompt;
    return cut([{ prompt: begun, completion, learned: completion.map(() => true) }], context);
  }
  const answers = row.messages.flatMap((m, i) => (m.role === 'assistant' && m.weight !== 0 ? [i] : []));
  const turns = answers.map((i) => encodeAnswer(tokenizer, row.messages, i, presentTools(row)));
  return cut(joined(turns) ?? turns.map(whole), context);
}

/** Both answers of a preference row, the preferred one first; null where one of them has no room. */
export function encodePreference(
  tokenizer: Tokenizer,
  { input, preferred_output: preferred, non_preferred_output: rejected }: PreferenceRow,
  context: number,
): { pair: readonly [Sequence, Sequence] | null; truncated: boolean } {
  const [chosen, other] = [preferred, rejected].map((output) => {
    const messages = [...input.messages, ...output];
    return cut([whole(encodeAnswer(tokenizer, messages, messages.length - 1, presentTools(input)))], context);
  }) as [EncodedRow, EncodedRow];
  const truncated = chosen.truncated || other.truncated;
  const [a, b] = [chosen.sequences[0], other.sequences[0]];
  return { pair: a === undefined || b === undefined ? null : [a, b], truncated };
}

/** An answer after all that comes before it, and the whole as the template writes it. */
interface Turn {
  readonly prompt: readonly number[];
  readonly completion: readonly number[];
}

function encodeAnswer(
  tokenizer: Tokenizer,
  messages: readonly Message[],
  index: number,
  tools: readonly unknown[] | undefined,
): Turn {
  const conversation = messages.slice(0, index + 1).map(({ weight: _, ...message }) => message);
  const prompt = tokenizer.encodeChat(conversation.slice(0, -1), { tools });
  const full = tokenizer.encodeChat(conversation, { tools, generate: false });
  if (startsWith(full, prompt)) return { prompt, completion: upToStop(full.slice(prompt.length), tokenizer) };
  // The template writes a finished answer otherwise than it asks for one: the answer's own text it is.
  const own = tokenizer.encode(saidWithCalls(presentMessage(conversation[index]!)));
  return { prompt, completion: upToStop(own, tokenizer) };
}

/** Templates write more after the token that ends an answer, which no model is to say. */
function upToStop(tokens: readonly number[], { stopTokens }: Tokenizer): number[] {
  const last = tokens.findLastIndex((t) => stopTokens.includes(t));
  return last === -1 ? [...tokens, stopTokens[0]!] : tokens.slice(0, last + 1);
}

const whole = ({ prompt, completion }: Turn): LearnedSequence => ({
  prompt,
  completion,
  learned: completion.map(() => true),
});

/** All turns as one sequence, where each begins with what the one before it was. */
function joined(turns: readonly Turn[]): LearnedSequence[] | null {
  const [first] = turns;
  const last = turns.at(-1);
  if (first === undefined || last === undefined) return [];
  const tokens = [...last.prompt, ...last.completion];
  const learned = new Array<boolean>(tokens.length).fill(false);
  for (const { prompt, completion } of turns) {
    if (!startsWith(tokens, prompt) || !startsWith(tokens.slice(prompt.length), completion)) return null;
    learned.fill(true, prompt.length, prompt.length + completion.length);
  }
  const from = first.prompt.length;
  return [{ prompt: first.prompt, completion: tokens.slice(from), learned: learned.slice(from) }];
}

function startsWith(tokens: readonly number[], beginning: readonly number[]): boolean {
  return beginning.length <= tokens.length && beginning.every((t, i) => t === tokens[i]);
}

/** Ends sequences where the context does; those left with nothing to learn go. */
function cut(sequences: readonly LearnedSequence[], context: number): EncodedRow {
  let truncated = false;
  const kept = sequences.flatMap((s): LearnedSequence[] => {
    // The last token is predicted, never read: it may stand just behind the context.
    const room = context + 1 - s.prompt.length;
    if (s.completion.length <= room) return [s];
    truncated = true;
    if (room < 1) return [];
    return [{ prompt: s.prompt, completion: s.completion.slice(0, room), learned: s.learned.slice(0, room) }];
  });
  return { sequences: kept.filter((s) => s.learned.includes(true)), truncated };
}
