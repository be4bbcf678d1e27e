import { MARKER } from './answer.js';
import type { CountdownInstance } from './space.js';

export function compactPrompt({ numbers, target }: CountdownInstance): string {
  return `Numbers: ${numbers.join(' ')}\nTarget: ${target}\n`;
}

export function fullPrompt({ numbers, target }: CountdownInstance): string {
  return `Reach ${target} with the numbers ${numbers.join(', ')}.

Rules:
1. Use each number at most once${new Set(numbers).size < numbers.length ? '; one that is listed twice may be used twice' : ''}. Not all need be used.
2. Combine them with +, -, * and / and parentheses.
3. Every result on the way must be a positive whole number: nothing negative, no zero, no fractions.
4. No other numbers, no sign in front of a number, and nothing like powers or joined digits.

Solutions given so far:
None

Task: give one expression that equals ${target}. Those that differ only in the order or grouping of additions and subtractions, or of multiplications and divisions, count as the same.

Answer with one line, for example for the target 9 with the numbers 2, 3, 4, 7:
${MARKER} (7 - 4) * 3
`;
}
