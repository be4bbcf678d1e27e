import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadTokenizer, readSafetensors } from '@polymode/policy';
import { findBaseModel } from '@polymode/policy/registry';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeHeader } from '../src/gguf/encode.js';
import { GgufFile } from '../src/gguf/file.js';
import { type GgufModel, type GgufOutput, readGgufModel, writeGguf } from '../src/gguf/index.js';

const FIXTURES = fileURLToPath(new URL('fixtures/gguf', import.meta.url));
const TEXTS = JSON.parse(readFileSync(join(FIXTURES, 'texts.json'), 'utf8')) as string[];

interface Expected {
  readonly tokenizer: { readonly bos: number | null; readonly eos: number; readonly pad: number | null };
  readonly weights: Readonly<Record<string, { readonly shape: readonly number[]; readonly sha256: string }>>;
  readonly ids: readonly (readonly number[])[];
}

/** What each file's config.json must say; sizes are the same in all. */
const CONFIGS: Readonly<Record<string, Record<string, unknown>>> = {
  llama3: {
    model_type: 'llama',
    head_dim: 8,
    num_key_value_heads: 1,
    rope_theta: 100,
    rope_scaling: {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 32,
    },
    tie_word_embeddings: false,
  },
  smollm: { model_type: 'llama', rope_scaling: { rope_type: 'linear', factor: 2 }, tie_word_embeddings: true },
  mistral: { model_type: 'mistral', sliding_window: 16, rope_scaling: null, tie_word_embeddings: false },
  nemo: { model_type: 'llama', head_dim: 6, num_attention_heads: 4, num_key_value_heads: 2, rope_theta: 1e6 },
  qwen2: { model_type: 'qwen2', use_sliding_window: false, rms_norm_eps: 1e-5, tie_word_embeddings: true },
  qwen3: { model_type: 'qwen3', head_dim: 10, tie_word_embeddings: false },
  gpt2: { model_type: 'gpt2', n_embd: 16, n_inner: 24, n_positions: 64, layer_norm_epsilon: 1e-5 },
};

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'polymode-gguf-'));
});
afterAll(() => rmSync(scratch, { recursive: true }));

const pathOf = (name: string): string => join(FIXTURES, `${name}.gguf`);
const expectedOf = (name: string): Expected => JSON.parse(readFileSync(join(FIXTURES, `${name}.json`), 'utf8'));

async function folderOf(model: Pick<GgufModel, 'otherFiles'>, name: string): Promise<string> {
  const dir = join(scratch, name);
  await mkdir(dir, { recursive: true });
  for (const [file, bytes] of model.otherFiles) await writeFile(join(dir, file), bytes);
  return dir;
}

async function bytesOf(output: GgufOutput): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of output) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  expect(bytes.length).toBe(output.byteLength);
  return bytes;
}

async function written(output: GgufOutput, name: string): Promise<string> {
  const path = join(scratch, name);
  await writeFile(path, await bytesOf(output));
  return path;
}

const sha256 = (data: Float32Array): string => createHash('sha256').update(new Uint8Array(data.buffer)).digest('hex');
const jsonOf = (model: GgufModel, name: string) => JSON.parse(new TextDecoder().decode(model.otherFiles.get(name)));

describe.each(Object.keys(CONFIGS))('a GGUF file of %s', (name) => {
  let model: GgufModel;
  const expected = expectedOf(name);
  beforeAll(async () => {
    model = await readGgufModel(pathOf(name));
  });

  it('has the weights of the Hugging Face model, bit for bit', () => {
    const found = Object.entries(model.weights).map(([key, { shape, data }]) => [key, { shape, sha256: sha256(data) }]);
    expect(Object.fromEntries(found)).toEqual(expected.weights);
  });

  it('has its config', () => {
    expect(model.config).toMatchObject(CONFIGS[name]!);
    const { bos, eos, pad } = expected.tokenizer;
    const settings = jsonOf(model, 'tokenizer_config.json');
    expect(model.config).toMatchObject({ eos_token_id: eos, pad_token_id: pad });
    expect(jsonOf(model, 'generation_config.json').eos_token_id).toBe(eos);
    expect(settings.add_bos_token).toBe(bos !== null);
    expect(jsonOf(model, 'config.json')).toEqual(model.config);
  });

  it('gives the tokenizer that the model was made with', async () => {
    const tokenizer = await loadTokenizer(await folderOf(model, name));
    expect(TEXTS.map((text) => tokenizer.encode(text))).toEqual(expected.ids);
    expect(tokenizer.stopTokens).toEqual([expected.tokenizer.eos]);
    expect(tokenizer.decode(tokenizer.encode('Grüße, 漢字 🎉  two'))).toBe('Grüße, 漢字 🎉  two');
  });

  it('is written again with the same tensors and meaning', async () => {
    const output = writeGguf(model, 'F16');
    const path = await written(output, `${name}-again.gguf`);
    const [before, after] = [await GgufFile.open(pathOf(name)), await GgufFile.open(path)];
    try {
      expect([...after.header.tensors.keys()].sort()).toEqual([...before.header.tensors.keys()].sort());
      for (const [key, tensor] of before.header.tensors) {
        expect([key, after.tensor(key).type.name, after.tensor(key).shape]).toEqual([
          key,
          tensor.type.name,
          tensor.shape,
        ]);
        expect(after.tensor(key).offset % 32).toBe(0);
        // The divisors are computed anew, and so may differ in their last bits.
        const places = key === 'rope_freqs.weight' ? 5 : 30;
        const [x, y] = [await before.read(key), await after.read(key)];
        expect(x.every((value, i) => Math.abs(value - y[i]!) < 10 ** -places)).toBe(true);
      }
      for (const [key, value] of before.header.metadata) {
        // Scores are ranks.
        if (key !== 'tokenizer.ggml.scores') expect([key, after.header.metadata.get(key)]).toEqual([key, value]);
      }
    } finally {
      await before.close();
      await after.close();
    }
    const again = await readGgufModel(path);
    expect(again).toEqual(model);
    expect(output.warnings).toHaveLength(name === 'mistral' ? 1 : 0);
    expect(await bytesOf(writeGguf(again, 'F16'))).toEqual(await readFile(path));
  });
});

describe('readGgufModel', () => {
  it('has the chat template, in both places where readers look for it', async () => {
    const model = await readGgufModel(pathOf('qwen2'));
    const template = new TextDecoder().decode(model.otherFiles.get('chat_template.jinja'));
    expect(template).toContain("<|{{ message['role'] }}|>");
    expect(jsonOf(model, 'tokenizer_config.json').chat_template).toBe(template);
    const tokenizer = await loadTokenizer(await folderOf(model, 'chat'));
    const ids = tokenizer.encodeChat([{ role: 'user', content: 'the' }]);
    expect(ids).toEqual(tokenizer.encode('<|user|>the<|end|><|assistant|>'));
    expect(ids).toHaveLength(4);
  });

  it('asks before it reads tensors, and closes the file of a model that is refused', async () => {
    const refuse = (config: Readonly<Record<string, unknown>>): void => {
      throw new Error(`no ${config.model_type}`);
    };
    await expect(readGgufModel(pathOf('qwen3'), refuse)).rejects.toThrow('no qwen3');
  });

  const broken = async (edit: (bytes: Buffer) => void, from = 'qwen2'): Promise<string> => {
    const bytes = await readFile(pathOf(from));
    edit(bytes);
    const path = join(scratch, 'broken.gguf');
    await writeFile(path, bytes);
    return path;
  };
  const replace =
    (text: string, other: string) =>
    (bytes: Buffer): void => {
      expect(other).toHaveLength(text.length);
      for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) bytes.write(other, at);
    };

  it('names an architecture, tokenizer or pre-tokenizer that it has not', async () => {
    const llama4 = await broken(replace('llama', 'mamba'), 'nemo');
    await expect(readGgufModel(llama4)).rejects.toThrow('general.architecture is mamba; supported are llama, qwen2');
    const path = await broken((bytes) =>
      bytes.write('bert', bytes.indexOf('gpt2', bytes.indexOf('tokenizer.ggml.model'))),
    );
    await expect(readGgufModel(path)).rejects.toThrow('tokenizer.ggml.model is bert; supported are gpt2, llama');
    const pre = await broken((bytes) => bytes.write('viking', bytes.indexOf('smollm')), 'smollm');
    await expect(readGgufModel(pre)).rejects.toThrow('tokenizer.ggml.pre is viking, but must be one of gpt-2');
  });

  it('names tensors that are missing, of another shape, or of no use', async () => {
    const missing = await broken(replace('blk.1.ffn_up.weight', 'blk.1.ffn_xx.weight'));
    await expect(readGgufModel(missing)).rejects.toThrow('the file has no tensor blk.1.ffn_up.weight');
    const heads = await broken((bytes) =>
      bytes.writeUInt32LE(4, bytes.indexOf('head_count_kv') + 'head_count_kv'.length + 4),
    );
    await expect(readGgufModel(heads)).rejects.toThrow(
      'tensor blk.0.attn_k.weight has shape [8,16], but the metadata asks',
    );
    const more = await broken(replace('rope_freqs.weight', 'rope_other.weight'), 'llama3');
    await expect(readGgufModel(more)).rejects.toThrow('tensor rope_other.weight has no place');
  });

  it('refuses settings that no config of the family can say', async () => {
    const metadata = [
      { key: 'general.architecture', type: 'string', value: 'llama' },
      { key: 'tokenizer.ggml.model', type: 'string', value: 'gpt2' },
      { key: 'tokenizer.ggml.pre', type: 'string', value: 'smollm' },
      { key: 'tokenizer.ggml.tokens', type: 'strings', value: ['a'] },
      { key: 'tokenizer.ggml.merges', type: 'strings', value: [] },
      { key: 'llama.context_length', type: 'u32', value: 8 },
      { key: 'llama.expert_count', type: 'u32', value: 8 },
    ] as const;
    const path = join(scratch, 'experts.gguf');
    const tensor = { name: 'token_embd.weight', type: 'F32', shape: [1, 8], byteLength: 32 } as const;
    await writeFile(path, Buffer.concat([encodeHeader(metadata, [tensor]), Buffer.alloc(32)]));
    await expect(readGgufModel(path)).rejects.toThrow('metadata key llama.expert_count is 8');
  });

  it('drops a second copy of tied embeddings, which older files have', async () => {
    const model = await readGgufModel(pathOf('gpt2'));
    const embeddings = model.weights['transformer.wte.weight']!;
    const config = { ...model.config, tie_word_embeddings: false };
    const weights = { ...model.weights, 'lm_head.weight': embeddings };
    const path = await written(writeGguf({ ...model, config, weights }, 'F16'), 'copied.gguf');
    expect(await readGgufModel(path)).toEqual(model);
    const other = Float32Array.from(embeddings.data, (x, i) => (i === 5000 ? x + 1 : x));
    const untied = { ...weights, 'lm_head.weight': { shape: embeddings.shape, data: other } };
    const read = await readGgufModel(
      await written(writeGguf({ ...model, config, weights: untied }, 'F16'), 'own.gguf'),
    );
    expect(read.config.tie_word_embeddings).toBe(false);
    expect(sha256(read.weights['lm_head.weight']!.data)).not.toBe(sha256(embeddings.data));
  });
});

describe('writeGguf', () => {
  it('takes the model that ships there and back, its tokenizer in full', async () => {
    const dir = findBaseModel('polymode-tiny')!.dir;
    const names = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'];
    const otherFiles = new Map<string, Uint8Array>();
    for (const name of names) otherFiles.set(name, await readFile(join(dir, name)));
    const config = JSON.parse(new TextDecoder().decode(otherFiles.get('config.json')));
    const weights = readSafetensors(await readFile(join(dir, 'model.safetensors')));
    const output = writeGguf({ config, weights, otherFiles }, 'Q8_0', 'Tiny');
    // Its way to cut text is its own.
    expect(output.warnings).toEqual([expect.stringContaining('llama.cpp cuts text in another way')]);
    const again = await readGgufModel(await written(output, 'tiny.gguf'));
    expect(Object.keys(again.weights).sort()).toEqual(Object.keys(weights).sort());
    for (const [name, { shape, data }] of Object.entries(again.weights)) {
      expect(shape).toEqual(weights[name]!.shape);
      // Q8_0 is off by half of the 127th part of its block's largest, and by the rounding of that scale.
      const bound = shape.length === 1 ? 0 : 0.0045;
      const largest = weights[name]!.data.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      expect(data.every((x, i) => Math.abs(x - weights[name]!.data[i]!) <= bound * largest)).toBe(true);
    }
    const [before, after] = [await loadTokenizer(dir), await loadTokenizer(await folderOf(again, 'tiny'))];
    expect(TEXTS.map((text) => after.encode(text))).toEqual(TEXTS.map((text) => before.encode(text)));
    const chat = [{ role: 'user', content: 'Top view:\n0 1' }];
    expect(after.encodeChat(chat)).toEqual(before.encodeChat(chat));
    expect(after.stopTokens).toEqual(before.stopTokens);
  });

  it('writes Q8_0 where blocks fit, F16 where they do not, and vectors as they are', async () => {
    const model = await readGgufModel(pathOf('nemo')); // hidden 16 does not divide by 32; neither do heads of 4 × 6
    const path = await written(writeGguf(model, 'Q8_0'), 'nemo-q8.gguf');
    const file = await GgufFile.open(path);
    const types = new Set([...file.header.tensors.values()].map(({ type, shape }) => `${type.name} ${shape.length}`));
    await file.close();
    expect(types).toEqual(new Set(['F32 1', 'F16 2']));
  });

  it('says what a file cannot hold', async () => {
    const model = await readGgufModel(pathOf('qwen2'));
    const change = (fields: Record<string, unknown>): (() => GgufOutput) => {
      return () => writeGguf({ ...model, config: { ...model.config, ...fields } }, 'F16');
    };
    expect(change({ model_type: 'bert' })).toThrow('model_type is "bert", but must be one of llama');
    expect(change({ num_hidden_layers: 3 })).toThrow('the weights lack model.layers.2.input_layernorm.weight');
    expect(change({ num_hidden_layers: 1 })).toThrow('the weights have model.layers.1.');
    expect(change({ intermediate_size: 32 })).toThrow(
      'mlp.gate_proj.weight has shape [24,16], but the config asks for [32,16]',
    );
    expect(change({ use_sliding_window: true })).toThrow('use_sliding_window is true');
    expect(change({ rope_scaling: { rope_type: 'yarn', factor: 4 } })).toThrow('rope_scaling is {"rope_type":"yarn"');
    expect(() => writeGguf({ ...model, otherFiles: new Map() }, 'F16')).toThrow('no tokenizer.json');
    const otherFiles = new Map(model.otherFiles);
    otherFiles.set('tokenizer.json', new TextEncoder().encode('{"model":{"type":"Unigram","vocab":[]}}'));
    expect(() => writeGguf({ ...model, otherFiles }, 'F16')).toThrow('model.type is Unigram');
    const large = { shape: [16], data: new Float32Array(16).fill(1e6) };
    const fits = writeGguf({ ...model, weights: { ...model.weights, 'model.norm.weight': large } }, 'F16');
    await expect(bytesOf(fits)).resolves.toBeInstanceOf(Buffer); // vectors stay float32
    const name = 'model.layers.0.mlp.up_proj.weight';
    const matrix = { shape: [24, 16], data: new Float32Array(24 * 16).fill(1e6) };
    const output = writeGguf({ ...model, weights: { ...model.weights, [name]: matrix } }, 'F16');
    await expect(bytesOf(output)).rejects.toThrow(`tensor ${name} has the value 1000000, which F16 cannot hold`);
  });
});
