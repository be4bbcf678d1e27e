/**
 * Tool calls as Qwen's and Hermes' chat templates have models write them:
 * `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, with the arguments valid for the tool's schema.
 */
import { pointerTo, SchemaError } from './error.js';
import { finish } from './finish.js';
import { type Grammar, GrammarBuilder, type Piece, sequence } from './grammar.js';
import { JsonRules, type JsonStyle } from './json-rules.js';
import { LEADS } from './plain.js';
import { documentOf, SchemaRules } from './schema.js';

export interface Tool {
  readonly name: string;
  /** JSON Schema of the arguments, which are an object. @defaultValue any object */
  readonly parameters?: unknown;
}

export interface ToolCallOptions extends JsonStyle {
  /** 'auto': text, then calls or none; 'required': calls and nothing else. @defaultValue 'auto' */
  readonly choice?: 'auto' | 'required' | undefined;
  /** With 'auto': JSON Schema of an answer without calls. Then there are calls and nothing else, or such JSON and nothing else. */
  readonly answer?: unknown;
  /** More calls may follow a call. @defaultValue true */
  readonly parallel?: boolean | undefined;
  /** What a call begins with: printable ASCII. @defaultValue '<tool_call>' */
  readonly open?: string | undefined;
  /** What a call ends with. @defaultValue '</tool_call>' */
  readonly close?: string | undefined;
}

/**
 * Answers whose every call is one of these tools with arguments that are valid for it. Text around calls is free, as long as it
 * has no other `open`.
 *
 * @throws SchemaError pointing into the list of tools: `/0/parameters/…`; or into `answer`, whose steps are no numbers at first
 */
export function compileToolCalls(tools: readonly Tool[], options: ToolCallOptions = {}): Grammar {
  const { choice = 'auto', answer, parallel = true, open = '<tool_call>', close = '</tool_call>' } = options;
  if (tools.length === 0) throw new SchemaError('', 'lists no tool: give at least one');
  if (!/^[!-~]+$/.test(open)) throw new RangeError(`open is ${JSON.stringify(open)}, but must be printable ASCII`);
  const builder = new GrammarBuilder();
  const json = new JsonRules(builder, options);
  const each = tools.map(({ name, parameters = true }, i) => {
    const pointer = pointerTo('', i, 'parameters');
    const rules = new SchemaRules(json, parameters, pointer, [{ schema: { type: 'object' }, pointer }]);
    return json.object({
      properties: [
        { name: 'name', rule: builder.rule(json.literal(name)), required: true },
        { name: 'arguments', rule: rules.root, required: true },
      ],
      others: null,
      taken: [],
    });
  });
  const line = builder.optional(builder.byte(0x0a));
  const call = builder.call(builder.rule(sequence([line, builder.oneOf(each), line, builder.text(close)])));
  const opened = sequence([builder.text(open), call]);
  const another = builder.rule(sequence([line, opened]));
  const others = parallel ? builder.repeat(another, 0, Number.POSITIVE_INFINITY) : (next: number): number => next;
  const calls = sequence([line, opened, others]);
  if (choice === 'required') return finish(builder, calls);
  if (answer === undefined) return finish(builder, textAndCalls(builder, open, sequence([call, others])));
  return finish(builder, builder.oneOf([calls, documentOf(json, answer)]));
}

/** Text without `open`, and after that, once it is there, what may follow. */
function textAndCalls(builder: GrammarBuilder, open: string, then: Piece): Piece {
  return (next) => {
    const called = then(next);
    // State k: the text ends with the first k letters of `open`, and no more (Knuth, Morris, Pratt).
    const states = Array.from({ length: open.length }, () => builder.node());
    const letters = new Set([...open].map((c) => c.charCodeAt(0)));
    for (const [k, state] of states.entries()) {
      const { bytes, empty } = builder.nodes[state]!;
      empty.push(next);
      for (const c of letters) {
        const to = longestEnd(open, open.slice(0, k) + String.fromCharCode(c));
        bytes.push(c, c, to === open.length ? called : states[to]!);
      }
      for (let low = 0; low <= 0x7f; low++) {
        if (letters.has(low)) continue;
        let high = low;
        while (high < 0x7f && !letters.has(high + 1)) high++;
        bytes.push(low, high, states[0]!);
        low = high;
      }
      empty.push(beyondAscii(builder)(states[0]!));
    }
    return states[0]!;
  };
}

/** Letters of `word` that `text` ends with, most. */
function longestEnd(word: string, text: string): number {
  for (let n = Math.min(word.length, text.length); n > 0; n--) if (text.endsWith(word.slice(0, n))) return n;
  return 0;
}

/** A character of more than one byte. */
function beyondAscii(builder: GrammarBuilder): Piece {
  const more = (n: number): Piece => sequence(Array.from({ length: n }, () => builder.byte(0x80, 0xbf)));
  return builder.oneOf(
    LEADS.map(({ low, high, more: after, second }) =>
      sequence([builder.byte(low, high), builder.byte(...second), more(after - 1)]),
    ),
  );
}
