// How long the arithmetic and the memory traffic of each figure take at the machine's ceilings.

/**
 * Seconds at the ceilings: every product at the speed of a large matrix product; while decoding, each position reads all
 * weights once, unless its products take longer than that.
 *
 * Counted: products with weights, attention scores and their sums (the half below the diagonal), the vocabulary at
 * completion positions. With an adapter the backward pass needs no gradient of the weights; its own products, a few in a
 * hundred, are left out. Anything else in a model is left out too, so 100 % cannot be reached.
 *
 * @param config config.json of a Llama
 */
export function idealSeconds(config, { gemmGflops, memoryGbPerS }, { promptTokens, completionTokens, group }) {
  const { hidden_size: d, intermediate_size: f, num_hidden_layers: layers, vocab_size: vocabulary } = config;
  const heads = config.num_attention_heads * config.head_dim;
  const keys = config.num_key_value_heads * config.head_dim;
  const perLayer = d * (2 * heads + 2 * keys + 3 * f);
  const weights = layers * perLayer;
  const rate = gemmGflops * 1e9;

  // Scores and sums: 4 operations for each pair of positions and each value of a head.
  const attention = (pairs) => 4 * pairs * heads * layers;
  const promptPairs = promptTokens ** 2 / 2;
  const completionPairs = completionTokens * (promptTokens + completionTokens / 2);
  const head = 2 * vocabulary * d;

  const sharedRows = promptTokens + group * completionTokens;
  const repeatedRows = group * (promptTokens + completionTokens);
  const logits = head * group * completionTokens;
  const forward = {
    shared: 2 * weights * sharedRows + attention(promptPairs + group * completionPairs),
    repeated: 2 * weights * repeatedRows + attention(group * (promptPairs + completionPairs)),
  };
  const attentionOf = {
    shared: attention(promptPairs + group * completionPairs),
    repeated: attention(group * (promptPairs + completionPairs)),
  };
  // Backward: gradients of what goes in, and for attention of both factors.
  const gradient = (kind) => (2 * forward[kind] + attentionOf[kind] + 2 * logits) / rate;

  const prefill = (2 * weights * promptTokens + attention(promptPairs)) / rate;
  const stepProducts = (group * (2 * weights + head) + attention((group * completionPairs) / completionTokens)) / rate;
  const stepReads = (4 * (weights + vocabulary * d)) / (memoryGbPerS * 1e9);
  const sampling = prefill + completionTokens * Math.max(stepProducts, stepReads);
  return {
    sampling,
    gradient_shared: gradient('shared'),
    gradient_repeated: gradient('repeated'),
    grpo_step: sampling + gradient('shared'),
  };
}
