/** What the graph builders need of a Hugging Face `config.json` of a Llama. */
export interface LlamaConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  /** even: rotary positions turn pairs */
  readonly headDim: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly tieWordEmbeddings: boolean;
  readonly maxPositionEmbeddings: number;
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
}

/** A config asks for something that this package cannot run, or lacks something; names the field and its value. */
export class UnsupportedConfigError extends Error {
  override name = 'UnsupportedConfigError';
  constructor(
    readonly field: string,
    readonly value: unknown,
    wanted: string,
  ) {
    super(`config.json: ${field} is ${value === undefined ? 'missing' : JSON.stringify(value)}, but must be ${wanted}`);
  }
}

type Json = Readonly<Record<string, unknown>>;

/** @throws UnsupportedConfigError */
export function parseLlamaConfig(json: unknown): LlamaConfig {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new UnsupportedConfigError('the file', json, 'a JSON object');
  }
  const config = json as Json;
  requireOneOf(config, 'model_type', ['llama']);
  const { architectures } = config;
  if (Array.isArray(architectures) && !architectures.includes('LlamaForCausalLM')) {
    throw new UnsupportedConfigError('architectures', architectures, 'LlamaForCausalLM');
  }
  requireOneOf(config, 'hidden_act', ['silu', 'swish', undefined]);
  requireOneOf(config, 'attention_bias', [false, null, undefined]);
  requireOneOf(config, 'mlp_bias', [false, null, undefined]);
  requireOneOf(config, 'quantization_config', [null, undefined]);
  requireOneOf(config, 'partial_rotary_factor', [1, null, undefined]);

  const hiddenSize = positiveInteger(config, 'hidden_size');
  const numAttentionHeads = positiveInteger(config, 'num_attention_heads');
  const numKeyValueHeads = positiveInteger(config, 'num_key_value_heads', numAttentionHeads);
  if (numAttentionHeads % numKeyValueHeads !== 0) {
    throw new UnsupportedConfigError(
      'num_key_value_heads',
      numKeyValueHeads,
      `a divisor of ${numAttentionHeads} heads`,
    );
  }
  if (typeof config.head_dim !== 'number' && hiddenSize % numAttentionHeads !== 0) {
    throw new UnsupportedConfigError(
      'head_dim',
      config.head_dim,
      `given: ${numAttentionHeads} heads do not divide hidden_size ${hiddenSize}`,
    );
  }
  const headDim = positiveInteger(config, 'head_dim', hiddenSize / numAttentionHeads);
  if (headDim % 2 !== 0) throw new UnsupportedConfigError('head_dim', headDim, 'even');
  return {
    vocabSize: positiveInteger(config, 'vocab_size'),
    hiddenSize,
    intermediateSize: positiveInteger(config, 'intermediate_size'),
    numHiddenLayers: positiveInteger(config, 'num_hidden_layers'),
    numAttentionHeads,
    numKeyValueHeads,
    headDim,
    rmsNormEps: positive(config.rms_norm_eps ?? 1e-6, 'rms_norm_eps'),
    ropeTheta: ropeTheta(config),
    tieWordEmbeddings: config.tie_word_embeddings === true,
    maxPositionEmbeddings: positiveInteger(config, 'max_position_embeddings', 2048),
    bosTokenId: typeof config.bos_token_id === 'number' ? config.bos_token_id : null,
    eosTokenIds: tokenIds(config.eos_token_id),
  };
}

/** Token ids as `eos_token_id` gives them: none, one or several. */
export function tokenIds(value: unknown): number[] {
  const list = Array.isArray(value) ? value : [value];
  return list.filter((id): id is number => Number.isInteger(id));
}

/** θ stands at the top, or since transformers 5 in `rope_parameters`; any scaling of it is refused. */
function ropeTheta(config: Json): number {
  for (const field of ['rope_scaling', 'rope_parameters'] as const) {
    const value = config[field];
    if (value === undefined || value === null) continue;
    if (typeof value !== 'object') throw new UnsupportedConfigError(field, value, 'null or of type default');
    const { rope_type: type, type: oldType, rope_theta: theta, ...rest } = value as Json;
    const kind = type ?? oldType ?? 'default';
    if (kind !== 'default' || Object.keys(rest).some((k) => k !== 'partial_rotary_factor')) {
      throw new UnsupportedConfigError(field, value, 'null or of type default');
    }
    if (theta !== undefined) return positive(theta, `${field}.rope_theta`);
  }
  return positive(config.rope_theta ?? 10000, 'rope_theta');
}

function requireOneOf(config: Json, field: string, allowed: readonly unknown[]): void {
  if (allowed.includes(config[field])) return;
  const named = allowed.filter((v) => v !== undefined).map((v) => JSON.stringify(v));
  throw new UnsupportedConfigError(field, config[field], named.join(' or '));
}

function positiveInteger(config: Json, field: string, fallback?: number): number {
  const value = config[field] ?? fallback;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1) {
    throw new UnsupportedConfigError(field, config[field], 'a positive integer');
  }
  return value;
}

function positive(value: unknown, field: string): number {
  if (typeof value !== 'number' || !(value > 0) || !Number.isFinite(value)) {
    throw new UnsupportedConfigError(field, value, 'a positive number');
  }
  return value;
}
