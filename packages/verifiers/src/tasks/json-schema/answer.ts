import { canonicalJson, parsed } from '../../sample.js';

/** A JSON value; null is one, so that it does not stand for itself. */
export interface JsonAnswer {
  readonly value: unknown;
}

/** Characters; far more than anybody asks for. */
const LONGEST_ANSWER = 200_000;

/**
 * Reads the JSON value with which the text begins and that ends its line; failing that, the one that is all there is between the
 * first ```` ```json ```` or ```` ``` ```` and the next ```` ``` ````.
 *
 * @returns null for what JSON.parse refuses, such as comments and commas at the end; for numbers beyond 1.8e308; for over 500 levels
 */
export function parseAnswer(text: string): JsonAnswer | null {
  if (text.length > LONGEST_ANSWER) return null;
  return read(firstValue(text.trim())) ?? read(fenced(text));
}

function read(json: string | null): JsonAnswer | null {
  const value = json === null ? undefined : parsed(json);
  return value === undefined || !finite(value) ? null : { value };
}

/** What must be the value if there is one: up to the bracket or quote that closes the first, or to the end of the line. */
function firstValue(text: string): string | null {
  const end = /^[[{"]/.test(text) ? closing(text) : lineEnd(text, 0);
  const rest = text.slice(end, lineEnd(text, end));
  return rest.trim() === '' ? text.slice(0, end) : null;
}

function lineEnd(text: string, from: number): number {
  const at = text.indexOf('\n', from);
  return at < 0 ? text.length : at;
}

/** Behind what closes the bracket or quote at the start; the text's length if nothing does. */
function closing(text: string): number {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quoted) {
      if (c === '\\') i++;
      else if (c === '"') quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === '{' || c === '[') depth++;
    else if (c === '}' || c === ']') depth--;
    if (depth === 0 && !quoted) return i + 1;
  }
  return text.length;
}

const FENCE = '```';

function fenced(text: string): string | null {
  const start = text.indexOf(FENCE);
  if (start < 0) return null;
  const body = lineEnd(text, start);
  const end = text.indexOf(FENCE, body);
  const language = text.slice(start + FENCE.length, body).trim();
  return end < 0 || !/^(json)?$/i.test(language) ? null : text.slice(body, end);
}

function finite(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  return typeof value !== 'object' || value === null || Object.values(value).every(finite);
}

/** The value that this is the canonical JSON of. @throws RangeError when it is of none */
export function answerFromKey(key: string): JsonAnswer {
  const answer = read(key);
  if (answer === null || canonicalJson(answer.value) !== key) {
    throw new RangeError(`'${key}' is not the key of a JSON value; one looks like {"a":[1,true],"b":null}.`);
  }
  return answer;
}
