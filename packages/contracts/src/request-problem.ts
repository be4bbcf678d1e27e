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
  const { issue, alsoAuto } = innermost(first, []);
  const path = [...prefix, ...issue.path];
  const received = issue.path.reduce<unknown>(
    (at, key) => (at === null || at === undefined ? undefined : (at as Record<PropertyKey, unknown>)[key]),
    value,
  );
  return describe(issue, path, received, alsoAuto);
}

/** A union of "auto" and something else failed: what matters is the something else. */
function innermost(issue: Issue, path: PropertyKey[]): { issue: Issue; alsoAuto: boolean } {
  const here = [...path, ...issue.path];
  if (issue.code !== 'invalid_union') return { issue: { ...issue, path: here }, alsoAuto: false };
  const branch = issue.errors.at(-1)?.[0];
  if (!branch) return { issue: { ...issue, path: here }, alsoAuto: false };
  const inner = innermost(branch, here);
  return { issue: inner.issue, alsoAuto: inner.issue.path.length === here.length };
}

function describe(issue: Issue, path: PropertyKey[], received: unknown, alsoAuto: boolean): RequestProblem {
  const param = path.length > 0 ? formatPath(path) : null;
  const invalid = param === null ? 'Invalid request' : `Invalid '${param}'`;
  // A message that the schema wrote itself says more than the kind of issue.
  const own = issue.message;
  switch (issue.code) {
    case 'invalid_type': {
      const expected = `${typeName(issue.expected, issue)}${alsoAuto ? " or 'auto'" : ''}`;
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
