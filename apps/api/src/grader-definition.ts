import { compileGrader, type Grader, GraderConfigError } from '@polymode/verifiers';
import { badRequest } from './errors.js';

/**
 * Makes a grader of its definition.
 *
 * @param inside where the grader sits in the request, with a dot at its end
 * @throws ApiError 400 that names the field of the definition to change
 */
export function graderOf(definition: unknown, inside = ''): Grader {
  try {
    return compileGrader(definition);
  } catch (error) {
    if (!(error instanceof GraderConfigError)) throw error;
    throw badRequest(error.message, `${inside}${error.param}`, 'invalid_grader');
  }
}
