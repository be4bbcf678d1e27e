import { concat, float32, gatherRows, type Session, type Tensor } from '@polymode/autodiff';
import { packGroups, type Sequence } from './batch.js';
import type { ModelConfig } from './config.js';
import { microBatches } from './micro-batches.js';
import type { Policy } from './policy.js';
import type { GroupShape } from './transformer/attention.js';
import { groupHidden } from './transformer/hidden.js';
import { groupInputs } from './transformer/inputs.js';
import type { ParameterTensors } from './transformer/parameters.js';
import { tokenStatistics } from './transformer/statistics.js';
import { after, chunkOf, type VocabularyChunks, vocabularyChunks } from './transformer/vocabulary-chunks.js';

/** Bytes that one pass may need beside the weights. */
const PASS_BYTES = 2 ** 30;

/** Finds or makes a session; equal keys have equal graphs. */
export type SessionOf = (key: string, build: () => Record<string, Tensor>) => Promise<Session>;

/**
 * Teacher-forced log-probability of every completion token, sequence after sequence. Sequences that follow each other and
 * share a prompt share its computation.
 *
 * @param temperature > 0 that logits are divided by
 * @returns [M], in nats
 */
export async function scoreCompletions(
  policy: Policy,
  sequences: readonly Sequence[],
  temperature: number,
  sessionOf: SessionOf,
): Promise<Float32Array> {
  const scores: Float32Array[] = [];
  const fits = (shape: GroupShape, groups: number): boolean => forwardBytes(policy.config, shape, groups) <= PASS_BYTES;
  for (const { groups, shape } of microBatches(sequences, fits)) {
    const { tokens, positions, lengths, at, targets, count } = packGroups(groups, policy.paddingToken, shape);
    const chunks = vocabularyChunks(count, policy.config.vocabSize);
    const key = `score ${shape.promptLength} ${shape.completionLength} ${shape.groupSize} ${chunks.chunks}`;
    const session = await sessionOf(key, () => ({
      log_probabilities: scoringGraph(policy.config, policy.parameterInputs(), shape, chunks),
    }));
    const out = await session.run(
      {
        ...policy.weightFeeds(),
        ...{ tokens, positions, lengths, at, targets },
        temperature: float32([temperature], []),
      },
      { log_probabilities: 'return' },
    );
    scores.push(out.log_probabilities!.data as Float32Array);
  }
  const all = new Float32Array(scores.reduce((n, s) => n + s.length, 0));
  let m = 0;
  for (const part of scores) {
    all.set(part, m);
    m += part.length;
  }
  return all;
}

/** @returns [M], on the inputs of `groupInputs` */
function scoringGraph(
  config: ModelConfig,
  parameters: ParameterTensors,
  shape: GroupShape,
  chunks: VocabularyChunks,
): Tensor {
  const { tokens, positions, lengths, at, targets, temperature } = groupInputs(shape);
  const chosen = gatherRows(groupHidden(config, parameters, tokens, positions, lengths, shape), at);
  const parts: Tensor[] = [];
  for (let i = 0; i < chunks.chunks; i++) {
    const own = chunkOf(chosen, chunks, i);
    const before = parts[i - 1];
    const rows = before === undefined ? own : after(own, before);
    parts.push(tokenStatistics(config, parameters, rows, chunkOf(targets, chunks, i), temperature).logProbabilities);
  }
  return parts.length === 1 ? parts[0]! : concat(parts, 0);
}

/** What a pass holds at its fullest: one layer's states, wide and narrow, and its attention scores. */
function forwardBytes(config: ModelConfig, shape: GroupShape, groups: number): number {
  const { promptLength: p, completionLength: c, groupSize: g } = shape;
  const perRow = 6 * config.hiddenSize + 3 * config.intermediateSize;
  const scores = config.numAttentionHeads * (p * p + g * c * (p + c));
  return 4 * groups * ((p + g * c) * perRow + 2 * scores);
}
