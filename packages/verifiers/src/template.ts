import {
  GraderConfigError,
  GraderRuntimeError,
  type Item,
  type ItemProblem,
  type Sample,
  UnreadableAnswerError,
} from './grader.js';
import { parsed } from './sample.js';

export type Step = string | number;

interface Variable {
  readonly namespace: 'item' | 'sample';
  /** at least one step */
  readonly steps: readonly Step[];
  /** as written, without braces and outer spaces */
  readonly text: string;
}

/** Text with `{{ item.path[0].x }}` and `{{ sample.output_text }}` variables in it. */
export interface Template {
  /** whether any variable reads the answer */
  readonly readsSample: boolean;
  /** item variables that `item` cannot fill */
  checkItem(item: Item): ItemProblem[];
  /**
   * The text with every variable replaced: strings as they are, other values as JSON.
   *
   * @throws GraderRuntimeError `invalid_variable_error` when the row lacks a value
   * @throws UnreadableAnswerError `invalid_variable_error` when the answer lacks one, `sample_parse_error` when
   * `sample.output_json` is read and the answer is not JSON
   */
  fill(sample: Sample, item: Item): string;
}

const SAMPLE_FIELDS = ['output_text', 'output_json', 'output_tools', 'choices'];

/**
 * @param param the field that holds the template, for errors
 * @throws GraderConfigError for an unknown namespace or field, or a variable that is not a path
 */
export function compileTemplate(source: string, param: string): Template {
  const parts = split(source, param);
  const variables = parts.filter((part) => typeof part !== 'string');
  return {
    readsSample: variables.some((v) => v.namespace === 'sample'),
    checkItem(item) {
      return variables
        .filter((v) => v.namespace === 'item' && lookUp(item, v.steps) === undefined)
        .map((v) => ({ path: v.text, message: `${v.text} is read by ${param} but the row has no such value.` }));
    },
    fill(sample, item) {
      return parts.map((part) => (typeof part === 'string' ? part : asText(resolve(part, sample, item)))).join('');
    },
  };
}

function split(source: string, param: string): (string | Variable)[] {
  const parts: (string | Variable)[] = [];
  let at = 0;
  while (true) {
    const open = source.indexOf('{{', at);
    if (open < 0) break;
    const close = source.indexOf('}}', open);
    if (close < 0) {
      throw new GraderConfigError(`The template opens '{{' at character ${open} and never closes it with '}}'.`, param);
    }
    if (open > at) parts.push(source.slice(at, open));
    parts.push(parseVariable(source.slice(open + 2, close).trim(), param));
    at = close + 2;
  }
  if (at < source.length) parts.push(source.slice(at));
  return parts;
}

/**
 * Steps of a path such as `a.b[0]` into JSON.
 *
 * @param param the field that holds it, for errors
 * @throws GraderConfigError
 */
export function compilePath(path: string, param: string): Step[] {
  return parseSteps(path.startsWith('[') ? path : `.${path}`, 0, path, param);
}

const STEP = /\.([^\s.[\]{}]+)|\[(\d+)\]/y;

function parseVariable(text: string, param: string): Variable {
  const namespace = /^[^\s.[\]{}]*/.exec(text)?.[0] ?? '';
  if (namespace !== 'item' && namespace !== 'sample') {
    throw new GraderConfigError(
      `Unknown namespace '${namespace}' in '{{ ${text} }}'. Use item.<field of the row> or sample.output_text.`,
      param,
    );
  }
  const steps = parseSteps(text, namespace.length, `{{ ${text} }}`, param);
  const field = steps[0];
  if (field === undefined) {
    throw new GraderConfigError(
      `'{{ ${text} }}' names no field. Write {{ ${namespace === 'item' ? 'item.<field of the row>' : 'sample.output_text'} }}.`,
      param,
    );
  }
  if (namespace === 'sample' && !SAMPLE_FIELDS.includes(String(field))) {
    throw new GraderConfigError(
      `sample has no '${field}' here. Available: ${SAMPLE_FIELDS.map((f) => `sample.${f}`).join(', ')}.`,
      param,
    );
  }
  if (namespace === 'sample' && field === 'output_text' && steps.length > 1) {
    throw new GraderConfigError(
      `sample.output_text is text and has no parts. Read a JSON answer with sample.output_json.`,
      param,
    );
  }
  return { namespace, steps, text };
}

function parseSteps(text: string, from: number, shown: string, param: string): Step[] {
  const steps: Step[] = [];
  STEP.lastIndex = from;
  while (STEP.lastIndex < text.length) {
    const at = STEP.lastIndex;
    const step = STEP.exec(text);
    if (step === null) {
      throw new GraderConfigError(
        `'${shown}' is not a path from '${text.slice(at)}' on. Write names after dots and positions in brackets, as in answers[0].text.`,
        param,
      );
    }
    steps.push(step[1] ?? Number(step[2]));
  }
  return steps;
}

function resolve(variable: Variable, sample: Sample, item: Item): unknown {
  if (variable.namespace === 'item') {
    const value = lookUp(item, variable.steps);
    if (value !== undefined) return value;
    throw new GraderRuntimeError(`{{ ${variable.text} }} has no value in the row.`, 'invalid_variable_error');
  }
  const value = lookUp(sampleFields(variable, sample), variable.steps);
  if (value !== undefined) return value;
  throw new UnreadableAnswerError(`{{ ${variable.text} }} has no value in the answer.`, 'invalid_variable_error');
}

function sampleFields(variable: Variable, sample: Sample): Sample {
  if (variable.steps[0] !== 'output_json' || sample.output_json !== undefined) return sample;
  const json = parsed(sample.output_text);
  if (json !== undefined) return { ...sample, output_json: json };
  throw new UnreadableAnswerError(
    `{{ ${variable.text} }} needs a JSON answer and this one is not JSON.`,
    'sample_parse_error',
  );
}

/** undefined where the path leads nowhere; own fields only, so `item.constructor` is a missing field. */
export function lookUp(root: unknown, steps: readonly Step[]): unknown {
  let value = root;
  for (const step of steps) {
    if (typeof value !== 'object' || value === null) return undefined;
    if (Array.isArray(value) && !/^\d+$/.test(String(step))) return undefined;
    if (!Object.hasOwn(value, step)) return undefined;
    value = (value as Record<Step, unknown>)[step];
  }
  return value;
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
