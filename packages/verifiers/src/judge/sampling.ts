import { GraderConfigError } from '../grader.js';
import { Definition, kindOf } from '../graders/definition.js';

const EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh'] as const;

/** `sampling_params` as they were given, and as chat completions take them. */
export interface Sampling {
  readonly config: Readonly<Record<string, unknown>>;
  readonly request: Readonly<Record<string, unknown>>;
}

/** @throws GraderConfigError */
export function readSampling(value: unknown, param: string): Sampling {
  if (value === undefined || value === null) return { config: {}, request: {} };
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new GraderConfigError(`'sampling_params' must be an object, not ${kindOf(value)}.`, param);
  }
  const given = new Definition(value as Record<string, unknown>, param);
  if (given.has('max_completion_tokens') || given.has('max_tokens')) {
    const field = given.has('max_tokens') ? 'max_tokens' : 'max_completion_tokens';
    given.refuse(field, `Graders spell it 'max_completions_tokens'.`);
  }
  given.onlyFields(['seed', 'top_p', 'temperature', 'max_completions_tokens', 'reasoning_effort']);
  const set = <T>(field: string, read: () => T): Record<string, T> => (given.has(field) ? { [field]: read() } : {});
  const config = {
    ...set('seed', () => given.integer('seed')),
    ...set('top_p', () => given.number('top_p', 0, 1)),
    ...set('temperature', () => given.number('temperature', 0, 2)),
    ...set('max_completions_tokens', () => given.integer('max_completions_tokens', 1)),
    ...set('reasoning_effort', () => given.oneOf('reasoning_effort', EFFORTS)),
  };
  const { max_completions_tokens: longest, ...same } = config as Record<string, unknown>;
  return { config, request: { ...same, ...(longest !== undefined && { max_completion_tokens: longest }) } };
}
