/** Rules for JSON's own parts, which schemas are put together from. */
import { type GrammarBuilder, type Piece, sequence } from './grammar.js';
import { numberRule } from './numbers.js';
import { otherThan } from './pattern.js';
import { stringRule } from './strings.js';

export interface JsonStyle {
  /**
   * 'free': after a brace, a bracket or a comma, and before a closing one, nothing, a space, or a new line with up to 20 spaces or
   * tabs; a space or none after a colon, and before the whole. 'none': as JSON.stringify writes. @defaultValue 'free'
   */
  readonly whitespace?: 'free' | 'none' | undefined;
}

export interface Property {
  readonly name: string;
  readonly rule: number;
  readonly required: boolean;
}

export interface ObjectParts {
  /** in the order in which they are written; those that are not required may be left out */
  readonly properties: readonly Property[];
  /** of the values of other properties, which come after those; null for none */
  readonly others: { readonly rule: number; readonly min: number; readonly max: number } | null;
  /** names that other properties must not have */
  readonly taken: readonly string[];
}

export interface ArrayParts {
  /** of the first items, in order */
  readonly first: readonly number[];
  /** of the items after those; null for none */
  readonly rest: number | null;
  readonly min: number;
  /** may be Infinity */
  readonly max: number;
}

/** Most spaces and tabs that a line begins with. */
const INDENT = 20;

export class JsonRules {
  /** space between tokens, where there may be any */
  readonly space: Piece;
  /** after a colon */
  readonly gap: Piece;
  private readonly made = new Map<string, number>();

  constructor(
    readonly builder: GrammarBuilder,
    { whitespace = 'free' }: JsonStyle = {},
  ) {
    const nothing: Piece = (next) => next;
    const free = whitespace === 'free';
    this.gap = free ? builder.optional(builder.byte(0x20)) : nothing;
    this.space = free ? builder.call(builder.rule(this.lineOrSpace())) : nothing;
  }

  private lineOrSpace(): Piece {
    const { builder } = this;
    const blank = builder.oneOf([builder.byte(0x20), builder.byte(0x09)]);
    const indent = (left: number): Piece =>
      left === 0 ? (next) => next : builder.optional(sequence([blank, indent(left - 1)]));
    return builder.oneOf([(next) => next, builder.byte(0x20), sequence([builder.byte(0x0a), indent(INDENT)])]);
  }

  /** Any string. */
  get string(): number {
    return this.once('string', (define) =>
      define(
        this.builder.call(
          stringRule(this.builder, { minLength: 0, maxLength: Number.POSITIVE_INFINITY, patterns: [] }),
        ),
      ),
    );
  }

  /** Any number. */
  get number(): number {
    const limits = { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY, aboveMin: false, belowMax: false };
    return this.once('number', (define) =>
      define(this.builder.call(numberRule(this.builder, { ...limits, integer: false, multipleOf: null })!)),
    );
  }

  /** Any value, as deep as it likes. */
  get any(): number {
    return this.once('any', (define, any) => {
      const { builder } = this;
      const object = this.object({
        properties: [],
        others: { rule: any, min: 0, max: Number.POSITIVE_INFINITY },
        taken: [],
      });
      const array = this.array({ first: [], rest: any, min: 0, max: Number.POSITIVE_INFINITY });
      const words = ['null', 'true', 'false'].map((word) => builder.text(word));
      define(builder.oneOf([builder.call(this.string), builder.call(this.number), object, array, ...words]));
    });
  }

  private once(name: string, make: (define: (piece: Piece) => void, rule: number) => void): number {
    const known = this.made.get(name);
    if (known !== undefined) return known;
    const rule = this.builder.declare();
    this.made.set(name, rule); // before it is made, since it may hold itself
    make((piece) => this.builder.define(rule, piece), rule);
    return rule;
  }

  object({ properties, others, taken }: ObjectParts): Piece {
    const { builder } = this;
    return (next) => {
      const close = builder.text('}')(next);
      const end = this.space(close);
      const comma = (after: number): number => sequence([builder.text(','), this.space])(after);
      // Two nodes a property: nothing was written before it, or something was.
      let [bare, after] = [close, end];
      if (others !== null) {
        const member = sequence([this.key(taken), builder.text(':'), this.gap, builder.call(others.rule)]);
        const { min, max } = others;
        const more = builder.rule((to) => comma(member(to)));
        after = builder.repeat(more, min, max)(end);
        if (max > 0) {
          const first = member(builder.repeat(more, Math.max(0, min - 1), max - 1)(end));
          bare = min > 0 ? first : builder.oneOf([() => first, () => close])(next);
        }
      }
      for (const { name, rule, required } of [...properties].reverse()) {
        const written = sequence([builder.text(JSON.stringify(name)), builder.text(':'), this.gap, builder.call(rule)])(
          after,
        );
        const [without, withComma] = [bare, comma(written)];
        const instead = after;
        bare = required ? written : builder.oneOf([() => written, () => without])(next);
        after = required ? withComma : builder.oneOf([() => withComma, () => instead])(next);
      }
      return sequence([builder.text('{'), this.space])(bare);
    };
  }

  /** A name that is none of these. */
  private key(taken: readonly string[]): Piece {
    if (taken.length === 0) return this.builder.call(this.string);
    const limits = { minLength: 0, maxLength: Number.POSITIVE_INFINITY, patterns: [otherThan(taken)] };
    return this.builder.call(stringRule(this.builder, limits));
  }

  array({ first, rest, min, max: most }: ArrayParts): Piece {
    const { builder } = this;
    return (next) => {
      const close = builder.text(']')(next);
      const end = this.space(close);
      const comma = (after: number): number => sequence([builder.text(','), this.space])(after);
      const max = rest === null ? Math.min(most, first.length) : most;
      const known = first.slice(0, max);
      // What comes after the items that have rules of their own, when at least one item was written.
      let after = end;
      let begin = close;
      if (rest !== null && max > known.length) {
        const item = builder.call(rest);
        const more = builder.rule((to) => comma(item(to)));
        const least = Math.max(0, min - known.length);
        after = builder.repeat(more, least, max - known.length)(end);
        begin = item(builder.repeat(more, Math.max(0, least - 1), max - known.length - 1)(end));
        if (min === 0 && known.length === 0) {
          const items = begin;
          begin = builder.oneOf([() => items, () => close])(next);
        }
      }
      for (let i = known.length - 1; i >= 0; i--) {
        const item = builder.call(known[i]!)(after);
        const withComma = comma(item);
        after = i >= min ? builder.oneOf([() => withComma, () => end])(next) : withComma;
        if (i === 0) begin = min === 0 ? builder.oneOf([() => item, () => close])(next) : item;
      }
      return sequence([builder.text('['), this.space])(begin);
    };
  }

  /** Exactly this value, as JSON.stringify writes it but for space. */
  literal(value: unknown): Piece {
    const { builder } = this;
    if (typeof value !== 'object' || value === null) return builder.text(JSON.stringify(value));
    const rule = (inner: unknown): number => builder.rule(this.literal(inner));
    if (Array.isArray(value)) {
      return this.array({ first: value.map(rule), rest: null, min: value.length, max: value.length });
    }
    const properties = Object.entries(value).map(([name, inner]) => ({ name, rule: rule(inner), required: true }));
    return this.object({ properties, others: null, taken: [] });
  }
}
