import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadTokenizer, readModel, type Tokenizer, tokenizerOf } from '@polymode/policy';
import { findBaseModel } from '@polymode/policy/registry';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const FIXTURES = fileURLToPath(new URL('fixtures/gguf', import.meta.url));
const TOKENIZERS = ['polymode-tiny', 'gpt2', 'llama3', 'mistral', 'nemo', 'qwen2', 'qwen3', 'smollm'];

async function tokenizerNamed(name: string): Promise<Tokenizer> {
  if (name === 'polymode-tiny') return loadTokenizer(findBaseModel(name)!.dir);
  return tokenizerOf((await readModel(join(FIXTURES, `${name}.gguf`))).otherFiles);
}

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'polymode-token-bytes-'));
});
afterAll(() => rm(scratch, { recursive: true }));

const text = fc.string({ unit: 'grapheme', maxLength: 40 });

describe.each(TOKENIZERS)('the bytes of tokens of %s', (name) => {
  let tokenizer: Tokenizer;
  const joined = (tokens: readonly number[]): Buffer =>
    Buffer.concat(tokens.map((token) => tokenizer.tokenBytes(token) ?? Buffer.alloc(0)));
  beforeAll(async () => {
    tokenizer = await tokenizerNamed(name);
  });

  it('make up the text that they encode', () => {
    fc.assert(
      fc.property(text, (given) => {
        fc.pre(!given.includes('<'));
        const tokens = tokenizer.encode(given);
        // SentencePiece's tokenizer puts a space first, and its decoder takes it off; Qwen's composes characters.
        expect(joined(tokens).toString().replace(/^ +/, '')).toBe(tokenizer.decode(tokens).replace(/^ +/, ''));
        expect(joined(tokens).toString().normalize().trim()).toBe(given.normalize().trim());
      }),
      { numRuns: 300 },
    );
  });

  it('are what any tokens decode to, whole characters or not', () => {
    const token = fc.nat({ max: tokenizer.vocabularySize - 1 });
    const lossy = new TextDecoder('utf-8', { ignoreBOM: true });
    // Decoders that fall back to bytes read each run of them on its own, and drop a byte order mark.
    const plain = (s: string): string => s.replace(/[\ufeff\ufffd]+/g, '').replace(/^ +/, '');
    fc.assert(
      fc.property(fc.array(token, { minLength: 1, maxLength: 12 }), (tokens) => {
        expect(plain(lossy.decode(joined(tokens)))).toBe(plain(tokenizer.decode(tokens)));
      }),
      { numRuns: 500 },
    );
  });

  it('are one for each byte there is, and none for special tokens or no token', () => {
    const single = new Set<number>();
    for (let id = 0; id < tokenizer.vocabularySize; id++) {
      const bytes = tokenizer.tokenBytes(id);
      if (bytes?.length === 1) single.add(bytes[0]!);
    }
    expect(single.size).toBe(256);
    for (const stop of tokenizer.stopTokens) expect(tokenizer.tokenBytes(stop)).toBeNull();
    expect(tokenizer.tokenBytes(tokenizer.vocabularySize + 1000)).toBeNull();
    expect(tokenizer.tokenBytes(-1)).toBeNull();
  });
});

describe('tokenBytes', () => {
  const load = async (name: string, json: object, config: object = {}): Promise<Tokenizer> => {
    const dir = join(scratch, name);
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, 'tokenizer.json'), JSON.stringify(json));
    const settings = { tokenizer_class: 'PreTrainedTokenizerFast', eos_token: '</s>', ...config };
    await writeFile(join(dir, 'tokenizer_config.json'), JSON.stringify(settings));
    return loadTokenizer(dir);
  };
  const added = (id: number, content: string, special: boolean) => ({ id, content, special, normalized: false });
  const parts = { normalizer: null, pre_tokenizer: null, post_processor: null };

  it('takes added tokens as they are written, in any alphabet', async () => {
    const tokenizer = await load('added', {
      ...parts,
      added_tokens: [added(0, '</s>', true), added(1, '<tool_call>', false), added(2, 'Ġé', false)],
      decoder: { type: 'ByteLevel' },
      model: { type: 'BPE', vocab: { '</s>': 0, Ġa: 3, Ã: 4 }, merges: [] },
    });
    const read = [1, 2, 3].map((id) => Buffer.from(tokenizer.tokenBytes(id)!).toString());
    expect(read).toEqual(['<tool_call>', 'Ġé', ' a']);
    expect(read.slice(0, 2)).toEqual([1, 2].map((id) => tokenizer.decode([id])));
    expect(tokenizer.tokenBytes(4)).toEqual(Uint8Array.of(0xc3));
    expect(tokenizer.tokenBytes(0)).toBeNull();
  });

  it('leaves out tokens that only the configuration calls special', async () => {
    const json = {
      ...parts,
      added_tokens: [added(0, '</s>', true), added(1, '<x>', false)],
      decoder: { type: 'ByteLevel' },
      model: { type: 'BPE', vocab: { '</s>': 0, '<x>': 1, a: 2 }, merges: [] },
    };
    const tokenizer = await load('config', json, { additional_special_tokens: ['<x>'] });
    expect(tokenizer.tokenBytes(1)).toBeNull();
    expect(tokenizer.decode([1, 2])).toBe('a');
  });

  it('reads SentencePiece with a Metaspace decoder', async () => {
    const tokenizer = await load('metaspace', {
      ...parts,
      added_tokens: [added(0, '</s>', true)],
      decoder: { type: 'Metaspace', replacement: '▁', add_prefix_space: true },
      model: { type: 'BPE', vocab: { '</s>': 0, '▁a▁': 1 }, merges: [] },
    });
    expect(Buffer.from(tokenizer.tokenBytes(1)!).toString()).toBe(' a ');
  });

  it('says which decoder gives tokens no bytes of their own', async () => {
    const tokenizer = await load('word-piece', {
      ...parts,
      added_tokens: [added(0, '</s>', true)],
      decoder: { type: 'WordPiece', prefix: '##', cleanup: false },
      model: { type: 'BPE', vocab: { '</s>': 0, a: 1 }, merges: [] },
    });
    expect(() => tokenizer.tokenBytes(1)).toThrow("the tokenizer's decoder is WordPiece");
  });
});
