import {
  cast,
  gatherElements,
  gatherRows,
  input,
  int32,
  logSoftmax,
  squeeze,
  type Tensor,
  topK,
  unsqueeze,
} from '@polymode/autodiff';
import { positionRows } from '../batch.js';
import type { Policy } from '../policy.js';
import { sequenceHidden } from '../transformer/hidden.js';
import { vocabularyLogits } from '../transformer/statistics.js';
import { MAX_ALTERNATIVES } from './draw.js';
import { readLength } from './lengths.js';
import type { Alternative } from './options.js';

/**
 * Log-probabilities of a prompt's own tokens, in nats, each given those before it: what OpenAI's API calls echo.
 *
 * @returns one for each token; null for the first, which nothing comes before
 */
export async function promptLogProbabilities(
  policy: Policy,
  prompt: readonly number[],
  temperature = 1,
): Promise<(number | null)[]> {
  const [first, ...rest] = prompt;
  if (first === undefined) throw new RangeError('a prompt has no tokens');
  if (rest.length === 0) return [null];
  return [null, ...(await policy.logProbabilities([{ prompt: [first], completion: rest }], temperature))];
}

export interface PromptScores {
  /** of each token, in nats, given those before it; null for the first, which nothing comes before */
  readonly logProbabilities: readonly (number | null)[];
  /** the likeliest tokens at the place of each, likeliest first; none for the first */
  readonly alternatives: readonly (readonly Alternative[])[];
}

/** Places whose logits are there at a time: a prompt's all at once would be much larger than the model. */
const PLACES = 64;
let scored = 0;

/**
 * The same at temperature 1, with the likeliest tokens at each place.
 *
 * @param alternatives how many of these, 0 … 20
 */
export async function scorePrompt(
  policy: Policy,
  prompt: readonly number[],
  alternatives: number,
): Promise<PromptScores> {
  if (prompt.length === 0) throw new RangeError('a prompt has no tokens');
  const { engine, sessions } = policy;
  const length = readLength(prompt.length);
  const hidden = `prompt scores ${scored++}`;
  const tokens = new Int32Array(length).fill(policy.paddingToken);
  tokens.set(prompt);
  const reader = await sessions.get(`prompt hidden ${length}`, () => hiddenGraph(policy, length), ['hidden']);
  await reader.run(
    { ...policy.weightFeeds(), tokens: int32(tokens, [1, length]), positions: positionRows(1, length) },
    { hidden: { variable: hidden } },
  );
  const logProbabilities: (number | null)[] = [null];
  const likeliest: Alternative[][] = [[]];
  try {
    for (let first = 0; first < prompt.length - 1; first += PLACES) {
      const places = Int32Array.from({ length: PLACES }, (_, i) => Math.min(first + i, prompt.length - 2));
      const scorer = await sessions.get('prompt scores', () => scoresGraph(policy));
      const out = await scorer.run(
        {
          ...policy.weightFeeds(),
          hidden: { variable: hidden },
          places: int32(places, [PLACES]),
          targets: int32(
            places.map((p) => prompt[p + 1]!),
            [PLACES],
          ),
        },
        { log_probabilities: 'return', alternatives: 'return', alternative_log_probabilities: 'return' },
      );
      const width = out.alternatives!.shape[1]!;
      for (let i = 0; i < Math.min(PLACES, prompt.length - 1 - first); i++) {
        logProbabilities.push(Number(out.log_probabilities!.data[i]));
        likeliest.push(
          Array.from({ length: Math.min(alternatives, width) }, (_, k) => ({
            token: Number(out.alternatives!.data[i * width + k]),
            logProbability: Number(out.alternative_log_probabilities!.data[i * width + k]),
          })),
        );
      }
    }
  } finally {
    await engine.drop([hidden]);
  }
  return { logProbabilities, alternatives: likeliest };
}

/** `tokens` and `positions` int32 [1, T] → `hidden` [T, d], before the last norm. */
function hiddenGraph(policy: Policy, length: number): Record<string, Tensor> {
  const [tokens, positions] = ['tokens', 'positions'].map((name) => input(name, 'int32', [1, length]));
  return { hidden: sequenceHidden(policy.config, policy.parameterInputs(), tokens!, positions!).hidden };
}

/** `hidden` [T, d], `places` and `targets` int32 [M] → log-probabilities [M], and the likeliest tokens' with them [M, 20]. */
function scoresGraph(policy: Policy): Record<string, Tensor> {
  const { config } = policy;
  const [places, targets] = ['places', 'targets'].map((name) => input(name, 'int32', ['M']));
  const hidden = gatherRows(input('hidden', 'float32', ['T', config.hiddenSize]), places!);
  const logs = logSoftmax(vocabularyLogits(config, policy.parameterInputs(), hidden)); // [M, V]
  const [best, order] = topK(logs, Math.min(MAX_ALTERNATIVES, config.vocabSize));
  return {
    log_probabilities: squeeze(gatherElements(logs, unsqueeze(targets!, [1]), 1), [1]),
    alternatives: cast(order, 'int32'),
    alternative_log_probabilities: best,
  };
}
