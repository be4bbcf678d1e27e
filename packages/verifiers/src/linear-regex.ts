import { RE2JS } from 're2js';
import { GraderConfigError } from './grader.js';

/** Instructions: matching takes their number times the text's length at worst. */
const LARGEST_PROGRAM = 500;

/**
 * A pattern in RE2's syntax. It is matched in time linear in the text, so that no pattern can hang the process; hence
 * there are no lookarounds and no back references.
 *
 * @param param the field that holds it, for errors
 * @throws GraderConfigError
 */
export function compileLinearRegex(pattern: string, param: string): RE2JS {
  const compiled = compile(pattern, param);
  if (compiled.programSize() > LARGEST_PROGRAM) {
    throw new GraderConfigError(
      `'${pattern.slice(0, 100)}' takes ${compiled.programSize()} steps a character, and at most ${LARGEST_PROGRAM} are ` +
        'taken. Lower its repeat counts, or use * and +.',
      param,
    );
  }
  return compiled;
}

function compile(pattern: string, param: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new GraderConfigError(
      `'${pattern}' is no regular expression in RE2's syntax, which has neither lookarounds nor back references: ${reason}.`,
      param,
    );
  }
}
