/** The view from above of a stack of blocks on an N×N grid, and how high the stack may be. */
// A type rather than an interface, so that an instance can be handed on as the fields of a row.
export type VoxelInstance = {
  /** N, cells a side */
  readonly grid: number;
  /** H ≥ 1, layers */
  readonly max_height: number;
  /** N·N bits, row-major: 1 where any layer has a block */
  readonly top: string;
};

/** Layers from the ground up, N·N bits each, row-major; no empty layer on top unless it is the only one. */
export interface Structure {
  readonly grid: number;
  readonly layers: readonly string[];
}

/** @param layers at least one, from the ground up */
export function makeStructure(grid: number, layers: readonly string[]): Structure {
  let height = layers.length;
  while (height > 1 && !layers[height - 1]!.includes('1')) height--;
  return { grid, layers: layers.slice(0, height) };
}

/** `3x3:101000000/100000000`: layers from the ground up. */
export function structureKey({ grid, layers }: Structure): string {
  return `${grid}x${grid}:${layers.join('/')}`;
}

/** @throws RangeError unless `key` is what `structureKey` returns for some structure */
export function structureFromKey(key: string): Structure {
  const [, side, bits] = /^(\d+)x\1:([01/]+)$/.exec(key) ?? [];
  const grid = Number(side);
  const layers = (bits ?? '').split('/');
  const structure = makeStructure(grid, layers);
  if (layers.some((l) => l.length !== grid * grid) || structureKey(structure) !== key) {
    throw new RangeError(`'${key}' is not the key of a structure; one looks like 2x2:1100/1000.`);
  }
  return structure;
}

/** Whether the structure explains the view: same view from above, every block supported, not too tall. */
export function explains({ grid, layers }: Structure, instance: VoxelInstance): boolean {
  if (grid !== instance.grid || layers.length > instance.max_height) return false;
  for (let cell = 0; cell < grid * grid; cell++) {
    // A supported column has its blocks at the bottom, so the ground layer is the view.
    let supported = true;
    for (const layer of layers) {
      const block = layer[cell] === '1';
      if (block && !supported) return false;
      supported = block;
    }
    if (layers[0]![cell] !== instance.top[cell]) return false;
  }
  return true;
}

/** Every structure that explains the view: each filled cell has a height of 1..H, so there are H^k of them. */
export function explanations(instance: VoxelInstance): Structure[] {
  const filled = [...instance.top].flatMap((bit, cell) => (bit === '1' ? [cell] : []));
  const heights = filled.map(() => 1);
  const found: Structure[] = [];
  while (true) {
    const layers: string[] = [];
    for (let z = 1; z <= Math.max(1, ...heights); z++) {
      const cells = Array.from(instance.top, () => '0');
      filled.forEach((cell, i) => {
        if (heights[i]! >= z) cells[cell] = '1';
      });
      layers.push(cells.join(''));
    }
    found.push({ grid: instance.grid, layers });
    let i = heights.length - 1;
    while (i >= 0 && heights[i] === instance.max_height) heights[i--] = 1;
    if (i < 0) return found;
    heights[i]!++;
  }
}

/** Rows of N bits, spaces between. */
export function gridLines(bits: string, grid: number): string[] {
  return Array.from({ length: grid }, (_, row) => [...bits.slice(row * grid, (row + 1) * grid)].join(' '));
}
