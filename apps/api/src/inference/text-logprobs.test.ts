import type { TokenLogprob } from '@polymode/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { codePoints, joined, TextLogprobs } from './text-logprobs.js';

const token = (bytes: number[] | null, logprob: number | null = -1, top: TokenLogprob['top'] = []): TokenLogprob => ({
  token: bytes === null ? '<|end|>' : Buffer.from(bytes).toString('latin1'),
  bytes,
  logprob,
  top,
});

/** A text cut into tokens anywhere, also within characters. */
const cutText = fc
  .tuple(fc.string({ unit: 'grapheme', maxLength: 30 }), fc.infiniteStream(fc.integer({ min: 1, max: 6 })))
  .map(([text, sizes]) => {
    const bytes = [...Buffer.from(text)];
    const tokens: TokenLogprob[] = [];
    for (let at = 0; at < bytes.length; ) {
      const size = sizes.next().value ?? 1;
      tokens.push(token(bytes.slice(at, at + size)));
      at += size;
    }
    return { text, tokens };
  });

/** Of the character in which a byte is: counted anew for each, from the text. */
function placeOfByte(text: string, byte: number): number {
  let bytes = 0;
  let place = 0;
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (byte < bytes) return place;
    place++;
  }
  return place;
}

describe('text_offset', () => {
  it('is where each token begins in prompt and completion, in code points, however they are cut', () => {
    fc.assert(
      fc.property(cutText, cutText, fc.integer({ min: 0, max: 10 }), (prompt, completion, cut) => {
        const writer = new TextLogprobs(0);
        const pieces = [
          writer.prompt(prompt.tokens, prompt.text),
          writer.completion(completion.tokens.slice(0, cut)),
          writer.completion(completion.tokens.slice(cut)),
        ];
        const text = prompt.text + completion.text;
        let byte = 0;
        const expected = [...prompt.tokens, ...completion.tokens].map(({ bytes }) => {
          const place = placeOfByte(text, byte);
          byte += bytes?.length ?? 0;
          return place;
        });
        expect(joined(pieces).text_offset).toEqual(expected);
        const after = new TextLogprobs(codePoints(prompt.text)).completion(completion.tokens);
        expect(after.text_offset).toEqual(expected.slice(prompt.tokens.length));
      }),
    );
  });

  it('goes on after tokens that have no text, and after a prompt whose text says more than its tokens', () => {
    const writer = new TextLogprobs(0);
    expect(writer.prompt([token(null), token([97])], '<|end|>a').text_offset).toEqual([0, 0]);
    expect(writer.completion([token([98]), token(null), token([99])]).text_offset).toEqual([8, 9, 9]);
  });
});

describe('log-probabilities', () => {
  it('have none for the first token of a prompt, and tell the likeliest and the one that is there', () => {
    const top = [{ token: 'b', bytes: [98], logprob: -0.5 }];
    const written = new TextLogprobs(0).prompt(
      [token([97], null), token([99], -2, top), token([98], -0.5, top)],
      'acb',
    );
    expect(written).toEqual({
      tokens: ['a', 'c', 'b'],
      token_logprobs: [null, -2, -0.5],
      top_logprobs: [null, { b: -0.5, c: -2 }, { b: -0.5 }],
      text_offset: [0, 1, 2],
    });
  });

  it('are -9999 for what is as good as impossible', () => {
    const { token_logprobs, top_logprobs } = new TextLogprobs(3).completion([token([97], null)]);
    expect([token_logprobs, top_logprobs]).toEqual([[-9999], [{ a: -9999 }]]);
  });
});
