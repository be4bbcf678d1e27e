import { readToolCalls } from '@polymode/verifiers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ToolCallReader } from './tool-call-reader.js';

const call = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>';

/** What a reader makes of a text that comes in pieces. */
function read(pieces: readonly string[]): { shown: string; whole: string; calls: unknown[] } {
  const reader = new ToolCallReader();
  const made = [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
  return {
    shown: made.map((p) => (p.shown ? p.text : '')).join(''),
    whole: made.map((p) => p.text).join(''),
    calls: reader.calls,
  };
}

/** A text cut at random places. */
const cut = (text: string) =>
  fc
    .array(fc.nat(text.length), { maxLength: 12 })
    .map((places) => [0, ...places.sort((a, b) => a - b), text.length])
    .map((at) => at.slice(1).map((end, i) => text.slice(at[i], end)));

describe('tool calls in a text that arrives bit by bit', () => {
  it('are read out of it, with the space around them', () => {
    expect(read([`Let me see.\n${call}\n${call}\n`])).toMatchObject({
      shown: 'Let me see.',
      calls: [
        { name: 'f', arguments: '{"x":1}' },
        { name: 'f', arguments: '{"x":1}' },
      ],
    });
    expect(read([call])).toMatchObject({ shown: '' });
  });

  it.each([
    ['is not closed', '<tool_call>{"name": "f"'],
    ['is no JSON', ' <tool_call>{name}</tool_call> '],
    ['has no name', '<tool_call>{"arguments": {}}</tool_call>'],
    ['only begins like one', 'a <tool_cal'],
    ['is not there', '  some text \n'],
  ])('stay in it where a call %s', (_, text) => {
    expect(read([text])).toEqual({ shown: text, whole: text, calls: [] });
  });

  it('are the same however it is cut, and nothing of the text is lost', () => {
    const part = fc.constantFrom(call, '<tool_call>', '</tool_call>', ' ', '\n', 'a', '<', 'tool_call>', '<tool', '{}');
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 8 }).chain((parts) => cut(parts.join(''))),
        (pieces) => {
          const text = pieces.join('');
          const made = read(pieces);
          expect(made).toEqual(read([text]));
          expect(made.whole).toBe(text);
          const { calls } = readToolCalls(text);
          expect(made.calls).toEqual(calls.map((c) => c.function));
          if (calls.length === 0) expect(made.shown).toBe(text);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('are held back, and nothing more than may become one', () => {
    const reader = new ToolCallReader();
    expect(reader.push('Well ')).toEqual([{ text: 'Well', shown: true }]);
    expect(reader.push('then <')).toEqual([{ text: ' then', shown: true }]);
    expect(reader.push('b>')).toEqual([{ text: ' <b>', shown: true }]);
    expect(reader.push('<tool_call>{"name": "f"}')).toEqual([]);
    expect(reader.push('</tool_call>').map((p) => p.shown)).toEqual([false]);
  });
});
