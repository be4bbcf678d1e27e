import { GraderRuntimeError } from '../grader.js';

/** Braces from the end at which a judgement is looked for, and characters that are read for it in all. */
const MOST_OBJECTS = 200;
const MOST_READ = 500_000;

/** What judges are asked for: their reasons first, so that the result follows from them. */
export function judgementSchema(result: object): object {
  const step = {
    type: 'object',
    properties: { description: { type: 'string' }, conclusion: { type: 'string' } },
    required: ['description', 'conclusion'],
    additionalProperties: false,
  };
  return {
    type: 'object',
    properties: { steps: { type: 'array', items: step }, result },
    required: ['steps', 'result'],
    additionalProperties: false,
  };
}

export function judgementInstruction(result: string): string {
  return (
    'Answer with one JSON object and nothing else: {"steps": [{"description": string, "conclusion": string}, …], ' +
    `"result": ${result}}. Put your reasoning into steps, then your judgement into result.`
  );
}

/**
 * The `result` of a reply that is a judgement, that ends with one, in fences or not, or that is the bare result.
 *
 * @throws GraderRuntimeError `model_grader_parse_error`
 */
export function readResult(reply: string): unknown {
  const text = reply.trim();
  const whole = objectAt(text, 0);
  if (whole !== undefined) return whole;
  // Models that reason aloud may write objects before: the last is the judgement.
  let at = text.length;
  let read = 0;
  for (let tries = 0; tries < MOST_OBJECTS && at > 0 && read < MOST_READ; tries++) {
    at = text.lastIndexOf('{', at - 1);
    read += text.length - at;
    const result = at < 0 ? undefined : objectAt(text, at);
    if (result !== undefined) return result;
  }
  const bare = text.replace(/^<think>[\s\S]*?<\/think>/, '').trim();
  if (bare !== '' && bare.length <= 100) return bare.replace(/^"(.*)"$/, '$1');
  throw new GraderRuntimeError(
    `The judge's reply is no judgement: ${text.slice(0, 200) || 'it is empty'}`,
    'model_grader_parse_error',
  );
}

/** The result of the object that starts there and goes to the last brace. */
function objectAt(text: string, start: number): unknown {
  const end = text.lastIndexOf('}');
  if (end < start || text[start] !== '{') return undefined;
  try {
    const { result } = JSON.parse(text.slice(start, end + 1)) as { result?: unknown };
    return result;
  } catch {
    return undefined;
  }
}
