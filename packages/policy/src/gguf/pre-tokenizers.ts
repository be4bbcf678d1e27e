/** How a byte-level BPE cuts text before it merges, as `tokenizer.ggml.pre` names it. */
export interface PreTokenizer {
  /** llama.cpp's names for it; files are written with the first */
  readonly names: readonly string[];
  /** of tokenizer.json */
  readonly normalizer: { readonly type: 'NFC' } | null;
  readonly cuts: readonly Cut[];
  /** a piece that is a token is taken whole, merges or not */
  readonly ignoreMerges: boolean;
  /** what llama.cpp does where `tokenizer.ggml.add_bos_token` is missing */
  readonly addsBos: boolean;
}

/** One step: a regular expression whose matches stand alone, or GPT-2's own. */
export type Cut = { readonly regex: string } | 'gpt-2';

/** Each digit stands alone. transformers.js's own step for this knows the ten of ASCII only. */
const DIGITS = '\\p{N}';

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const NO_WORD = '[^\\r\\n\\p{L}\\p{N}]?';
const [UPPER, LOWER] = ['[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]', '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]'];
const SPACES = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

/** Words, up to `digits` digits, punctuation, spaces: GPT-4's expression and those after it. */
const words = (digits: string): string =>
  `${CONTRACTIONS}|${NO_WORD}\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${SPACES}`;

export const preTokenizers: readonly PreTokenizer[] = [
  {
    names: ['gpt-2', 'default', 'phi-2', 'olmo', 'mpt'],
    normalizer: null,
    cuts: ['gpt-2'],
    ignoreMerges: false,
    addsBos: false,
  },
  {
    names: ['smollm', 'starcoder', 'refact', 'codeshell'],
    normalizer: null,
    cuts: [{ regex: DIGITS }, 'gpt-2'],
    ignoreMerges: false,
    addsBos: false,
  },
  {
    names: ['llama-bpe', 'llama3', 'llama-v3', 'falcon3'],
    normalizer: null,
    cuts: [{ regex: words('\\p{N}{1,3}') }],
    ignoreMerges: true,
    addsBos: true,
  },
  {
    names: ['qwen2', 'megrez'],
    normalizer: { type: 'NFC' },
    cuts: [{ regex: words('\\p{N}') }],
    ignoreMerges: false,
    addsBos: false,
  },
  {
    names: ['deepseek-r1-qwen'],
    normalizer: null,
    cuts: [{ regex: words('\\p{N}') }],
    ignoreMerges: false,
    addsBos: false,
  },
  {
    names: ['tekken'],
    normalizer: null,
    cuts: [
      {
        regex: `${NO_WORD}${UPPER}*${LOWER}+|${NO_WORD}${UPPER}+${LOWER}*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`,
      },
    ],
    ignoreMerges: true,
    addsBos: true,
  },
];

/** What an architecture's files mean that were written before the name was recorded. */
export const unnamedPreTokenizer: ReadonlyMap<string, string> = new Map([
  ['gpt2', 'gpt-2'],
  ['qwen2', 'qwen2'],
  ['qwen3', 'qwen2'],
]);

/** `pre_tokenizer` of tokenizer.json. */
export function preTokenizerJson(cuts: readonly Cut[]): unknown {
  const last = cuts.at(-1);
  const steps: unknown[] = cuts.flatMap((cut): unknown[] => {
    if (cut === 'gpt-2') return [];
    return [{ type: 'Split', pattern: { Regex: cut.regex }, behavior: 'Isolated', invert: false }];
  });
  steps.push({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: last === 'gpt-2' });
  return steps.length === 1 ? steps[0] : { type: 'Sequence', pretokenizers: steps };
}

/** The inverse; null for steps of another kind. */
export function cutsOfJson(json: unknown): Cut[] | null {
  const { type, pretokenizers } = (json ?? {}) as { type?: unknown; pretokenizers?: unknown };
  const steps = (type === 'Sequence' && Array.isArray(pretokenizers) ? pretokenizers : [json]) as Step[];
  const cuts: Cut[] = [];
  for (const [i, step] of steps.entries()) {
    if (step?.type === 'Digits' && step.individual_digits === true) {
      cuts.push({ regex: DIGITS });
    } else if (step?.type === 'Split' && step.behavior === 'Isolated' && step.invert !== true && step.pattern?.Regex) {
      cuts.push({ regex: step.pattern.Regex });
    } else if (step?.type === 'ByteLevel' && step.add_prefix_space !== true && i === steps.length - 1) {
      if (step.use_regex !== false) cuts.push('gpt-2');
      return cuts;
    } else {
      return null;
    }
  }
  return null;
}

interface Step {
  readonly type?: string;
  readonly individual_digits?: boolean;
  readonly behavior?: string;
  readonly invert?: boolean;
  readonly pattern?: { readonly Regex?: string };
  readonly add_prefix_space?: boolean;
  readonly use_regex?: boolean;
}
