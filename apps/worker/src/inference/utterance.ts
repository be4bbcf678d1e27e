import type { GenerateEvent, TokenLogprob } from '@polymode/contracts';
import type { Completion, Progress } from '@polymode/policy';
import type { TokenTexts } from './token-texts.js';
import { type Piece, ToolCallReader } from './tool-call-reader.js';

type Delta = Extract<GenerateEvent, { type: 'delta' }>;
type Finish = Extract<GenerateEvent, { type: 'finish' }>;

export interface UtteranceOptions {
  readonly index: number;
  readonly texts: TokenTexts;
  readonly stopTokens: readonly number[];
  readonly logprobs: boolean;
  /** whether tool calls are read out of the text */
  readonly tools: boolean;
}

/** A token that was drawn and whose text is not decided yet. */
interface Undecided {
  /** bytes of text before it */
  readonly start: number;
  readonly logprob: TokenLogprob;
}

/** One completion, from the tokens that the sampler reports to the events that the API is sent. */
export class Utterance {
  private readonly reader: ToolCallReader | null;
  private readonly undecided: Undecided[] = [];
  /** bytes of the tokens so far, and of the text that is decided */
  private said = 0;
  private decided = 0;

  constructor(private readonly options: UtteranceOptions) {
    this.reader = options.tools ? new ToolCallReader() : null;
  }

  /** How many calls it has made so far. */
  get calls(): number {
    return this.reader?.calls.length ?? 0;
  }

  /** @returns null when there is nothing to tell yet */
  progress({ tokens, logProbabilities, alternatives, text }: Progress): Delta | null {
    const { texts, stopTokens, logprobs } = this.options;
    for (const [i, token] of tokens.entries()) {
      // The token that ends a completion is no part of what it says.
      if (!logprobs || stopTokens.includes(token)) continue;
      const logprob = texts.logprob(token, logProbabilities[i]!, alternatives[i] ?? []);
      this.undecided.push({ start: this.said, logprob });
      this.said += texts.byteLength(token);
    }
    const news = text ?? '';
    return this.delta(this.reader === null ? [{ text: news, shown: true }] : this.reader.push(news));
  }

  /** Everything that is left to tell. */
  end({ tokens, finishReason }: Completion): [...Delta[], Finish] {
    const { index, stopTokens, logprobs } = this.options;
    const calls = this.reader?.calls ?? [];
    const last = tokens.at(-1);
    // A stop string was cut off, and the tokens that it is made of with it.
    const cut = finishReason === 'stop' && (last === undefined || !stopTokens.includes(last));
    const rest = this.delta(this.reader?.end() ?? []);
    const left = logprobs && !cut && calls.length === 0 ? this.undecided.map((u) => u.logprob) : [];
    const deltas: Delta[] = rest === null ? [] : [rest];
    if (left.length > 0) {
      deltas.splice(0, 1, {
        type: 'delta',
        index,
        text: rest?.text ?? '',
        logprobs: [...(rest?.logprobs ?? []), ...left],
      });
    }
    const reason = calls.length > 0 ? 'tool_calls' : finishReason;
    return [...deltas, { type: 'finish', index, reason, toolCalls: [...calls], tokens: tokens.length }];
  }

  private delta(pieces: readonly Piece[]): Delta | null {
    let text = '';
    const told: TokenLogprob[] = [];
    for (const piece of pieces) {
      if (piece.shown) text += piece.text;
      this.decided += Buffer.byteLength(piece.text);
      while (this.undecided.length > 0 && this.undecided[0]!.start < this.decided) {
        const { logprob } = this.undecided.shift()!;
        if (piece.shown) told.push(logprob);
      }
    }
    if (text === '' && told.length === 0) return null;
    return { type: 'delta', index: this.options.index, text, logprobs: this.options.logprobs ? told : null };
  }
}
