import { boolean, integer, number } from './config-fields.js';
import type { Config, GgufFamily, TensorPlan } from './families.js';

/** GPT-2: LayerNorm, learned positions, one matrix for queries, keys and values. */
export const gpt2: GgufFamily = {
  ignored: null,

  readConfig(metadata, header) {
    const width = metadata.integer('gpt2.embedding_length');
    const context = metadata.integer('gpt2.context_length');
    return {
      architectures: ['GPT2LMHeadModel'],
      model_type: 'gpt2',
      activation_function: 'gelu_new',
      vocab_size: header.tensors.get('token_embd.weight')?.shape[0] ?? 0,
      n_embd: width,
      n_layer: metadata.integer('gpt2.block_count'),
      n_head: metadata.integer('gpt2.attention.head_count'),
      n_inner: metadata.integer('gpt2.feed_forward_length', 4 * width),
      n_positions: context,
      n_ctx: context,
      layer_norm_epsilon: metadata.float('gpt2.attention.layer_norm_epsilon'),
      tie_word_embeddings: !header.tensors.has('output.weight'),
    };
  },

  tensors(config) {
    const d = integer(config, 'n_embd', 768);
    const f = integer(config, 'n_inner', 4 * d);
    const v = integer(config, 'vocab_size', 50257);
    const plans: TensorPlan[] = [
      { gguf: 'token_embd.weight', huggingFace: 'transformer.wte.weight', shape: [v, d], layout: 'same' },
      {
        gguf: 'position_embd.weight',
        huggingFace: 'transformer.wpe.weight',
        shape: [positions(config), d],
        layout: 'same',
        exact: true,
      },
    ];
    const vector = (gguf: string, huggingFace: string, size: number): void => {
      plans.push({ gguf, huggingFace, shape: [size], layout: 'same' });
    };
    const norm = (gguf: string, huggingFace: string): void => {
      vector(`${gguf}.weight`, `${huggingFace}.weight`, d);
      vector(`${gguf}.bias`, `${huggingFace}.bias`, d);
    };
    const linear = (gguf: string, huggingFace: string, inputs: number, outputs: number): void => {
      plans.push({
        gguf: `${gguf}.weight`,
        huggingFace: `${huggingFace}.weight`,
        shape: [inputs, outputs],
        layout: 'transposed',
      });
      vector(`${gguf}.bias`, `${huggingFace}.bias`, outputs);
    };
    for (let i = 0; i < integer(config, 'n_layer', 12); i++) {
      norm(`blk.${i}.attn_norm`, `transformer.h.${i}.ln_1`);
      linear(`blk.${i}.attn_qkv`, `transformer.h.${i}.attn.c_attn`, d, 3 * d);
      linear(`blk.${i}.attn_output`, `transformer.h.${i}.attn.c_proj`, d, d);
      norm(`blk.${i}.ffn_norm`, `transformer.h.${i}.ln_2`);
      linear(`blk.${i}.ffn_up`, `transformer.h.${i}.mlp.c_fc`, d, f);
      linear(`blk.${i}.ffn_down`, `transformer.h.${i}.mlp.c_proj`, f, d);
    }
    norm('output_norm', 'transformer.ln_f');
    if (!boolean(config, 'tie_word_embeddings', true)) {
      plans.push({ gguf: 'output.weight', huggingFace: 'lm_head.weight', shape: [v, d], layout: 'same' });
    }
    return plans;
  },

  writeConfig(config) {
    const d = integer(config, 'n_embd', 768);
    return [
      { key: 'gpt2.context_length', type: 'u32', value: positions(config) },
      { key: 'gpt2.embedding_length', type: 'u32', value: d },
      { key: 'gpt2.block_count', type: 'u32', value: integer(config, 'n_layer', 12) },
      { key: 'gpt2.feed_forward_length', type: 'u32', value: integer(config, 'n_inner', 4 * d) },
      { key: 'gpt2.attention.head_count', type: 'u32', value: integer(config, 'n_head', 12) },
      { key: 'gpt2.attention.layer_norm_epsilon', type: 'f32', value: number(config, 'layer_norm_epsilon', 1e-5) },
    ];
  },
};

const positions = (config: Config): number => integer(config, 'n_positions', 1024);
