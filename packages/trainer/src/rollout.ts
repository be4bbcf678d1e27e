import type { Completion, Policy, SamplingOptions, UniformSource } from '@polymode/policy';
import {
  type Grader,
  type GradingFailure,
  type GradingResult,
  gradeAll,
  sampleOf,
  type TokenUsage,
} from '@polymode/verifiers';
import { GradersFailedError } from './errors.js';
import type { Prompt } from './prompts.js';
import type { GradingSettings, GradingTally } from './types.js';

/** A completion and what the grader said; null when the grader failed on it. */
export interface Graded {
  readonly completion: Completion;
  readonly text: string;
  readonly grade: {
    readonly reward: number;
    readonly outcome: string;
    /** of each part of the grader */
    readonly subRewards?: Readonly<Record<string, number>>;
    /** present where the grader could not read the answer */
    readonly unreadable?: object;
  } | null;
}

export interface Rollout {
  /** graded[prompt][sample] */
  readonly groups: readonly (readonly Graded[])[];
  /** error flags by kind: failures of the grader, and answers that it could not read */
  readonly errors: Readonly<Record<string, number>>;
  readonly tally: GradingTally;
  /** what the grader failed with, one an ungraded completion */
  readonly failures: readonly GradingFailure[];
  /** seconds */
  readonly samplingTime: number;
  readonly gradingTime: number;
}

/** A step in which the grader fails on more than this share of the completions fails the job, unless it says otherwise. */
const MAX_ERROR_SHARE = 0.1;

/** Different failures that are worth quoting, and characters of each one's traceback. */
const FAILURES_SHOWN = 5;
const TRACEBACK_SHOWN = 2000;

/**
 * Samples a group for every prompt and grades it. A grader that fails leaves its completion ungraded: a broken grader is
 * an error to report, not an answer worth zero.
 */
export async function rollOut(
  policy: Policy,
  { grader, grading }: { readonly grader: Grader; readonly grading?: GradingSettings | undefined },
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
  const drafts = sampled.flatMap((completions, i) => {
    const { row: item } = prompts[i]!;
    return completions.map((completion) => {
      const text = decode(completion.tokens);
      return { completion, text, sample: sampleOf(text, completion.finishReason), item };
    });
  });
  const results = await gradeAll(drafts, { grader, outcome: grading?.outcome, timeoutMs: grading?.timeoutMs });

  const errors: Record<string, number> = {};
  const failures: GradingFailure[] = [];
  const graded = drafts.map(({ completion, text }, i): Graded => {
    const result = results[i]!;
    const flag = result.ok ? result.grade.unreadable : result.failure;
    if (flag !== undefined) errors[flag.kind] = (errors[flag.kind] ?? 0) + 1;
    if (!result.ok) failures.push(result.failure);
    return { completion, text, grade: result.ok ? result.grade : null };
  });
  let at = 0;
  const groups = sampled.map((completions) => {
    const from = at;
    at += completions.length;
    return graded.slice(from, at);
  });
  return {
    groups,
    errors,
    tally: tallied(results),
    failures,
    samplingTime: (drawn - started) / 1000,
    gradingTime: (performance.now() - drawn) / 1000,
  };
}

function tallied(results: readonly GradingResult[]): GradingTally {
  const partErrors: Record<string, Record<string, number>> = {};
  const usage: Record<string, TokenUsage> = {};
  for (const result of results) {
    const flag = result.ok ? result.grade.unreadable : result.failure;
    if (flag?.part !== undefined) {
      partErrors[flag.part] ??= {};
      const counts = partErrors[flag.part]!;
      counts[flag.kind] = (counts[flag.kind] ?? 0) + 1;
    }
    for (const [model, used] of Object.entries((result.ok && result.grade.usage) || {})) {
      const sum = usage[model] ?? { prompt_tokens: 0, completion_tokens: 0, cached_tokens: 0, total_tokens: 0 };
      usage[model] = {
        prompt_tokens: sum.prompt_tokens + used.prompt_tokens,
        completion_tokens: sum.completion_tokens + used.completion_tokens,
        cached_tokens: sum.cached_tokens + used.cached_tokens,
        total_tokens: sum.total_tokens + used.total_tokens,
      };
    }
  }
  return { completions: results.length, partErrors, usage };
}

/** @throws GradersFailedError with the first tracebacks when the grader failed too often to learn from the rest */
export function failOnBrokenGrader(
  { groups, failures }: Rollout,
  step: number,
  { maxErrorShare = MAX_ERROR_SHARE }: GradingSettings = {},
): void {
  const all = groups.reduce((n, group) => n + group.length, 0);
  if (failures.length <= all * maxErrorShare) return;
  const texts = failures.map(({ message, details }) => {
    const known = details === undefined || message.includes(details);
    return known ? message : `${message}\n${details.slice(-TRACEBACK_SHOWN).replace(/^/gm, '    ')}`;
  });
  const shown = [...new Set(texts)].slice(0, FAILURES_SHOWN).map((text) => `\n- ${text}`);
  throw new GradersFailedError(
    `the grader failed on ${failures.length} of ${all} completions of step ${step}:${shown.join('')}\n` +
      `max_grader_error_share allows ${maxErrorShare} of them.`,
  );
}
