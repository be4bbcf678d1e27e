import { cp, mkdtemp, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadTokenizer, type Tokenizer } from '@polymode/policy';
import { findBaseModel } from '@polymode/policy/registry';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const SHIPPED = findBaseModel('polymode-tiny')!.dir;
const [END, USER, ASSISTANT] = [0, 1, 2];

let tokenizer: Tokenizer;
let scratch: string;
beforeAll(async () => {
  tokenizer = await loadTokenizer(SHIPPED);
  scratch = await mkdtemp(join(tmpdir(), 'polymode-tokenizer-'));
});
afterAll(() => rm(scratch, { recursive: true }));

/** A copy of the shipped folder's tokenizer, changed. */
async function variant(name: string, change: (dir: string) => Promise<void>): Promise<string> {
  const dir = join(scratch, name);
  for (const file of ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json']) {
    await cp(join(SHIPPED, file), join(dir, file));
  }
  await change(dir);
  return dir;
}

describe('the tokenizer that ships', () => {
  it('gives any text back', () => {
    const unit = fc.oneof(fc.constantFrom('grapheme', 'grapheme-ascii', 'binary'));
    fc.assert(
      fc.property(
        unit.chain((u) => fc.string({ unit: u as 'grapheme', maxLength: 60 })),
        (text) => {
          // The names of special tokens are tokens of their own, which decoding leaves out.
          fc.pre(!/<\|\w+\|>/.test(text));
          expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
        },
      ),
      { numRuns: 200 },
    );
    for (const text of [
      '👩‍👩‍👧‍👦 🇩🇪',
      'ﬁ e\u0301 \u00e9',
      ' \t\r\n\n  x ',
      '\u0000\ufeff\u2028',
      '漢字かな',
      "  'tis don't",
    ]) {
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    }
  });

  it.each(['Top view:\n', 'Structure:\n', 'Layer 1:\n', 'Layer 2:\n', 'Layer 3:\n'])('has a token for %j', (text) => {
    expect(tokenizer.encode(text)).toHaveLength(1);
  });

  it('has a token for each row of a 3×3 grid, at the end of a text and before another line', () => {
    for (let bits = 0; bits < 8; bits++) {
      const row = [4, 2, 1].map((b) => (bits & b ? 1 : 0)).join(' ');
      expect(tokenizer.encode(row), row).toHaveLength(1);
      expect(tokenizer.encode(`${row}\n`), row).toHaveLength(1);
    }
  });

  it('has a token for each observation of two variables', () => {
    for (const line of ['(x=0, y=0) -> 0', '(x=0, y=1) -> 1', '(x=1, y=0) -> 1', '(x=1, y=1) -> 0']) {
      expect(tokenizer.encode(`${line}\n`), line).toHaveLength(1);
    }
  });

  it('writes three layers in 13 tokens', () => {
    const layer = (i: number): string => `Layer ${i}:\n1 0 1\n0 1 0\n0 0 0`;
    const answer = `Structure:\n${[1, 2, 3].map(layer).join('\n')}`;
    expect(tokenizer.encode(answer)).toHaveLength(13);
  });

  it('marks roles by one token each, and ends with the assistant to speak', () => {
    const [hi, yo, rules] = ['hi', 'yo', 'Be brief.'].map((text) => tokenizer.encode(text)) as [
      number[],
      number[],
      number[],
    ];
    expect(tokenizer.encodeChat([{ role: 'user', content: 'hi' }])).toEqual([USER, ...hi, ASSISTANT]);
    expect(
      tokenizer.encodeChat([
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: 'yo' },
        { role: 'user', content: [{ type: 'text', text: 'hi' }] },
      ]),
    ).toEqual([USER, ...rules, USER, ...hi, ASSISTANT, ...yo, END, USER, ...hi, ASSISTANT]);
  });

  it('names tokens as the vocabulary spells them', () => {
    expect([END, USER, ASSISTANT].map((token) => tokenizer.tokenName(token))).toEqual([
      '<|endoftext|>',
      '<|user|>',
      '<|assistant|>',
    ]);
    expect(tokenizer.tokenName(tokenizer.vocabularySize)).toBeNull();
  });

  it('stops and pads with the end of text', () => {
    expect(tokenizer.stopTokens).toEqual([END]);
    expect(tokenizer.paddingToken).toBe(END);
    expect(tokenizer.decode([...tokenizer.encode('0 1 0'), END])).toBe('0 1 0');
    expect(tokenizer.decode([])).toBe('');
  });
});

describe('loadTokenizer', () => {
  it('takes more ends of text from generation_config.json', async () => {
    const dir = await variant('ends', (d) => writeFile(join(d, 'generation_config.json'), '{"eos_token_id":[1,0]}'));
    expect((await loadTokenizer(dir)).stopTokens).toEqual([0, 1]);
  });

  it('prefers a chat template in a file of its own', async () => {
    const dir = await variant('template', (d) =>
      writeFile(join(d, 'chat_template.jinja'), '{{ messages[0].content }}<|assistant|>'),
    );
    const own = await loadTokenizer(dir);
    expect(own.encodeChat([{ role: 'user', content: 'hi' }])).toEqual([...tokenizer.encode('hi'), ASSISTANT]);
  });

  it('hands a template the arguments of tool calls as objects, and as they are where they are no JSON', async () => {
    const dir = await variant('calls', (d) =>
      writeFile(
        join(d, 'chat_template.jinja'),
        '{% for m in messages %}{% for c in m.tool_calls %}<tool_call>{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}',
      ),
    );
    const calling = await loadTokenizer(dir);
    const said = (args: unknown) =>
      calling.decode(
        calling.encodeChat([
          { role: 'assistant', content: null, tool_calls: [{ function: { name: 'f', arguments: args } }] },
        ]),
      );
    expect(said('{"a":1}')).toBe(said({ a: 1 }));
    expect(said('{"a":1}')).toMatch(/^<tool_call>\{\s*"a":\s*1\s*\}$/);
    expect(said('{"a":')).toBe('<tool_call>"{\\"a\\":"');
  });

  it('keeps folders of one name apart', async () => {
    const first = await variant('a/model', async () => {});
    const second = await variant('b/model', (d) =>
      writeFile(join(d, 'chat_template.jinja'), '<|user|>{% if add_generation_prompt %}{% endif %}'),
    );
    const [one, two] = await Promise.all([loadTokenizer(first), loadTokenizer(second)]);
    expect(one.encodeChat([{ role: 'user', content: 'hi' }])).toHaveLength(2 + tokenizer.encode('hi').length);
    expect(two.encodeChat([{ role: 'user', content: 'hi' }])).toEqual([USER]);
  });

  it('says what a folder lacks', async () => {
    const bare = await variant('bare', (d) => unlink(join(d, 'tokenizer.json')));
    await expect(loadTokenizer(bare)).rejects.toThrow('has no tokenizer.json');
    await expect(loadTokenizer(join(scratch, 'gone'))).rejects.toThrow('has no tokenizer.json');
    const config = '{"tokenizer_class":"PreTrainedTokenizerFast","eos_token":"<|endoftext|>"}';
    const plain = await variant('plain', (d) => writeFile(join(d, 'tokenizer_config.json'), config));
    const loaded = await loadTokenizer(plain);
    expect(() => loaded.encodeChat([{ role: 'user', content: 'hi' }])).toThrow('has no chat template');
  });
});
