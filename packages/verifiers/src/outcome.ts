import type { RE2JS } from 're2js';
import {
  type Grade,
  type Grader,
  GraderConfigError,
  type Item,
  type ItemProblem,
  type Sample,
  UnreadableAnswerError,
} from './grader.js';
import { Definition, kindOf } from './graders/definition.js';
import { compileLinearRegex } from './linear-regex.js';
import { canonicalJson, parsed } from './sample.js';
import { compilePath, compileTemplate, lookUp, type Template } from './template.js';

/** Answers that cannot be read share this outcome. */
export const UNPARSEABLE = 'unparseable';

/** Characters that patterns are looked for in: more than models write. */
const LONGEST_SEARCHED = 100_000;

/** Steps of matching that take a few milliseconds at most: a pattern's instructions times the text's length. */
const QUICK_STEPS = 100_000;

/** What counts as the same answer. */
export type OutcomeConfig =
  /** the answer's text, with runs of white space as one space */
  | { readonly type: 'text'; readonly ignore_case?: boolean }
  /** the answer as JSON, or the part of it at a path such as `result.items[0]`, whatever the order of its keys */
  | { readonly type: 'json'; readonly path?: string }
  /** what the first match of a pattern (RE2's syntax) captures */
  | { readonly type: 'regex'; readonly pattern: string; readonly group: number | string }
  /** the key that the grader returned, or the text where it returned none */
  | { readonly type: 'grader' }
  /** a filled template */
  | { readonly type: 'template'; readonly template: string };

/** Finds the outcome of a graded answer. */
export interface Outcome {
  readonly config: OutcomeConfig;
  /** characters of an answer that it is found in quickly @defaultValue as many as are worked on at once */
  readonly most?: number;
  /** what it reads from a row and the row lacks */
  checkItem(item: Item): ItemProblem[];
  /** @throws GraderRuntimeError when the row lacks a value */
  of(sample: Sample, item: Item, grade: Grade): string;
}

type Rule = (definition: Definition) => Outcome;

/** One entry per type. A rule throws UnreadableAnswerError where there is nothing to read. */
const RULES: Readonly<Record<OutcomeConfig['type'], Rule>> = { text, json, regex, grader: byGrader, template };

/**
 * @param definition `method.reinforcement.outcome`; absent for the grader's default
 * @throws GraderConfigError whose `param` is the field to change, from `outcome` down
 */
export function compileOutcome(definition: unknown, grader: Pick<Grader, 'defaultOutcome'>): Outcome {
  const given = definition ?? grader.defaultOutcome ?? { type: 'grader' };
  if (typeof given !== 'object' || Array.isArray(given)) {
    throw new GraderConfigError(`The outcome must be an object with a 'type', not ${kindOf(given)}.`, 'outcome');
  }
  const reader = new Definition(given as Record<string, unknown>, 'outcome');
  const rule = RULES[reader.oneOf('type', Object.keys(RULES) as OutcomeConfig['type'][])](reader);
  return {
    ...rule,
    of(sample, item, grade) {
      try {
        return rule.of(sample, item, grade);
      } catch (error) {
        if (error instanceof UnreadableAnswerError) return UNPARSEABLE;
        throw error;
      }
    },
  };
}

/** The default of graders that compare a part of the answer: that part. */
export function outcomeOfInput(input: string, { readsSample }: Template): OutcomeConfig {
  const part = readsSample && !/^\s*\{\{\s*sample\.output_text\s*\}\}\s*$/.test(input);
  return part ? { type: 'template', template: input } : { type: 'text' };
}

function text(definition: Definition): Outcome {
  definition.onlyFields(['type', 'ignore_case']);
  const ignoreCase = definition.has('ignore_case') && definition.boolean('ignore_case');
  return {
    config: { type: 'text', ...(ignoreCase && { ignore_case: true }) },
    checkItem: () => [],
    of: ({ output_text }) => (ignoreCase ? oneLine(output_text).toLowerCase() : oneLine(output_text)),
  };
}

function json(definition: Definition): Outcome {
  definition.onlyFields(['type', 'path']);
  const path = definition.has('path') ? definition.nonEmptyString('path') : null;
  const steps = path === null ? [] : compilePath(path, `${definition.param}.path`);
  return {
    config: { type: 'json', ...(path !== null && { path }) },
    checkItem: () => [],
    of(sample) {
      const value = lookUp(sample.output_json ?? parsed(sample.output_text), steps);
      if (value === undefined) throw new UnreadableAnswerError('The answer has no such JSON.', 'sample_parse_error');
      return canonicalJson(value);
    },
  };
}

function regex(definition: Definition): Outcome {
  definition.onlyFields(['type', 'pattern', 'group']);
  const pattern = definition.nonEmptyString('pattern');
  const compiled = compileLinearRegex(pattern, `${definition.param}.pattern`);
  const group = captureGroup(definition, compiled);
  return {
    config: { type: 'regex', pattern, group },
    most: Math.floor(QUICK_STEPS / compiled.programSize()),
    checkItem: () => [],
    of({ output_text }) {
      const matcher = compiled.matcher(output_text.slice(0, LONGEST_SEARCHED));
      const captured = matcher.find() ? matcher.group(group as string) : null;
      if (captured === null) throw new UnreadableAnswerError('The pattern does not match.', 'sample_parse_error');
      return oneLine(captured);
    },
  };
}

/** The first group where the pattern has any, else the whole match. */
function captureGroup(definition: Definition, pattern: RE2JS): number | string {
  const groups = pattern.groupCount();
  const group = definition.value('group') ?? Math.min(1, groups);
  const names = Object.keys(pattern.namedGroups());
  if (typeof group === 'string' && names.includes(group)) return group;
  if (typeof group === 'number' && Number.isInteger(group) && group >= 0 && group <= groups) return group;
  const named = names.length > 0 ? ` or one of ${names.join(', ')}` : '';
  return definition.refuse('group', `'group' must be a number from 0, the whole match, to ${groups}${named}.`);
}

function byGrader(definition: Definition): Outcome {
  definition.onlyFields(['type']);
  return {
    config: { type: 'grader' },
    checkItem: () => [],
    of: ({ output_text }, _item, { outcome, unreadable }) =>
      outcome ?? (unreadable === undefined ? oneLine(output_text) : UNPARSEABLE),
  };
}

function template(definition: Definition): Outcome {
  definition.onlyFields(['type', 'template']);
  const source = definition.nonEmptyString('template');
  const compiled = compileTemplate(source, `${definition.param}.template`);
  if (!compiled.readsSample) {
    definition.refuse(
      'template',
      `'template' reads nothing of the answer, so that all answers would be the same. Use {{ sample.output_text }} or {{ sample.output_json.<path> }} in it.`,
    );
  }
  return {
    config: { type: 'template', template: source },
    checkItem: (item) => compiled.checkItem(item),
    of: (sample, item) => oneLine(compiled.fill(sample, item)),
  };
}

/** Composed Unicode without white space around it, and single spaces in it. */
function oneLine(written: string): string {
  return written.normalize('NFC').trim().replace(/\s+/g, ' ');
}
