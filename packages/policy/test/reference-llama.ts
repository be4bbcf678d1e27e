import type { ModelConfig, Weights } from '@polymode/policy';

/**
 * Llama in plain float64 loops, one token after the other, written from the papers and sharing nothing with the
 * package but parameter names: an independent oracle for logits, log-probabilities and (by differences) gradients.
 */
export type Weights64 = Record<string, { shape: readonly number[]; data: Float64Array }>;

export function toFloat64(weights: Weights): Weights64 {
  return Object.fromEntries(
    Object.entries(weights).map(([name, w]) => [name, { shape: w.shape, data: Float64Array.from(w.data) }]),
  );
}

/** Logits after every token of one sequence: [time][vocabulary]. */
export function referenceLogits(config: ModelConfig, weights: Weights64, tokens: readonly number[]): Float64Array[] {
  const { hiddenSize: d, headDim, numAttentionHeads: heads, numKeyValueHeads: groups } = config;
  const w = (name: string): Float64Array => weights[name]!.data;
  const cache = Array.from({ length: config.numHiddenLayers }, () => ({
    k: [] as Float64Array[],
    v: [] as Float64Array[],
  }));
  const head = config.tieWordEmbeddings ? w('model.embed_tokens.weight') : w('lm_head.weight');

  return tokens.map((token, t) => {
    let x: Float64Array = w('model.embed_tokens.weight').slice(token * d, (token + 1) * d);
    for (let i = 0; i < config.numHiddenLayers; i++) {
      const p = (name: string): Float64Array => w(`model.layers.${i}.${name}.weight`);
      const a = norm(x, p('input_layernorm'), config.normEpsilon);
      const q = turn(times(p('self_attn.q_proj'), a), heads, headDim, t, config.rotary!.theta);
      cache[i]!.k.push(turn(times(p('self_attn.k_proj'), a), groups, headDim, t, config.rotary!.theta));
      cache[i]!.v.push(times(p('self_attn.v_proj'), a));
      const joined = new Float64Array(heads * headDim);
      for (let h = 0; h < heads; h++) {
        const g = Math.floor(h / (heads / groups));
        const scores = cache[i]!.k.map((k) => {
          let s = 0;
          for (let j = 0; j < headDim; j++) s += q[h * headDim + j]! * k[g * headDim + j]!;
          return s / Math.sqrt(headDim);
        });
        const top = Math.max(...scores);
        const e = scores.map((s) => Math.exp(s - top));
        const total = e.reduce((s, v) => s + v, 0);
        for (const [u, v] of cache[i]!.v.entries()) {
          for (let j = 0; j < headDim; j++) joined[h * headDim + j]! += (e[u]! / total) * v[g * headDim + j]!;
        }
      }
      x = plus(x, times(p('self_attn.o_proj'), joined));
      const b = norm(x, p('post_attention_layernorm'), config.normEpsilon);
      const gate = times(p('mlp.gate_proj'), b);
      const up = times(p('mlp.up_proj'), b);
      x = plus(
        x,
        times(
          p('mlp.down_proj'),
          gate.map((v, j) => (v / (1 + Math.exp(-v))) * up[j]!),
        ),
      );
    }
    return times(head, norm(x, w('model.norm.weight'), config.normEpsilon));
  });
}

/** log softmax(logits / temperature)[target] */
export function logProbability(logits: Float64Array, target: number, temperature = 1): number {
  const scaled = Array.from(logits, (l) => l / temperature);
  const top = Math.max(...scaled);
  return scaled[target]! - top - Math.log(scaled.reduce((s, l) => s + Math.exp(l - top), 0));
}

/** matrix [out, in] times vector [in] */
function times(matrix: Float64Array, x: Float64Array): Float64Array {
  const out = new Float64Array(matrix.length / x.length);
  for (let o = 0; o < out.length; o++) {
    let s = 0;
    for (let i = 0; i < x.length; i++) s += matrix[o * x.length + i]! * x[i]!;
    out[o] = s;
  }
  return out;
}

const plus = (a: Float64Array, b: Float64Array): Float64Array => a.map((v, i) => v + b[i]!);

function norm(x: Float64Array, weight: Float64Array, epsilon: number): Float64Array {
  const square = x.reduce((s, v) => s + v * v, 0) / x.length;
  return x.map((v, i) => (v / Math.sqrt(square + epsilon)) * weight[i]!);
}

/** Rotates the pairs (j, j + D/2) of every head by position · θ^(−2j/D). */
function turn(x: Float64Array, heads: number, headDim: number, position: number, theta: number): Float64Array {
  const out = new Float64Array(x.length);
  for (let h = 0; h < heads; h++) {
    for (let j = 0; j < headDim / 2; j++) {
      const angle = position / theta ** ((2 * j) / headDim);
      const [a, b] = [x[h * headDim + j]!, x[h * headDim + j + headDim / 2]!];
      out[h * headDim + j] = a * Math.cos(angle) - b * Math.sin(angle);
      out[h * headDim + j + headDim / 2] = b * Math.cos(angle) + a * Math.sin(angle);
    }
  }
  return out;
}
