import type { z } from 'zod';

/** What is wrong with a request, in the words of OpenAI's API. */
export interface RequestProblem {
  /** Says what was expected and what came. */
  message: string;
  /** The field, such as `method.reinforcement.hyperparameters.group_size`; null for the body as a whole. */
  param: string | null;
  code: string;
}

type Issue = z.core.$ZodIssue;

/**
 * The first thing that is wrong with a request.
 *
 * @param error what the schema said
 * @param value what was parsed; messages quote it
 * @param prefix path of the parsed value inside the request @defaultValue none
 */
export function requestProblem(error: z.ZodError, value: unknown, prefix: readonly string[] = []): RequestProblem {
  const first = error.issues[0];
  if (!first) throw new TypeError('a ZodError without issues');
  const { issue, besides } = innermost(first, []);
  const path = [...prefix, ...issue.path];
  const received = issue.path.reduce<unknown>(
    (at, key) => (at === null || at === undefined ? undefined : (at as Record<PropertyKey, unknown>)[key]),
    value,
  );
  return describe(issue, path, received, besides);
}

/** What matters of a union that failed: the branch that took the value's kind, or else its last, and what it would take besides. */
function innermost(issue: Issue, path: PropertyKey[]): { issue: Issue; besides: string[] } {
  const here = [...path, ...issue.path];
  const branches = issue.code === 'invalid_union' ? issue.errors.flatMap(([first]) => first ?? []) : [];
  const chosen = branches.find(isInside) ?? branches.at(-1);
  // A union that says itself what it takes knows better.
  if (!chosen || !issue.message.startsWith('Invalid input')) return { issue: { ...issue, path: here }, besides: [] };
  const inner = innermost(chosen, here);
  if (inner.issue.path.length > here.length) return { issue: inner.issue, besides: [] };
  const others = branches.filter((branch) => branch !== chosen).flatMap(kindTaken);
  return { issue: inner.issue, besides: [...others, ...inner.besides] };
}

/** Whether the value was of a branch's kind, so that what is wrong is something in it. */
function isInside({ code, path }: Issue): boolean {
  return path.length > 0 || !['invalid_type', 'invalid_value', 'invalid_union'].includes(code);
}

function kindTaken(issue: Issue): string[] {
  if (issue.code === 'invalid_value' && issue.values.includes('auto')) return ["'auto'"];
  return issue.code === 'invalid_type' && issue.expected !== 'null' ? [typeName(issue.expected, issue)] : [];
}

function describe(issue: Issue, path: PropertyKey[], received: unknown, besides: readonly string[]): RequestProblem {
  const param = path.length > 0 ? formatPath(path) : null;
  const invalid = param === null ? 'Invalid request' : `Invalid '${param}'`;
  // A message that the schema wrote itself says more than the kind of issue.
  const own = issue.message;
  switch (issue.code) {
    case 'invalid_type': {
      const expected = [typeName(issue.expected, issue), ...besides].join(' or ');
      if (!own.startsWith('Invalid input')) {
        const missing = received === undefined;
        const text = own.includes(`'${param}'`) ? own : `${invalid}: ${own}`;
        return problem(text, param, missing ? 'missing_required_parameter' : 'invalid_value');
      }
      if (received === undefined) {
        return param === null
          ? problem(`Missing request body: expected ${expected}.`, null, 'missing_required_parameter')
          : problem(`Missing required parameter: '${param}'.`, param, 'missing_required_parameter');
      }
      const where = param === null ? 'the request body' : `'${param}'`;
      const got = typeof received === 'number' ? `${received}` : typeName(kindOf(received));
      return problem(`Invalid type for ${where}: expected ${expected}, but got ${got} instead.`, param, 'invalid_type');
    }
    case 'invalid_union': {
      // Of the kinds that a union has, none is named.
      if (received === undefined && param !== null) {
        return problem(`Missing required parameter: '${param}'. ${own}`, param, 'missing_required_parameter');
      }
      return problem(`${invalid}: ${quote(received)}. ${own}`, param, 'invalid_value');
    }
    case 'unrecognized_keys': {
      const key = formatPath([...path, issue.keys[0] ?? '']);
      return problem(`Unknown parameter: '${key}'.`, key, 'unknown_parameter');
    }
    case 'invalid_value': {
      if (received === undefined && param !== null) {
        return problem(`Missing required parameter: '${param}'.`, param, 'missing_required_parameter');
      }
      const supported = issue.values.map((one) => `'${String(one)}'`).join(', ');
      return problem(`${invalid}: ${quote(received)}. Supported values are: ${supported}.`, param, 'invalid_value');
    }
    case 'too_big':
    case 'too_small':
      return own.startsWith('Too ')
        ? outOfRange(issue, invalid, param, received)
        : problem(`${invalid}: ${own}`, param, 'invalid_value');
    case 'invalid_key': {
      const [reason] = issue.issues;
      return problem(`${invalid}: ${reason ? reason.message : own}`, param, 'invalid_value');
    }
    default:
      return problem(`${invalid}: ${own}`, param, 'invalid_value');
  }
}

function outOfRange(
  issue: Extract<Issue, { code: 'too_big' | 'too_small' }>,
  invalid: string,
  param: string | null,
  received: unknown,
): RequestProblem {
  const big = issue.code === 'too_big';
  const bound = big ? issue.maximum : issue.minimum;
  const side = big ? 'above_max' : 'below_min';
  if (issue.origin === 'string') {
    const length = typeof received === 'string' ? received.length : 0;
    return problem(
      `${invalid}: string too ${big ? 'long' : 'short'}. Expected a string with ${big ? 'maximum' : 'minimum'} length ` +
        `${bound}, but got a string with length ${length} instead.`,
      param,
      `string_${side}_length`,
    );
  }
  if (issue.origin === 'array') {
    const length = Array.isArray(received) ? received.length : 0;
    return problem(
      `${invalid}: ${length === 0 ? 'empty array' : `array too ${big ? 'long' : 'short'}`}. Expected an array with ` +
        `${big ? 'maximum' : 'minimum'} length ${bound}, but got ${length === 0 ? 'an empty array' : `an array with length ${length}`} instead.`,
      param,
      length === 0 ? 'empty_array' : `array_${side}_length`,
    );
  }
  const kind = issue.origin === 'int' || Number.isInteger(Number(received)) ? 'integer' : 'decimal';
  const relation = `${big ? '<' : '>'}${issue.inclusive === false ? '' : '='}`;
  return problem(
    `${invalid}: ${kind} ${big ? 'above maximum' : 'below minimum'} value. Expected a value ${relation} ${bound}, but got ` +
      `${quote(received)} instead.`,
    param,
    `${kind}_${side}_value`,
  );
}

function problem(message: string, param: string | null, code: string): RequestProblem {
  return { message, param, code };
}

/** `a.b[0].c` */
function formatPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return text === '' ? String(key) : `${text}.${String(key)}`;
  }, '');
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

function typeName(type: string, issue?: Issue): string {
  if (issue && 'format' in issue && issue.format === 'safeint') return 'an integer';
  const names: Record<string, string> = {
    int: 'an integer',
    number: 'a number',
    string: 'a string',
    boolean: 'a boolean',
    object: 'an object',
    record: 'an object',
    array: 'an array',
  };
  return names[type] ?? type;
}

function quote(value: unknown): string {
  const text = typeof value === 'string' ? `'${value}'` : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
