import { GraderConfigError, GraderRuntimeError, type Item, type ItemProblem, type Sample } from './grader.js';

type Step = string | number;

interface Variable {
  readonly namespace: 'item' | 'sample';
  /** at least one step */
  readonly steps: readonly Step[];
  /** as written, without braces and outer spaces */
  readonly text: string;
}

/** Text with `{{ item.path[0].x }}` and `{{ sample.output_text }}` variables in it. */
export interface Template {
  /** item variables that `item` cannot fill */
  checkItem(item: Item): ItemProblem[];
  /**
   * The text with every variable replaced: strings as they are, other values as JSON.
   *
   * @throws GraderRuntimeError `invalid_variable_error` when a variable has no value, `sample_parse_error` when
   * `sample.output_json` is read and the answer is not JSON
   */
  fill(sample: Sample, item: Item): string;
}

const SAMPLE_FIELDS = ['output_text', 'output_json'];
const RESERVED_ITEM_FIELDS = ['messages', 'tools'];

/**
 * @param param the field that holds the template, for errors
 * @throws GraderConfigError for an unknown namespace or field, or a variable that is not a path
 */
export function compileTemplate(source: string, param: string): Template {
  const parts = split(source, param);
  const variables = parts.filter((part) => typeof part !== 'string');
  return {
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

const STEP = /\.([^\s.[\]{}]+)|\[(\d+)\]/y;

function parseVariable(text: string, param: string): Variable {
  const namespace = /^[^\s.[\]{}]*/.exec(text)?.[0] ?? '';
  if (namespace !== 'item' && namespace !== 'sample') {
    throw new GraderConfigError(
      `Unknown namespace '${namespace}' in '{{ ${text} }}'. Use item.<field of the row> or sample.output_text.`,
      param,
    );
  }
  const steps: Step[] = [];
  STEP.lastIndex = namespace.length;
  while (STEP.lastIndex < text.length) {
    const from = STEP.lastIndex;
    const step = STEP.exec(text);
    if (step === null) {
      throw new GraderConfigError(
        `'{{ ${text} }}' is not a path from character ${from} on. Write names after dots and positions in brackets, as in {{ item.answers[0].text }}.`,
        param,
      );
    }
    steps.push(step[1] ?? Number(step[2]));
  }
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
  if (text.startsWith('sample.output_text') && steps.length > 1) {
    throw new GraderConfigError(
      `sample.output_text is text and has no parts. Read a JSON answer with sample.output_json.`,
      param,
    );
  }
  if (namespace === 'item' && RESERVED_ITEM_FIELDS.includes(String(field))) {
    throw new GraderConfigError(
      `'${field}' is the conversation itself and is never part of item. Put what the grader needs in a field of its own.`,
      param,
    );
  }
  return { namespace, steps, text };
}

function resolve(variable: Variable, sample: Sample, item: Item): unknown {
  const root = variable.namespace === 'item' ? item : sampleFields(variable, sample);
  const value = lookUp(root, variable.steps);
  if (value === undefined) {
    const where = variable.namespace === 'item' ? 'the row' : 'the answer';
    throw new GraderRuntimeError(`{{ ${variable.text} }} has no value in ${where}.`, 'invalid_variable_error');
  }
  return value;
}

function sampleFields(variable: Variable, sample: Sample): Record<string, unknown> {
  if (variable.steps[0] === 'output_text') return { output_text: sample.output_text };
  try {
    return { output_json: JSON.parse(sample.output_text) };
  } catch {
    throw new GraderRuntimeError(
      `{{ ${variable.text} }} needs a JSON answer and this one is not JSON.`,
      'sample_parse_error',
    );
  }
}

/** undefined where the path leads nowhere; own fields only, so `item.constructor` is a missing field. */
function lookUp(root: unknown, steps: readonly Step[]): unknown {
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
