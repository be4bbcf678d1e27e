import type { Completion, Policy, SamplingOptions, UniformSource } from '@polymode/policy';
import { compileOutcome, type Grader, GraderRuntimeError, sampleOf } from '@polymode/verifiers';
import type { Prompt } from './prompts.js';
import type { TrainRow } from './types.js';

/** A completion and what the grader said; null when the grader failed on it. */
export interface Graded {
  readonly completion: Completion;
  readonly text: string;
  readonly grade: { readonly reward: number; readonly outcome: string } | null;
}

export interface Rollout {
  /** graded[prompt][sample] */
  readonly groups: readonly (readonly Graded[])[];
  /** grader failures by kind */
  readonly errors: Readonly<Record<string, number>>;
  /** the first few failures' messages */
  readonly errorMessages: readonly string[];
  /** seconds */
  readonly samplingTime: number;
  readonly gradingTime: number;
}

/** How many failure messages are worth keeping: the rest say the same. */
const MESSAGES_KEPT = 5;

/**
 * Samples a group for every prompt and grades it. A grader that throws leaves its completion ungraded: a broken
 * grader is an error to report, not an answer worth zero.
 */
export async function rollOut(
  policy: Policy,
  grader: Grader,
  prompts: readonly Prompt[],
  groupSize: number,
  uniforms: UniformSource,
  options: SamplingOptions,
  decode: (tokens: readonly number[]) => string,
): Promise<Rollout> {
  const started = performance.now();
  const sampled = await policy.sample(
    prompts.map((p) => p.tokens),
    groupSize,
    uniforms,
    options,
  );
  const drawn = performance.now();
  const outcome = compileOutcome(undefined, grader);
  const errors: Record<string, number> = {};
  const errorMessages: string[] = [];

  const gradeOne = async (row: TrainRow, completion: Completion): Promise<Graded> => {
    const text = decode(completion.tokens);
    const { messages: _, tools: __, ...item } = row;
    try {
      const sample = sampleOf(text, completion.finishReason);
      const grade = await grader.grade(sample, item);
      const { reward } = grade;
      if (!Number.isFinite(reward)) throw new GraderRuntimeError(`the grader's reward is ${reward}`, 'other_error');
      return { completion, text, grade: { reward, outcome: outcome.of(sample, item, grade) } };
    } catch (error) {
      if (!(error instanceof GraderRuntimeError)) throw error;
      errors[error.kind] = (errors[error.kind] ?? 0) + 1;
      if (errorMessages.length < MESSAGES_KEPT) errorMessages.push(error.message);
      return { completion, text, grade: null };
    }
  };
  const groups = await Promise.all(
    sampled.map((completions, i) => Promise.all(completions.map((c) => gradeOne(prompts[i]!.row, c)))),
  );
  return {
    groups,
    errors,
    errorMessages,
    samplingTime: (drawn - started) / 1000,
    gradingTime: (performance.now() - drawn) / 1000,
  };
}
