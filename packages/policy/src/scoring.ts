import { concat, type Fetch, float32, gatherRows, type Session, type Tensor, type Value } from '@polymode/autodiff';
import { packGroups, type Sequence } from './batch.js';
import type { ModelConfig } from './config.js';
import { microBatches } from './micro-batches.js';
import type { Policy } from './policy.js';
import type { GroupShape } from './transformer/attention.js';
import { groupHidden } from './transformer/hidden.js';
import { groupInputs } from './transformer/inputs.js';
import type { ParameterTensors } from './transformer/parameters.js';
import { type TokenStatistics, tokenStatistics } from './transformer/statistics.js';
import { after, chunkOf, type VocabularyChunks, vocabularyChunks } from './transformer/vocabulary-chunks.js';

/** Bytes that one pass may need beside the weights. */
const PASS_BYTES = 2 ** 30;

/** Finds or makes a session; equal keys have equal graphs. */
export type SessionOf = (key: string, build: () => Record<string, Tensor>) => Promise<Session>;

/** A figure of each completion token: [M], sequence after sequence. */
export type Scores<Name extends keyof TokenStatistics> = Readonly<Record<Name, Float32Array>>;

/**
 * Teacher-forced figures of every completion token. Sequences that follow each other and share a prompt share its
 * computation.
 *
 * @param temperature > 0 that logits are divided by
 */
export async function scoreCompletions<Name extends keyof TokenStatistics>(
  policy: Policy,
  sequences: readonly Sequence[],
  names: readonly Name[],
  temperature: number,
  sessionOf: SessionOf,
): Promise<Scores<Name>> {
  const parts: Record<string, Value>[] = [];
  const fits = (shape: GroupShape, groups: number): boolean => forwardBytes(policy.config, shape, groups) <= PASS_BYTES;
  for (const { groups, shape } of microBatches(sequences, fits)) {
    const { tokens, positions, lengths, at, targets, count } = packGroups(groups, policy.paddingToken, shape);
    const chunks = vocabularyChunks(count, policy.config.vocabSize);
    const key = ['score', shape.promptLength, shape.completionLength, shape.groupSize, chunks.chunks, ...names].join(
      ' ',
    );
    const session = await sessionOf(key, () =>
      scoringGraph(policy.config, policy.parameterInputs(), names, shape, chunks),
    );
    parts.push(
      await session.run(
        {
          ...policy.weightFeeds(),
          ...{ tokens, positions, lengths, at, targets },
          temperature: float32([temperature], []),
        },
        Object.fromEntries(names.map((name): [string, Fetch] => [name, 'return'])),
      ),
    );
  }
  const joined = (name: Name): Float32Array => join(parts.map((part) => part[name]!.data as Float32Array));
  return Object.fromEntries(names.map((name) => [name, joined(name)])) as Scores<Name>;
}

function join(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((n, part) => n + part.length, 0));
  let m = 0;
  for (const part of parts) {
    all.set(part, m);
    m += part.length;
  }
  return all;
}

/** @returns [M] each, on the inputs of `groupInputs` */
function scoringGraph(
  config: ModelConfig,
  parameters: ParameterTensors,
  names: readonly (keyof TokenStatistics)[],
  shape: GroupShape,
  chunks: VocabularyChunks,
): Record<string, Tensor> {
  const { tokens, positions, lengths, at, targets, temperature } = groupInputs(shape);
  const chosen = gatherRows(groupHidden(config, parameters, tokens, positions, lengths, shape), at);
  const parts: TokenStatistics[] = [];
  for (let i = 0; i < chunks.chunks; i++) {
    const own = chunkOf(chosen, chunks, i);
    const before = parts[i - 1];
    const rows = before === undefined ? own : after(own, ...names.map((name) => before[name]));
    parts.push(tokenStatistics(config, parameters, rows, chunkOf(targets, chunks, i), temperature));
  }
  return Object.fromEntries(
    names.map((name) => [
      name,
      parts.length === 1
        ? parts[0]![name]
        : concat(
            parts.map((part) => part[name]),
            0,
          ),
    ]),
  );
}

/** What a pass holds at its fullest: one layer's states, wide and narrow, and its attention scores. */
function forwardBytes(config: ModelConfig, shape: GroupShape, groups: number): number {
  const { promptLength: p, completionLength: c, groupSize: g } = shape;
  const perRow = 6 * config.hiddenSize + 3 * config.intermediateSize;
  const scores = config.numAttentionHeads * (p * p + g * c * (p + c));
  return 4 * groups * ((p + g * c) * perRow + 2 * scores);
}
