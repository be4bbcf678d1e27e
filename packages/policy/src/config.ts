/** What the graph builders need of a Hugging Face `config.json`, whatever the family. */
export interface ModelConfig {
  readonly family: FamilyName;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  /** even where positions are rotary, which turn pairs */
  readonly headDim: number;
  readonly normEpsilon: number;
  /** null where positions are learned */
  readonly rotary: RotaryConfig | null;
  /** per layer: how many tokens back a token sees, itself included; null sees everything before it */
  readonly slidingWindows: readonly (number | null)[];
  readonly tieWordEmbeddings: boolean;
  readonly maxPositionEmbeddings: number;
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
}

export type FamilyName = 'llama' | 'qwen2' | 'qwen3' | 'mistral' | 'gpt2';

export interface RotaryConfig {
  readonly theta: number;
  readonly scaling: RotaryScaling | null;
}

/** How the angles of rotary positions are stretched, as `rope_scaling` names it. */
export type RotaryScaling =
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalMaxPositionEmbeddings: number;
    };

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

/** Reads the fields of a `config.json`, and throws UnsupportedConfigError for the first that does not fit. */
export class ConfigReader {
  private readonly json: Readonly<Record<string, unknown>>;

  constructor(json: unknown) {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      throw new UnsupportedConfigError('the file', json, 'a JSON object');
    }
    this.json = json as Readonly<Record<string, unknown>>;
  }

  get(field: string): unknown {
    return this.json[field];
  }

  /** `undefined` among the allowed values lets the field be missing, as `null` lets it be null. */
  requireOneOf(field: string, allowed: readonly unknown[]): void {
    if (allowed.includes(this.json[field])) return;
    const named = allowed.filter((v) => v !== undefined).map((v) => JSON.stringify(v));
    throw new UnsupportedConfigError(field, this.json[field], named.join(' or '));
  }

  requireArchitecture(name: string): void {
    const { architectures } = this.json;
    if (Array.isArray(architectures) && !architectures.includes(name)) {
      throw new UnsupportedConfigError('architectures', architectures, name);
    }
  }

  positiveInteger(field: string, fallback?: number): number {
    const value = this.json[field] ?? fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1) {
      throw new UnsupportedConfigError(field, this.json[field], 'a positive integer');
    }
    return value;
  }

  positive(field: string, fallback?: number): number {
    return positive(this.json[field] ?? fallback, field);
  }

  boolean(field: string, fallback: boolean): boolean {
    const value = this.json[field] ?? fallback;
    if (typeof value !== 'boolean') throw new UnsupportedConfigError(field, value, 'true or false');
    return value;
  }

  /** Token ids that begin and end a text. */
  specialTokens(): Pick<ModelConfig, 'bosTokenId' | 'eosTokenIds'> {
    const bos = this.json.bos_token_id;
    return { bosTokenId: typeof bos === 'number' ? bos : null, eosTokenIds: tokenIds(this.json.eos_token_id) };
  }

  /** Heads of queries and of keys, and their size. @param headDimFallback where `head_dim` is missing */
  heads(
    hiddenSize: number,
    headDimFallback?: number,
  ): Pick<ModelConfig, 'numAttentionHeads' | 'numKeyValueHeads' | 'headDim'> {
    const numAttentionHeads = this.positiveInteger('num_attention_heads');
    const numKeyValueHeads = this.positiveInteger('num_key_value_heads', numAttentionHeads);
    if (numAttentionHeads % numKeyValueHeads !== 0) {
      throw new UnsupportedConfigError(
        'num_key_value_heads',
        numKeyValueHeads,
        `a divisor of ${numAttentionHeads} heads`,
      );
    }
    const given = this.json.head_dim;
    const derived = hiddenSize / numAttentionHeads;
    if (typeof given !== 'number' && headDimFallback === undefined && !Number.isInteger(derived)) {
      throw new UnsupportedConfigError(
        'head_dim',
        given,
        `given: ${numAttentionHeads} heads do not divide hidden_size ${hiddenSize}`,
      );
    }
    const headDim = this.positiveInteger('head_dim', headDimFallback ?? derived);
    if (headDim % 2 !== 0) throw new UnsupportedConfigError('head_dim', headDim, 'even');
    return { numAttentionHeads, numKeyValueHeads, headDim };
  }

  /** θ stands at the top, or since transformers 5 in `rope_parameters`. */
  rotary(): RotaryConfig {
    let theta = this.json.rope_theta;
    for (const field of ['rope_scaling', 'rope_parameters'] as const) {
      const value = this.json[field];
      if (value === undefined || value === null) continue;
      if (typeof value !== 'object') throw new UnsupportedConfigError(field, value, 'null or an object');
      const settings = new ConfigReader(value);
      theta = settings.get('rope_theta') ?? theta;
      const type = settings.get('rope_type') ?? settings.get('type') ?? 'default';
      if (type === 'default') continue;
      return { theta: positive(theta ?? 10000, 'rope_theta'), scaling: this.scaling(field, type, settings) };
    }
    return { theta: positive(theta ?? 10000, 'rope_theta'), scaling: null };
  }

  private scaling(field: string, type: unknown, settings: ConfigReader): RotaryScaling {
    const number = (name: string): number => positive(settings.get(name), `${field}.${name}`);
    if (type === 'linear') return { type, factor: number('factor') };
    if (type === 'llama3') {
      return {
        type,
        factor: number('factor'),
        lowFrequencyFactor: number('low_freq_factor'),
        highFrequencyFactor: number('high_freq_factor'),
        originalMaxPositionEmbeddings: number('original_max_position_embeddings'),
      };
    }
    throw new UnsupportedConfigError(`${field}.rope_type`, type, '"default", "linear" or "llama3"');
  }

  /** `layer_types`, where a config has it, says which layers slide. */
  slidingWindows(layers: number, window: number | null, slides: (layer: number) => boolean): (number | null)[] {
    const types = this.json.layer_types;
    if (types === undefined || types === null) {
      return Array.from({ length: layers }, (_, i) => (window !== null && slides(i) ? window : null));
    }
    if (!Array.isArray(types) || types.length !== layers) {
      throw new UnsupportedConfigError('layer_types', types, `a list of ${layers}`);
    }
    return types.map((type: unknown) => {
      if (type === 'full_attention') return null;
      if (type !== 'sliding_attention') {
        throw new UnsupportedConfigError('layer_types', types, 'full_attention or sliding_attention in each layer');
      }
      return this.positiveInteger('sliding_window', window ?? undefined);
    });
  }
}

/** Token ids as `eos_token_id` gives them: none, one or several. */
export function tokenIds(value: unknown): number[] {
  const list = Array.isArray(value) ? value : [value];
  return list.filter((id): id is number => Number.isInteger(id));
}

function positive(value: unknown, field: string): number {
  if (typeof value !== 'number' || !(value > 0) || !Number.isFinite(value)) {
    throw new UnsupportedConfigError(field, value, 'a positive number');
  }
  return value;
}
