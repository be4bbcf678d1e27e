import { MAX_ALTERNATIVES } from './draw.js';

/** How one completion is drawn. Two rows of a batch may differ in all of this without changing each other's tokens. */
export interface SamplingOptions {
  /** Most tokens of a completion, the stop token included; at least 1. */
  readonly maxTokens: number;
  /** Logits are divided by this; 0 takes the likeliest token. @defaultValue 1 */
  readonly temperature?: number;
  /** Draw from the k likeliest tokens; 0 for all. @defaultValue 0 */
  readonly topK?: number;
  /** Draw from the smallest set of tokens that holds this share of what top-k leaves, in (0, 1]. @defaultValue 1 */
  readonly topP?: number;
  /** Draw from tokens at least this times as likely as the likeliest, in [0, 1]. @defaultValue 0 */
  readonly minP?: number;
  /**
   * The logits of tokens in the prompt or the completion so far are divided by this where positive and multiplied with it
   * where negative (arXiv:1909.05858, as in transformers); above 0. @defaultValue 1
   */
  readonly repetitionPenalty?: number;
  /** Taken off the logits of tokens in the completion so far, once (OpenAI's definition). @defaultValue 0 */
  readonly presencePenalty?: number;
  /** Taken off the logits of tokens in the completion so far, once for each time (OpenAI's definition). @defaultValue 0 */
  readonly frequencyPenalty?: number;
  /** Added to the logits of tokens, by token. */
  readonly logitBias?: ReadonlyMap<number, number>;
  /** A completion ends with (and contains) the first of these. */
  readonly stopTokens: readonly number[];
  /**
   * A completion ends with the token that makes its text contain one of these; its text is cut before it. Needs `decode`.
   */
  readonly stopStrings?: readonly string[];
  /** Text of tokens. With it completions carry their text. */
  readonly decode?: (tokens: readonly number[]) => string;
  /** Temperature that log-probabilities are told at, above 0. @defaultValue temperature, 1 where that is 0 */
  readonly reportedTemperature?: number;
  /** Report this many of the likeliest tokens at each place, 0 … 20. @defaultValue 0 */
  readonly alternatives?: number;
  /**
   * What the next token may be, given those so far: bit t mod 32 of word ⌊t / 32⌋ for token t, or null for anything. Such a
   * row costs a run of the model for each token; others do not slow down for it.
   */
  readonly allowed?: (tokens: readonly number[]) => Uint32Array | null;
}

export interface Alternative {
  readonly token: number;
  /** in nats, as the completion's own */
  readonly logProbability: number;
}

export interface Completion {
  readonly tokens: readonly number[];
  /**
   * log-probability of each token, in nats, under the whole distribution at the sampling temperature (at 1 for temperature
   * 0) or at `reportedTemperature`, before any filter, penalty, bias or mask: what training computes for the same tokens
   */
  readonly logProbabilities: Float32Array;
  /** 'stop' when a stop token or a stop string ended it, 'length' when maxTokens did */
  readonly finishReason: 'stop' | 'length';
  /** with `decode`: without a stop token, and up to a stop string */
  readonly text?: string;
  /** the likeliest tokens at each place, likeliest first, where they were asked for */
  readonly alternatives?: readonly (readonly Alternative[])[];
}

/** The random numbers of completion `sample` of prompt `prompt`: at least maxTokens values in (0, 1). */
export type UniformSource = (prompt: number, sample: number) => Float32Array;

/** @throws RangeError naming the option, its value and its bounds */
export function checkOptions(options: SamplingOptions, vocabulary: number): void {
  const { maxTokens, temperature, topK, topP, minP, repetitionPenalty, alternatives, reportedTemperature } = options;
  check('maxTokens', maxTokens, Number.isInteger(maxTokens) && maxTokens >= 1, 'a positive integer');
  check('temperature', temperature, temperature === undefined || temperature >= 0, 'at least 0');
  const told = reportedTemperature === undefined || reportedTemperature > 0;
  check('reportedTemperature', reportedTemperature, told, 'above 0');
  check('topK', topK, topK === undefined || (Number.isInteger(topK) && topK >= 0), 'a whole number, 0 for all');
  check('topP', topP, topP === undefined || (topP > 0 && topP <= 1), 'above 0 and at most 1');
  check('minP', minP, minP === undefined || (minP >= 0 && minP <= 1), 'from 0 to 1');
  check('repetitionPenalty', repetitionPenalty, repetitionPenalty === undefined || repetitionPenalty > 0, 'above 0');
  for (const name of [
    'temperature',
    'reportedTemperature',
    'repetitionPenalty',
    'presencePenalty',
    'frequencyPenalty',
  ] as const) {
    const value = options[name];
    check(name, value, value === undefined || Number.isFinite(value), 'a finite number');
  }
  const most = Math.min(MAX_ALTERNATIVES, vocabulary);
  const whole = alternatives === undefined || (Number.isInteger(alternatives) && alternatives >= 0);
  check('alternatives', alternatives, whole && (alternatives ?? 0) <= most, `a whole number from 0 to ${most}`);
  for (const [token, bias] of options.logitBias ?? []) {
    const known = Number.isInteger(token) && token >= 0 && token < vocabulary;
    check('logitBias', token, known, `of tokens from 0 to ${vocabulary - 1}`);
    check(`logitBias of token ${token}`, bias, Number.isFinite(bias), 'a finite number');
  }
  const empty = options.stopStrings?.includes('') === true;
  check('stopStrings', options.stopStrings, !empty, 'strings of at least one character');
  const readable = (options.stopStrings ?? []).length === 0 || options.decode !== undefined;
  check('decode', options.decode, readable, 'given with stopStrings');
}

function check(name: string, value: unknown, holds: boolean, wanted: string): void {
  if (!holds) throw new RangeError(`${name} is ${JSON.stringify(value)}, but must be ${wanted}`);
}

/** Options that change the distribution beyond its temperature. */
export function isShaped(options: SamplingOptions): boolean {
  const { topK = 0, topP = 1, minP = 0, repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0 } = options;
  const filtered = topK > 0 || topP < 1 || minP > 0;
  const penalised = repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
  return filtered || penalised || (options.logitBias?.size ?? 0) > 0;
}
