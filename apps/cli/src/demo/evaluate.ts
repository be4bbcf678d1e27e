import { Engine } from '@polymode/autodiff';
import { loadTokenizer, Policy, readModelFolder, uniforms } from '@polymode/policy';
import { type Assessment, equalRewards, summarize, tasks } from '@polymode/verifiers';
import type { VoxelRow } from './instances.js';
import type { DemoMetrics, OutcomeHistogram } from './report.js';

/** Samples for each right answer: the ideal sampler then finds 1 − (1 − 1/27)⁵⁴ = 87 % of 27. */
export const SAMPLES_PER_ANSWER = 2;

/** Longest right answer in tokens, with the stop token, and a little more. */
export const MAX_COMPLETION_TOKENS = 16;

/** The evaluation's random numbers have a stream of their own: no training step draws from it. */
const STREAM = 7;

export interface Evaluation {
  readonly metrics: DemoMetrics;
  readonly histograms: readonly OutcomeHistogram[];
}

/** Samples a downloaded checkpoint on held-out rows and measures what comes out. */
export async function evaluateCheckpoint(
  modelDir: string,
  rows: readonly VoxelRow[],
  seed: number,
): Promise<Evaluation> {
  const task = tasks['hypospace/voxel'];
  const [model, tokenizer] = [await readModelFolder(modelDir), await loadTokenizer(modelDir)];
  const engine = new Engine({ threads: 2 });
  try {
    const policy = new Policy(model.config, engine, { paddingToken: tokenizer.paddingToken });
    await policy.setWeights(model.weights);
    const admissible = rows.map((row) => task.admissibleSet(row));
    const samples = SAMPLES_PER_ANSWER * admissible[0]!.length;
    const groups = await policy.sample(
      rows.map((row) => tokenizer.encodeChat(row.messages)),
      samples,
      (prompt, sample) => uniforms({ seed, stream: STREAM, step: prompt, row: sample, count: MAX_COMPLETION_TOKENS }),
      { maxTokens: MAX_COMPLETION_TOKENS, stopTokens: tokenizer.stopTokens },
    );
    const keys = groups.map((group, i) => group.map((c) => task.assess(tokenizer.decode(c.tokens), { ...rows[i]! })));
    return {
      metrics: meanMetrics(keys.map((answers, i) => summarize(answers, equalRewards(admissible[i]!)))),
      histograms: keys.map((answers, i) => histogram(answers, admissible[i]!, rows[i]!)),
    };
  } finally {
    await engine.close();
  }
}

function meanMetrics(all: readonly DemoMetrics[]): DemoMetrics {
  const mean = (key: keyof DemoMetrics): number => all.reduce((sum, m) => sum + m[key], 0) / all.length;
  return {
    validity: mean('validity'),
    uniqueness: mean('uniqueness'),
    recovery: mean('recovery'),
    top_outcome_share: mean('top_outcome_share'),
    l1_to_target: mean('l1_to_target'),
  };
}

function histogram(answers: readonly Assessment[], admissible: readonly string[], row: VoxelRow): OutcomeHistogram {
  const counts = admissible.map((key) => answers.filter((a) => a.key === key).length);
  const { grid, top } = row;
  return {
    topView: Array.from({ length: grid }, (_, r) => top.slice(r * grid, (r + 1) * grid)),
    counts,
    wrong: answers.filter((a) => !a.valid).length,
  };
}
