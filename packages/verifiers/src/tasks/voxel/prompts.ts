import { gridLines, type VoxelInstance } from './structure.js';

/** The height that the compact prompt leaves out. */
const USUAL_HEIGHT = 3;

export function compactPrompt({ grid, max_height, top }: VoxelInstance): string {
  const height = max_height === USUAL_HEIGHT ? [] : [`Max height: ${max_height}`];
  return [...height, 'Top view:', ...gridLines(top, grid)].map((line) => `${line}\n`).join('');
}

export function fullPrompt({ grid, max_height, top }: VoxelInstance): string {
  const size = `${grid}x${grid}`;
  const most = `${max_height} ${max_height === 1 ? 'layer' : 'layers'}`;
  return `Unit blocks are stacked on a ${size} grid. The stack is at most ${most} high.
You see it from above only: a cell of the view is 1 if at least one layer has a block in that cell, and 0 if none has.

Top view:
${gridLines(top, grid).join('\n')}

Structures given so far:
None

Task: give one complete structure that looks like this from above.

How a structure is written:
- as layers, the bottom one first
- each layer as ${grid} rows of ${grid} values, 1 for a block and 0 for no block
- with at most ${most}

Rules:
1. Layer 1 lies on the ground and must hold at least one block.
2. A block in any higher layer needs a block in the same cell of the layer right below it.
3. Leave out layers that are empty.
4. Layers are numbered upward, starting with Layer 1.
5. Do not use more than ${most}.

Answer in this form:
Structure:
Layer 1:
<${grid} rows, values separated by spaces>
Layer 2:
<${grid} rows, values separated by spaces>
and so on for as many layers as you need.

For example, on a 3x3 grid, a structure of two layers:
Structure:
Layer 1:
0 1 1
0 1 0
0 0 0
Layer 2:
0 1 0
0 0 0
0 0 0
Three cells are filled on the ground. The one block of Layer 2 is in the middle of the first row, and the cell below it is filled, so it is supported.

Do not answer like this:
- a first layer of zeros only
- commas between values (0,1,1 instead of 0 1 1)
- blocks with nothing below them
- more than ${most}
`;
}
