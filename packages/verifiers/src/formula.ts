/** A formula that cannot be read. `position` counts characters from 0. */
export class FormulaError extends Error {
  override readonly name = 'FormulaError';

  constructor(
    message: string,
    readonly position: number,
  ) {
    super(message);
  }
}

/** Arithmetic over named values. */
export interface Formula {
  /** names that it reads, each once, in the order of their first use */
  readonly names: readonly string[];
  /** @returns NaN or an infinity where the arithmetic has no value, as in 1/0 */
  evaluate(values: Readonly<Record<string, number>>): number;
}

type Node = (values: Readonly<Record<string, number>>) => number;

interface Token {
  readonly kind: 'number' | 'name' | 'function' | 'symbol' | 'end';
  readonly text: string;
  readonly at: number;
}

const FUNCTIONS: Readonly<Record<string, { least: number; most: number; apply: (...values: number[]) => number }>> = {
  min: { least: 1, most: Number.POSITIVE_INFINITY, apply: Math.min },
  max: { least: 1, most: Number.POSITIVE_INFINITY, apply: Math.max },
  abs: { least: 1, most: 1, apply: Math.abs },
  floor: { least: 1, most: 1, apply: Math.floor },
  ceil: { least: 1, most: 1, apply: Math.ceil },
  exp: { least: 1, most: 1, apply: Math.exp },
  sqrt: { least: 1, most: 1, apply: Math.sqrt },
  log: { least: 1, most: 1, apply: Math.log },
};

const SUMS: Readonly<Record<string, (a: number, b: number) => number>> = { '+': (a, b) => a + b, '-': (a, b) => a - b };
const PRODUCTS: Readonly<Record<string, (a: number, b: number) => number>> = {
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
};

const LONGEST = 4096;
const DEEPEST = 100;

/**
 * Reads `+ - * / ^`, parentheses, numbers, names and the functions min, max, abs, floor, ceil, exp, sqrt and log (natural).
 * `^` binds tighter than a sign before it and to the right: -2^2 is -4, 2^3^2 is 2^9. Nothing is ever run as code.
 *
 * @param known names that may be read; where several fit, the longest does, so that names may hold spaces and dashes
 * @throws FormulaError
 */
export function parseFormula(source: string, known: readonly string[]): Formula {
  if (source.length > LONGEST) {
    throw new FormulaError(`it has ${source.length} characters, and at most ${LONGEST} are read`, LONGEST);
  }
  const parser = new Parser(tokens(source, known), known);
  const node = parser.formula();
  return { names: parser.names, evaluate: node };
}

class Parser {
  readonly names: string[] = [];
  private index = 0;
  private depth = 0;

  constructor(
    private readonly tokens: readonly Token[],
    private readonly known: readonly string[],
  ) {}

  formula(): Node {
    const node = this.sum();
    if (this.next.kind !== 'end') this.unexpected('an operator or the end');
    return node;
  }

  private get next(): Token {
    return this.tokens[this.index]!;
  }

  private sum(): Node {
    return this.leftToRight(SUMS, () => this.leftToRight(PRODUCTS, () => this.signed()));
  }

  private leftToRight(
    operators: Readonly<Record<string, (a: number, b: number) => number>>,
    operand: () => Node,
  ): Node {
    let left = operand();
    for (let apply = this.operator(operators); apply !== undefined; apply = this.operator(operators)) {
      const [a, b, operate] = [left, operand(), apply];
      left = (values) => operate(a(values), b(values));
    }
    return left;
  }

  private operator<T>(operators: Readonly<Record<string, T>>): T | undefined {
    const { kind, text } = this.next;
    if (kind !== 'symbol' || !Object.hasOwn(operators, text)) return undefined;
    this.index++;
    return operators[text];
  }

  private signed(): Node {
    return this.nested(() => {
      if (this.skip('-')) {
        const inner = this.signed();
        return (values) => -inner(values);
      }
      if (this.skip('+')) return this.signed();
      return this.power();
    });
  }

  private power(): Node {
    const base = this.atom();
    if (!this.skip('^')) return base;
    const exponent = this.signed();
    return (values) => base(values) ** exponent(values);
  }

  private atom(): Node {
    const token = this.next;
    switch (token.kind) {
      case 'number': {
        this.index++;
        const value = Number(token.text);
        return () => value;
      }
      case 'function':
        this.index++;
        return this.call(token);
      case 'name':
        this.index++;
        return this.name(token);
      default: {
        if (!this.skip('(')) return this.unexpected("a number, a name, a function or '('");
        const inner = this.sum();
        this.close(token);
        return inner;
      }
    }
  }

  private name({ text, at }: Token): Node {
    if (!this.known.includes(text)) {
      const functions = Object.keys(FUNCTIONS).join(', ');
      throw new FormulaError(
        `'${text}' is neither a grader (${this.known.join(', ')}) nor a function (${functions})`,
        at,
      );
    }
    if (!this.names.includes(text)) this.names.push(text);
    return (values) => values[text]!;
  }

  private call(token: Token): Node {
    const { least, most, apply } = FUNCTIONS[token.text]!;
    const open = this.next;
    this.index++;
    const parts = [this.sum()];
    while (this.skip(',')) parts.push(this.sum());
    this.close(open);
    if (parts.length < least || parts.length > most) {
      throw new FormulaError(`${token.text} takes ${most} value, not ${parts.length}`, token.at);
    }
    return (values) => apply(...parts.map((part) => part(values)));
  }

  private skip(symbol: string): boolean {
    const found = this.next.kind === 'symbol' && this.next.text === symbol;
    if (found) this.index++;
    return found;
  }

  private close({ at }: Token): void {
    if (!this.skip(')')) this.unexpected(`')' for the '(' at character ${at}`);
  }

  private nested(parse: () => Node): Node {
    if (++this.depth > DEEPEST) {
      throw new FormulaError(`it nests deeper than the ${DEEPEST} levels that are read`, this.next.at);
    }
    const node = parse();
    this.depth--;
    return node;
  }

  private unexpected(wanted: string): never {
    const { kind, text, at } = this.next;
    throw new FormulaError(`${kind === 'end' ? 'it ends' : `there is '${text}'`} where ${wanted} should be`, at);
  }
}

const NUMBER = /(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y;
const WORD = /[\p{L}_][\p{L}\p{N}_]*/uy;

function tokens(source: string, known: readonly string[]): Token[] {
  const longestFirst = [...known].sort((a, b) => b.length - a.length);
  const found: Token[] = [];
  const add = (kind: Token['kind'], text: string, at: number): number => {
    found.push({ kind, text, at });
    return at + text.length;
  };
  for (let at = 0; at < source.length; ) {
    const rest = source[at]!;
    if (/\s/.test(rest)) {
      at++;
      continue;
    }
    const word = matchAt(WORD, source, at);
    // A function is one where it is called, even if a grader has its name.
    if (word !== null && Object.hasOwn(FUNCTIONS, word) && /^\s*\(/.test(source.slice(at + word.length))) {
      at = add('function', word, at);
      continue;
    }
    const name = longestFirst.find((one) => startsWithName(source, at, one)) ?? word;
    if (name !== null) {
      at = add('name', name, at);
      continue;
    }
    const number = matchAt(NUMBER, source, at);
    if (number !== null) {
      at = add('number', number, at);
      continue;
    }
    if (!'+-*/^(),'.includes(rest)) {
      throw new FormulaError(`'${String.fromCodePoint(source.codePointAt(at)!)}' has no meaning here`, at);
    }
    if (source.startsWith('**', at)) throw new FormulaError(`powers are written '^', not '**'`, at);
    at = add('symbol', rest, at);
  }
  add('end', '', source.length);
  return found;
}

function matchAt(pattern: RegExp, source: string, at: number): string | null {
  pattern.lastIndex = at;
  return pattern.exec(source)?.[0] ?? null;
}

/** Whether a name stands there and ends there: `score` does not stand at the start of `score_2`. */
function startsWithName(source: string, at: number, name: string): boolean {
  if (name === '' || !source.startsWith(name, at)) return false;
  const wordGoesOn = /[\p{L}\p{N}_]$/u.test(name) && /^[\p{L}\p{N}_]/u.test(source.slice(at + name.length));
  return !wordGoesOn;
}
