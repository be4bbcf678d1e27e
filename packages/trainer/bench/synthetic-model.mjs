import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parameterShapes, parseModelConfig, writeSafetensors } from '@polymode/policy';

/** The shape of SmolLM2-135M. */
const CONFIG = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 49152,
  hidden_size: 576,
  intermediate_size: 1536,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  head_dim: 64,
  hidden_act: 'silu',
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-5,
  rope_theta: 100000,
  attention_bias: false,
  mlp_bias: false,
  tie_word_embeddings: true,
  bos_token_id: 0,
  eos_token_id: 0,
  pad_token_id: 0,
  torch_dtype: 'float32',
};
const DEVIATION = 0.02;

/**
 * A Hugging Face folder of SmolLM2-135M's shape with random weights and a tokenizer of single bytes. Nearly uniform
 * distributions follow, so that its stop token hardly ever comes. Equal options give equal bytes.
 *
 * @param shape fields of config.json that are to be otherwise
 */
export async function makeSyntheticModel(dir, layers = 30, shape = {}) {
  const json = { ...CONFIG, ...shape, num_hidden_layers: layers };
  const weights = {};
  let seed = 1;
  for (const [name, shape] of Object.entries(parameterShapes(parseModelConfig(json)))) {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    if (shape.length === 1) data.fill(1);
    else fillUniform(data, seed++);
    weights[name] = { shape, data };
  }
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, 'model.safetensors'), writeSafetensors(weights));
  await writeFile(join(dir, 'config.json'), JSON.stringify(json));
  await writeFile(join(dir, 'generation_config.json'), JSON.stringify({ eos_token_id: 0, pad_token_id: 0 }));
  await writeFile(join(dir, 'tokenizer.json'), JSON.stringify(byteTokenizer(json.vocab_size)));
  await writeFile(
    join(dir, 'tokenizer_config.json'),
    JSON.stringify({
      tokenizer_class: 'PreTrainedTokenizerFast',
      bos_token: END,
      eos_token: END,
      pad_token: END,
      chat_template: `{% for message in messages %}{{ message['content'] }}${END}{% endfor %}`,
    }),
  );
}

/** Uniform with the deviation of a fresh model, by Marsaglia's xorshift: quick, and good enough to be timed. */
function fillUniform(data, seed) {
  let x = seed * 2654435761;
  const scale = (DEVIATION * Math.sqrt(12)) / 2 ** 32;
  for (let i = 0; i < data.length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    data[i] = x * scale;
  }
}

const END = '<|endoftext|>';

/** One token for each byte, and tokens that no text has up to the size of the vocabulary. */
function byteTokenizer(size) {
  const special = {
    id: 0,
    content: END,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  };
  const tokens = [END, ...byteCharacters()];
  while (tokens.length < size) tokens.push(`<${tokens.length}>`);
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [special],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: [],
    },
  };
}

/** The printable character that stands for each byte in byte-level tokenizers: its own, or one from 256 on. */
function byteCharacters() {
  const printable = (b) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(printable(b) ? b : next++));
}
