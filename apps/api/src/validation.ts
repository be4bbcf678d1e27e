import { requestProblem } from '@polymode/contracts';
import type { z } from 'zod';
import { badRequest } from './errors.js';

/**
 * Parses a body, a query or form fields.
 *
 * @throws ApiError 400 that names the first field that is wrong
 */
export function parseRequest<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { message, param, code } = requestProblem(parsed.error, value);
  throw badRequest(message, param, code);
}

/**
 * PostgreSQL's text and JSON hold every character but NUL and halves of surrogate pairs.
 *
 * @param value strings, and objects of them to a bounded depth
 * @throws ApiError 400 that names the field which holds one
 */
export function requireStorable(value: unknown, path: readonly string[]): void {
  if (typeof value === 'string' && /[\0\p{Surrogate}]/u.test(value)) {
    const param = path.join('.');
    throw badRequest(`Invalid '${param}': it holds a NUL character or half a surrogate pair.`, param, 'invalid_value');
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    requireStorable(key, path);
    requireStorable(inner, [...path, key]);
  }
}
