import { type Alternative, type Completion, isShaped, type SamplingOptions } from './options.js';
import { firstOf, GrowingText, heldBack } from './text.js';

/** One token as the graph reports it. */
export interface SaidToken {
  readonly token: number;
  readonly logProbability: number;
  readonly alternatives: readonly Alternative[] | null;
}

/** A completion under way: what it has said, and whether that ended it. */
export class Row {
  readonly tokens: number[] = [];
  readonly shaped: boolean;
  /** how often the completion has each token */
  readonly counts = new Map<number, number>();
  finishReason: Completion['finishReason'] | null = null;
  private readonly logProbabilities: number[] = [];
  private readonly alternatives: (readonly Alternative[])[] = [];
  private readonly stops: ReadonlySet<number>;
  private readonly growing: GrowingText | null;
  /** where a stop string begins in the text */
  private cut: number | null = null;

  /** @param uniforms at least maxTokens values in (0, 1) */
  constructor(
    readonly prompt: readonly number[],
    readonly options: SamplingOptions,
    readonly uniforms: Float32Array,
  ) {
    if (uniforms.length < options.maxTokens) {
      throw new RangeError(`${uniforms.length} random numbers do not do for ${options.maxTokens} tokens`);
    }
    this.stops = new Set(options.stopTokens);
    this.shaped = isShaped(options);
    this.growing = options.decode === undefined ? null : new GrowingText(options.decode);
  }

  /** Tokens that it may still say. */
  get left(): number {
    return this.finishReason === null ? this.options.maxTokens - this.tokens.length : 0;
  }

  say({ token, logProbability, alternatives }: SaidToken): void {
    if (this.finishReason !== null) return;
    this.tokens.push(token);
    this.counts.set(token, (this.counts.get(token) ?? 0) + 1);
    this.logProbabilities.push(logProbability);
    if (alternatives !== null) this.alternatives.push(alternatives.slice(0, this.options.alternatives));
    if (this.stops.has(token)) this.finishReason = 'stop';
    else this.read(token);
    if (this.left === 0) this.finishReason ??= 'length';
  }

  private read(token: number): void {
    if (this.growing === null) return;
    const before = this.growing.final.length;
    this.growing.push(token);
    const { stopStrings = [] } = this.options;
    const at = firstOf(stopStrings, this.growing.whole, before);
    if (at < 0) return;
    this.cut = at;
    this.finishReason = 'stop';
  }

  /** The text so far that nothing said later takes back; null without `decode`. */
  get text(): string | null {
    if (this.growing === null) return null;
    if (this.cut !== null) return this.growing.whole.slice(0, this.cut);
    if (this.finishReason !== null) return this.growing.whole;
    const { final } = this.growing;
    return final.slice(0, final.length - heldBack(this.options.stopStrings ?? [], final));
  }

  completion(): Completion {
    const { text } = this;
    return {
      tokens: this.tokens,
      logProbabilities: Float32Array.from(this.logProbabilities),
      finishReason: this.finishReason ?? 'length',
      ...(text === null ? {} : { text }),
      ...((this.options.alternatives ?? 0) > 0 ? { alternatives: this.alternatives } : {}),
    };
  }
}
