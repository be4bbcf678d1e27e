import { float32, int32, type Value } from '@polymode/autodiff';
import type { DrawFeatures } from './draw.js';
import type { Row } from './row.js';

/** What rows of a lane need of the graph that draws. */
export function featuresOf(rows: readonly Row[], masked: boolean): DrawFeatures {
  return {
    greedy: rows.some((r) => r.options.temperature === 0),
    shaped: rows.some((r) => r.shaped),
    masked,
    alternatives: rows.some((r) => (r.options.alternatives ?? 0) > 0),
    reported: rows.some((r) => reportedTemperature(r) !== (r.options.temperature || 1)),
  };
}

function reportedTemperature({ options }: Row): number {
  return options.reportedTemperature ?? (options.temperature || 1);
}

export function featureKey(features: DrawFeatures): string {
  return Object.entries(features)
    .filter(([, wanted]) => wanted)
    .map(([name]) => name)
    .join('+');
}

/**
 * Feeds for the inputs of `drawer`.
 *
 * @param rows null for a row that only fills the batch
 */
export function drawFeeds(
  rows: readonly (Row | null)[],
  features: DrawFeatures,
  vocabulary: number,
): Record<string, Value> {
  const column = (of: (row: Row) => number, filler: number): Value =>
    float32(
      rows.map((row) => (row === null ? filler : of(row))),
      [rows.length],
    );
  const feeds: Record<string, Value> = { temperature: column((r) => r.options.temperature || 1, 1) };
  if (features.greedy) {
    feeds.greedy = int32(
      rows.map((r) => (r?.options.temperature === 0 ? 1 : 0)),
      [rows.length],
    );
  }
  if (features.shaped) {
    const history = rows.map((row) => (row === null ? [] : [...new Set([...row.prompt, ...row.tokens])]));
    const bias = rows.map((row) => [...(row?.options.logitBias ?? [])]);
    Object.assign(feeds, {
      top_k: column((r) => r.options.topK || vocabulary, vocabulary),
      top_p: column((r) => r.options.topP ?? 1, 1),
      min_p: column((r) => r.options.minP ?? 0, 0),
      repetition: column((r) => r.options.repetitionPenalty ?? 1, 1),
      presence: column((r) => r.options.presencePenalty ?? 0, 0),
      frequency: column((r) => r.options.frequencyPenalty ?? 0, 0),
      history_tokens: ragged(history, 'int32'),
      history_counts: ragged(
        history.map((tokens, i) => tokens.map((t) => rows[i]?.counts.get(t) ?? 0)),
        'float32',
      ),
      history_seen: ragged(
        history.map((tokens) => tokens.map(() => 1)),
        'float32',
      ),
      bias_tokens: ragged(
        bias.map((pairs) => pairs.map(([token]) => token)),
        'int32',
      ),
      bias: ragged(
        bias.map((pairs) => pairs.map(([, value]) => value)),
        'float32',
      ),
    });
  }
  if (features.reported) feeds.reported = column(reportedTemperature, 1);
  if (features.masked) feeds.allowed = allowedTokens(rows, vocabulary);
  return feeds;
}

/** Lists of different lengths as a matrix, 0 where a list has ended. */
function ragged(lists: readonly (readonly number[])[], dtype: 'int32' | 'float32'): Value {
  const width = Math.max(1, ...lists.map((l) => l.length));
  const data = dtype === 'int32' ? new Int32Array(lists.length * width) : new Float32Array(lists.length * width);
  for (const [i, list] of lists.entries()) data.set(list, i * width);
  return { dtype, shape: [lists.length, width], data };
}

function allowedTokens(rows: readonly (Row | null)[], vocabulary: number): Value {
  const data = new Uint8Array(rows.length * vocabulary).fill(1);
  for (const [i, row] of rows.entries()) {
    const mask = row?.mask(vocabulary) ?? null;
    if (mask === null) continue;
    for (let t = 0; t < vocabulary; t++) data[i * vocabulary + t] = (mask[t >>> 5]! >>> (t & 31)) & 1;
  }
  return { dtype: 'bool', shape: [rows.length, vocabulary], data };
}

/** The uniform numbers of the next tokens of each row: [count, B]. */
export function uniformFeed(rows: readonly (Row | null)[], count: number): Value {
  const data = new Float32Array(count * rows.length).fill(0.5);
  for (const [b, row] of rows.entries()) {
    if (row === null) continue;
    const first = row.tokens.length;
    for (let s = 0; s < Math.min(count, row.options.maxTokens - first); s++) {
      data[s * rows.length + b] = row.uniform(first + s);
    }
  }
  return float32(data, [count, rows.length]);
}
