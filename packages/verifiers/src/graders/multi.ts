import { type Formula, FormulaError, parseFormula } from '../formula.js';
import { type Grade, type Grader, GraderConfigError, GraderRuntimeError, type TokenUsage } from '../grader.js';
import type { OutcomeConfig } from '../outcome.js';
import { canonicalJson } from '../sample.js';
import { Definition, kindOf } from './definition.js';

type Compile = (definition: Definition) => Grader;

/** Graders by the name under which their rewards are shown. */
type Parts = ReadonlyMap<string, Grader>;

/**
 * The value of a formula over the rewards of other graders. `graders` is a map from keys to graders, an array of graders
 * or one grader; those of the last two go by their `name`, and by `<type>_score` where no other has the same type. The
 * key of the answer is that of the part which returns one, or the keys of all that do.
 *
 * @param compile makes a part
 */
export function multi(definition: Definition, compile: Compile): Grader {
  definition.onlyFields(['type', 'name', 'graders', 'calculate_output']);
  const name = definition.name();
  const { parts, aliases, graders } = readParts(definition, compile);
  const calculate_output = definition.nonEmptyString('calculate_output');
  const formula = readFormula(definition, calculate_output, [...new Set([...parts.keys(), ...aliases.keys()])]);
  const checked = [...parts.values()].filter((part) => part.check !== undefined);
  return {
    config: { type: 'multi', name, graders, calculate_output },
    name,
    type: 'multi',
    defaultOutcome: defaultOutcome([...parts.values()]),
    checkItem: (item) => [...parts.values()].flatMap((part) => part.checkItem(item)),
    async check(options) {
      for (const part of checked) await part.check?.(options);
    },
    async grade(sample, item, options): Promise<Grade> {
      const grades = await Promise.all(
        [...parts].map(async ([key, part]): Promise<[string, Grade]> => {
          try {
            return [key, await part.grade(sample, item, options)];
          } catch (error) {
            throw named(error, key);
          }
        }),
      );
      const subRewards = Object.fromEntries(grades.map(([key, { reward }]) => [key, reward]));
      const aliased = [...aliases].map(([alias, key]) => [alias, subRewards[key]!]);
      const reward = formula.evaluate({ ...Object.fromEntries(aliased), ...subRewards });
      if (!Number.isFinite(reward)) {
        throw new GraderRuntimeError(
          `${calculate_output} is ${reward} for ${JSON.stringify(subRewards)}.`,
          'formula_parse_error',
        );
      }
      const [unread] = grades.flatMap(([part, grade]) => (grade.unreadable ? [{ ...grade.unreadable, part }] : []));
      const outcome = joinedKey(grades);
      const usage = joinedUsage(grades);
      return {
        reward,
        subRewards,
        ...(outcome !== undefined && { outcome }),
        ...(unread !== undefined && { unreadable: unread }),
        ...(Object.keys(usage).length > 0 && { usage }),
      };
    },
  };
}

function readParts(
  definition: Definition,
  compile: Compile,
): { parts: Parts; aliases: ReadonlyMap<string, string>; graders: unknown } {
  const graders = definition.value('graders');
  const param = `${definition.param}.graders`;
  if (typeof graders !== 'object' || graders === null) {
    const what = graders === undefined ? `Missing required field 'graders'` : `'graders' must be an object`;
    throw new GraderConfigError(`${what} (grader definitions by key, as in {"format": {…}, "answer": {…}}).`, param);
  }
  const part = (value: unknown, at: string): Grader => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new GraderConfigError(`A grader must be an object with a 'type', not ${kindOf(value)}.`, at);
    }
    const reader = new Definition(value as Record<string, unknown>, at);
    if (reader.value('type') === 'multi') reader.refuse('type', 'A multi grader cannot hold another one.');
    return compile(reader);
  };

  if (Array.isArray(graders)) {
    const list = graders.map((value, i) => part(value, `${param}[${i}]`));
    if (list.length === 0) definition.refuse('graders', `'graders' must hold at least one grader.`);
    const parts = new Map<string, Grader>();
    for (const [i, one] of list.entries()) {
      if (parts.has(one.name)) {
        throw new GraderConfigError(`Two graders are named '${one.name}'. Names must differ.`, `${param}[${i}].name`);
      }
      parts.set(one.name, one);
    }
    return { parts, aliases: aliasesOf(list), graders: list.map(({ config }) => config) };
  }
  if (typeof (graders as { type?: unknown }).type === 'string') {
    const only = part(graders, param);
    return { parts: new Map([[only.name, only]]), aliases: aliasesOf([only]), graders: only.config };
  }
  const parts = new Map(Object.entries(graders).map(([key, value]) => [key, part(value, `${param}.${key}`)]));
  if (parts.size === 0) definition.refuse('graders', `'graders' must hold at least one grader.`);
  const configs = Object.fromEntries([...parts].map(([key, { config }]) => [key, config]));
  return { parts, aliases: new Map(), graders: configs };
}

/** `<type>_score` of each type that one grader alone has, to its name. */
function aliasesOf(graders: readonly Grader[]): Map<string, string> {
  const alone = graders.filter((one) => graders.every((other) => other === one || other.type !== one.type));
  return new Map(alone.map(({ type, name }) => [`${type}_score`, name]));
}

function readFormula(definition: Definition, source: string, names: readonly string[]): Formula {
  try {
    return parseFormula(source, names);
  } catch (error) {
    if (!(error instanceof FormulaError)) throw error;
    return definition.refuse(
      'calculate_output',
      `The formula '${source}' cannot be read at character ${error.position}: ${error.message}.`,
    );
  }
}

/** Keys where a part returns them, else the text or the parts of it that are compared. */
function defaultOutcome(parts: readonly Grader[]): OutcomeConfig {
  const outcomes = parts.map(({ defaultOutcome: one }): OutcomeConfig => one ?? { type: 'text' });
  const templates = outcomes.flatMap((one) => (one.type === 'template' ? [one.template] : []));
  if (outcomes.some(({ type }) => type === 'grader')) return { type: 'grader' };
  if (templates.length < outcomes.length) return { type: 'text' };
  return { type: 'template', template: [...new Set(templates)].join(' | ') };
}

function joinedKey(grades: readonly (readonly [string, Grade])[]): string | undefined {
  const keys = grades.flatMap(([key, { outcome }]) => (outcome === undefined ? [] : [[key, outcome] as const]));
  return keys.length > 1 ? canonicalJson(Object.fromEntries(keys)) : keys[0]?.[1];
}

function joinedUsage(grades: readonly (readonly [string, Grade])[]): Record<string, TokenUsage> {
  const sum: Record<string, TokenUsage> = {};
  for (const [model, usage] of grades.flatMap(([, grade]) => Object.entries(grade.usage ?? {}))) {
    const before = sum[model];
    sum[model] = {
      prompt_tokens: usage.prompt_tokens + (before?.prompt_tokens ?? 0),
      completion_tokens: usage.completion_tokens + (before?.completion_tokens ?? 0),
      cached_tokens: usage.cached_tokens + (before?.cached_tokens ?? 0),
      total_tokens: usage.total_tokens + (before?.total_tokens ?? 0),
    };
  }
  return sum;
}

function named(error: unknown, key: string): unknown {
  if (!(error instanceof GraderRuntimeError)) return error;
  const { kind, details, reason, cause } = error;
  return new GraderRuntimeError(`grader '${key}': ${error.message}`, kind, { details, reason, cause, part: key });
}
