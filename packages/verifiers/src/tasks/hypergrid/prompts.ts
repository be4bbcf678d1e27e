import { MARKER, STOP } from './answer.js';
import { AXES, type HypergridInstance, USUAL_REWARDS } from './grid.js';

/** `Grid: 8x8`, and the rewards when they are not the usual ones. */
export function compactPrompt({ dimensions, side, rewards }: HypergridInstance): string {
  const { r0, r1, r2 } = rewards;
  const usual = r0 === USUAL_REWARDS.r0 && r1 === USUAL_REWARDS.r1 && r2 === USUAL_REWARDS.r2;
  return `Grid: ${sizeOf(dimensions, side)}\n${usual ? '' : `Rewards: ${r0} ${r1} ${r2}\n`}`;
}

export function fullPrompt({ dimensions, side, rewards }: HypergridInstance): string {
  const names = [...AXES.slice(0, dimensions)];
  const { r0, r1, r2 } = rewards;
  const once = [...new Set([names[0], names[dimensions - 1]])];
  const example = side > 2 ? [...once, names[0]] : once;
  return `You stand at the origin of a ${sizeOf(dimensions, side)} grid. Each coordinate runs from 0 to ${side - 1}.

Moves: ${names.map((name) => `${name} (adds 1 to coordinate ${name})`).join(', ')}, and ${STOP}, which ends the path.

The cell in which you stop earns a reward. With t = 2c/${side - 1} - 1 for a coordinate c:
- every cell earns ${r0}
- ${r1} more if |t| > 0.5 for every coordinate
- ${r2} more if 0.6 < |t| < 0.8 for every coordinate

Task: choose a cell in proportion to its reward, and write a path to it. Do not leave the grid.

Answer with one line, the moves with spaces between them and then ${STOP}, for example:
${MARKER} ${example.join(' ')} ${STOP}
`;
}

function sizeOf(dimensions: number, side: number): string {
  return Array.from({ length: dimensions }, () => side).join('x');
}
