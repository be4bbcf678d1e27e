import { answerLine } from '../answer-line.js';
import type { Expression } from './expression.js';
import { parseExpression } from './grammar.js';
import type { CountdownInstance } from './space.js';

/** May stand before an expression, for models that write something else first. */
export const MARKER = 'Expression:';

/**
 * Reads an expression, and `= target` behind it if that is there.
 *
 * @returns null for what is none by the grammar, and where something else than the target stands behind the =
 */
export function parseAnswer(text: string, { target }: CountdownInstance): Expression | null {
  const [written = '', result] = answerLine(text, MARKER).split('=', 2);
  const claimed = result?.trim();
  return claimed === undefined || claimed === String(target) ? parseExpression(written.trim()) : null;
}
