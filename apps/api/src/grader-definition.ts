import {
  compileGrader,
  compileOutcome,
  type Grader,
  GraderConfigError,
  GraderRuntimeError,
  type GraderServices,
  type Outcome,
} from '@polymode/verifiers';
import { ApiError, badRequest } from './errors.js';

/**
 * Makes a grader of its definition and tries what only shows when it runs, such as imports of its code.
 *
 * @param inside where the grader sits in the request, with a dot at its end
 * @throws ApiError 400 that names the field of the definition to change; 503 when there is nothing to run it in
 */
export async function graderOf(definition: unknown, services: GraderServices, inside = ''): Promise<Grader> {
  try {
    const grader = compileGrader(definition, services);
    await grader.check?.();
    return grader;
  } catch (error) {
    if (error instanceof GraderRuntimeError) {
      throw new ApiError(503, {
        message: `The grader cannot be checked now: ${error.message}`,
        param: `${inside}grader`,
        code: 'grader_unavailable',
      });
    }
    throw refusal(error, inside, 'invalid_grader');
  }
}

/**
 * Makes the rule of what counts as the same answer.
 *
 * @param definition left out: the grader's own
 * @throws ApiError 400 that names the field of the definition to change
 */
export function outcomeOf(definition: unknown, grader: Grader, inside = ''): Outcome {
  try {
    return compileOutcome(definition, grader);
  } catch (error) {
    throw refusal(error, inside, 'invalid_outcome');
  }
}

function refusal(error: unknown, inside: string, code: string): unknown {
  return error instanceof GraderConfigError ? badRequest(error.message, `${inside}${error.param}`, code) : error;
}
