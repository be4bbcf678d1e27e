import type { GenerateEvent } from '@polymode/contracts';
import type { Tokenizer } from '@polymode/policy';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TokenTexts } from './token-texts.js';
import { Utterance } from './utterance.js';

const END = 256;
/** A token for each byte, and one that ends. */
const tokenizer = {
  stopTokens: [END],
  decode: (tokens: readonly number[]) => Buffer.from(tokens.filter((t) => t !== END)).toString(),
  tokenBytes: (id: number) => (id === END ? null : Uint8Array.of(id)),
  tokenName: (id: number) => (id === END ? '<end>' : null),
} as Partial<Tokenizer> as Tokenizer;
const texts = new TokenTexts(tokenizer);

/** A completion whose text is heard of in pieces that end with whole characters, as the sampler tells it. */
function tell(text: string, { logprobs = true, tools = false, pieces = 3, stop = '' } = {}): GenerateEvent[] {
  const utterance = new Utterance({ index: 0, texts, stopTokens: [END], logprobs, tools });
  const events: (GenerateEvent | null)[] = [];
  const said = [...Buffer.from(text + stop), ...(stop === '' ? [END] : [])];
  const characters = [...text];
  let [from, told] = [0, 0];
  for (let i = 1; i <= pieces; i++) {
    const until = Math.floor((said.length * i) / pieces);
    const tokens = said.slice(from, until);
    from = until;
    // What is whole by now.
    let whole = told;
    while (
      whole < characters.length &&
      Buffer.byteLength(characters.slice(0, whole + 1).join('')) <= Math.min(until, Buffer.byteLength(text))
    ) {
      whole++;
    }
    const news = characters.slice(told, whole).join('');
    told = whole;
    events.push(
      utterance.progress({
        tokens,
        logProbabilities: tokens.map(() => -1),
        alternatives: tokens.map(() => []),
        text: news,
      }),
    );
  }
  events.push(
    ...utterance.end({ tokens: said, logProbabilities: new Float32Array(said.length), finishReason: 'stop', text }),
  );
  return events.filter((event) => event !== null);
}

const deltas = (events: readonly GenerateEvent[]) => events.flatMap((e) => (e.type === 'delta' ? [e] : []));
const textOf = (events: readonly GenerateEvent[]) =>
  deltas(events)
    .map((d) => d.text)
    .join('');
const bytesOf = (events: readonly GenerateEvent[]) =>
  Buffer.from(deltas(events).flatMap((d) => (d.logprobs ?? []).flatMap((l) => l.bytes ?? [])));

describe('a completion that is told', () => {
  it('has in every delta the text and the log-probabilities of the same tokens, whatever they are cut into', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 20 }), fc.integer({ min: 1, max: 30 }), (text, pieces) => {
        const events = tell(text, { pieces });
        expect(textOf(events)).toBe(text);
        expect(bytesOf(events).toString()).toBe(text);
        for (const { text: part, logprobs } of deltas(events)) {
          expect(Buffer.from(logprobs!.flatMap((l) => l.bytes!)).toString()).toBe(part);
        }
        expect(events.at(-1)).toMatchObject({ type: 'finish', reason: 'stop', toolCalls: [] });
      }),
    );
  });

  it('leaves out the tokens of a stop string', () => {
    const events = tell('héllo', { stop: '###', pieces: 4 });
    expect(textOf(events)).toBe('héllo');
    expect(bytesOf(events).toString()).toBe('héllo');
    expect(events.at(-1)).toMatchObject({ tokens: 9 });
  });

  it('leaves out the text of tool calls, and their tokens', () => {
    const call = '<tool_call>{"name": "f", "arguments": {"a": "é"}}</tool_call>';
    for (const pieces of [1, 2, 5, 17, 40]) {
      const events = tell(`Sö.\n${call}\n`, { tools: true, pieces });
      expect(textOf(events)).toBe('Sö.');
      expect(bytesOf(events).toString()).toBe('Sö.');
      expect(events.at(-1)).toMatchObject({
        reason: 'tool_calls',
        toolCalls: [{ name: 'f', arguments: '{"a":"é"}' }],
      });
    }
  });

  it('has no log-probabilities where none are wanted', () => {
    expect(deltas(tell('abc', { logprobs: false })).every((d) => d.logprobs === null)).toBe(true);
  });
});

describe('texts of tokens', () => {
  it('are their bytes where these are part of a character, and their names where they have none', () => {
    expect(texts.of(0x61)).toEqual({ token: 'a', bytes: [0x61] });
    expect(texts.of(0xe2)).toEqual({ token: 'bytes:\\xe2', bytes: [0xe2] });
    expect(texts.of(END)).toEqual({ token: '<end>', bytes: null });
  });
});
