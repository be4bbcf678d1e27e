import { type Alternative, type Completion, isShaped, type SamplingOptions } from './options.js';
import { firstOf, GrowingText, heldBack } from './text.js';

/** One token as the graph reports it. */
export interface SaidToken {
  readonly token: number;
  readonly logProbability: number;
  readonly alternatives: readonly Alternative[] | null;
}

/** Random numbers that are made when a completion begins; more are made when it needs them. */
const FIRST_UNIFORMS = 64;

/** A completion under way: what it has said, and whether that ended it. */
export class Row {
  readonly tokens: number[] = [];
  readonly shaped: boolean;
  /** how often the completion has each token */
  readonly counts = new Map<number, number>();
  finishReason: Completion['finishReason'] | null = null;
  /** what went wrong in a function of the options: it ends this completion and no other */
  failure: Error | null = null;
  /** of each token */
  readonly logProbabilities: number[] = [];
  /** of each token, where they are wanted */
  readonly alternatives: (readonly Alternative[])[] = [];
  private readonly stops: ReadonlySet<number>;
  private readonly growing: GrowingText | null;
  /** where a stop string begins in the text */
  private cut: number | null = null;

  private uniforms: Float32Array;

  /**
   * @param random at least maxTokens values in (0, 1), or what makes the first so many of them: a completion of which much is
   *   allowed may say little
   */
  constructor(
    readonly prompt: readonly number[],
    readonly options: SamplingOptions,
    private readonly random: Float32Array | ((count: number) => Float32Array),
  ) {
    this.uniforms = random instanceof Float32Array ? random : random(Math.min(FIRST_UNIFORMS, options.maxTokens));
    if (random instanceof Float32Array && random.length < options.maxTokens) {
      throw new RangeError(`${random.length} random numbers do not do for ${options.maxTokens} tokens`);
    }
    this.stops = new Set(options.stopTokens);
    this.shaped = isShaped(options);
    this.growing = options.decode === undefined ? null : new GrowingText(options.decode);
  }

  /** Tokens that it may still say. */
  get left(): number {
    return this.finishReason === null ? this.options.maxTokens - this.tokens.length : 0;
  }

  /** Ends it unsaid. @returns one that begins anew and says the same, the function of its mask included */
  again(): Row {
    this.finishReason ??= 'stop';
    return new Row(this.prompt, this.options, this.random);
  }

  /** The random number of token i < maxTokens. */
  uniform(i: number): number {
    if (i >= this.uniforms.length && typeof this.random === 'function') {
      this.uniforms = this.random(Math.min(Math.max(i + 1, 2 * this.uniforms.length), this.options.maxTokens));
    }
    return this.uniforms[i]!;
  }

  say({ token, logProbability, alternatives }: SaidToken): void {
    if (this.finishReason !== null) return;
    this.tokens.push(token);
    this.counts.set(token, (this.counts.get(token) ?? 0) + 1);
    this.logProbabilities.push(logProbability);
    if (alternatives !== null) this.alternatives.push(alternatives.slice(0, this.options.alternatives));
    if (this.stops.has(token)) this.finishReason = 'stop';
    else this.guard(() => this.read(token));
    if (this.left === 0) this.finishReason ??= 'length';
  }

  /**
   * What the next token may be; null for anything.
   *
   * @throws nothing: a mask that cannot be used is a failure of the row
   */
  mask(vocabulary: number): Uint32Array | null {
    const { allowed } = this.options;
    if (allowed === undefined || this.finishReason !== null) return null;
    return this.guard(() => {
      const mask = allowed(this.tokens);
      if (mask !== null) checkMask(mask, vocabulary);
      return mask;
    });
  }

  private guard<T>(call: () => T): T | null {
    try {
      return call();
    } catch (error) {
      this.failure ??= error instanceof Error ? error : new Error(String(error));
      this.finishReason ??= 'stop';
      return null;
    }
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

/** @throws RangeError for a mask that allows nothing, or does not cover the vocabulary */
function checkMask(mask: Uint32Array, vocabulary: number): void {
  const words = Math.ceil(vocabulary / 32);
  if (mask.length < words) {
    throw new RangeError(`a mask of ${mask.length} words does not cover a vocabulary of ${vocabulary} tokens`);
  }
  const beyond = vocabulary % 32 === 0 ? 0xffffffff : 2 ** (vocabulary % 32) - 1;
  const some = mask.subarray(0, words).some((word, i) => (i === words - 1 ? (word & beyond) !== 0 : word !== 0));
  if (!some) throw new RangeError('a mask allows no token at all; allow a stop token to end the completion');
}
