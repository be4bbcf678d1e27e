import { RE2JS } from 're2js';
import { GraderConfigError } from './grader.js';

/**
 * A pattern in RE2's syntax. It is matched in time linear in the text, so that no pattern can hang the process; hence
 * there are no lookarounds and no back references.
 *
 * @param param the field that holds it, for errors
 * @throws GraderConfigError
 */
export function compileLinearRegex(pattern: string, param: string): RE2JS {
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
