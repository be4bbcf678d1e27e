import type { GraderErrors, GradingTally, StepReport } from '@polymode/trainer';

/** A grader as series of figures are named. */
export interface NamedGrader {
  readonly name: string;
  readonly type: string;
  /** that it asks, of a grader that is a judge */
  readonly model?: string;
}

/** A job's grader, and those that it is made of. */
export interface GraderNames extends NamedGrader {
  readonly parts: readonly NamedGrader[];
}

type Set = 'train' | 'valid';

/** Kinds of errors whose figures are always there; others are where they have occurred. */
const EVERY_GRADER = ['sample_parse_error', 'invalid_variable_error', 'unresponsive_reward_error', 'other_error'];
const JUDGE = ['model_grader_server_error', 'model_grader_refusal_error', 'model_grader_parse_error'];
const OF_TYPE: Readonly<Record<string, readonly string[]>> = {
  python: ['python_grader_server_error', 'python_grader_runtime_error'],
  javascript: ['javascript_grader_server_error', 'javascript_grader_runtime_error'],
  endpoint: ['endpoint_grader_server_error', 'endpoint_grader_parse_error'],
  score_model: JUDGE,
  label_model: JUDGE,
  multi: ['formula_parse_error'],
};

/** `errors.graders` of a step's metrics: how often each grader erred in which way, and in what share of the answers. */
export function graderErrorFigures(report: StepReport, { parts, ...grader }: GraderNames): Record<string, unknown>[] {
  const kinds = [...kindsOf(grader), ...parts.flatMap((part) => OF_TYPE[part.type] ?? [])];
  const inAll = { ...named(grader), ...figures(report, kinds, ({ graderErrors }) => graderErrors) };
  const inParts = parts.map((part) => ({
    ...named(part),
    ...figures(report, kindsOf(part), ({ grading }) => grading?.partErrors[part.name] ?? {}),
  }));
  return [inAll, ...inParts];
}

type Graded = Pick<StepReport, 'graderErrors' | 'grading'>;

function figures(
  { graderErrors, grading, validation }: StepReport,
  kinds: readonly string[],
  errorsOf: (graded: Graded) => GraderErrors,
): Record<string, number> {
  const counted = (set: Set, graded: Graded): [string, number][] => {
    const errors = errorsOf(graded);
    const all = graded.grading?.completions ?? 0;
    return [...new Set([...kinds, ...Object.keys(errors)])].flatMap((kind): [string, number][] => {
      const count = errors[kind] ?? 0;
      return [
        [`${set}_${kind}_count`, count],
        [`${set}_${kind}_mean`, all === 0 ? 0 : count / all],
      ];
    });
  };
  return Object.fromEntries([
    ...counted('train', { graderErrors, ...(grading && { grading }) }),
    ...(validation ? counted('valid', validation) : []),
  ]);
}

function kindsOf({ type }: NamedGrader): string[] {
  return [...EVERY_GRADER, ...(OF_TYPE[type] ?? [])];
}

function named({ name, type }: NamedGrader): NamedGrader {
  return { name, type };
}

/**
 * `usage.graders` of a step's metrics: tokens of each judge, in sum and per answer. Judges that ask one model are shown as
 * one, under the first one's name, as they are counted by model.
 */
export function judgeUsageFigures(report: StepReport, { parts, ...grader }: GraderNames): Record<string, unknown>[] {
  const judges = new Map<string, NamedGrader>();
  for (const one of [grader, ...parts]) if (one.model && !judges.has(one.model)) judges.set(one.model, one);
  return [...judges].map(([model, judge]) => ({
    ...named(judge),
    model,
    ...tokens('train', model, report.grading),
    ...(report.validation ? tokens('valid', model, report.validation.grading) : {}),
  }));
}

function tokens(set: Set, model: string, grading: GradingTally | undefined): Record<string, number> {
  const used = grading?.usage[model];
  const each = (what: string, count = 0): Record<string, number> => ({
    [`${set}_${what}_tokens_count`]: count,
    [`${set}_${what}_tokens_mean`]: grading?.completions ? count / grading.completions : 0,
  });
  return { ...each('prompt', used?.prompt_tokens), ...each('completion', used?.completion_tokens) };
}

/** `model_graders_token_usage`, the older form of the same, by model. */
export function usageByModel({ grading, validation }: StepReport): Record<string, Record<string, number>> {
  const models = new Set([grading, validation?.grading].flatMap((one) => Object.keys(one?.usage ?? {})));
  const of = (set: 'train' | 'eval', tally: GradingTally | undefined, model: string): Record<string, number> => ({
    [`${set}_prompt_tokens`]: tally?.usage[model]?.prompt_tokens ?? 0,
    [`${set}_completion_tokens`]: tally?.usage[model]?.completion_tokens ?? 0,
    [`${set}_cached_tokens`]: tally?.usage[model]?.cached_tokens ?? 0,
  });
  return Object.fromEntries(
    [...models].map((model) => [model, { ...of('train', grading, model), ...of('eval', validation?.grading, model) }]),
  );
}

/** Share of the answers that met an error of that kind; null where nothing was graded. */
export function errorShare(graded: Graded | undefined, kind: string): number | null {
  const all = graded?.grading?.completions ?? 0;
  return all === 0 ? null : (graded?.graderErrors[kind] ?? 0) / all;
}
