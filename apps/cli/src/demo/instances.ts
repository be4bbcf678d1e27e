import { tasks } from '@polymode/verifiers';

/** Fields of a voxel row: the observation that has many explanations. */
export interface VoxelRow {
  readonly messages: readonly { readonly role: 'user'; readonly content: string }[];
  readonly grid: number;
  readonly max_height: number;
  readonly top: string;
}

/** The 3×3 views of three blocks, split: the base model has never seen the held-out ones, and neither will the jobs. */
export function voxelSplit(): { training: VoxelRow[]; heldOut: VoxelRow[] } {
  const task = tasks['hypospace/voxel'];
  // The draw that the base model's corpus leaves out.
  const heldOut = task.generate({ blocks: 3, count: 20, seed: 2601 }) as VoxelRow[];
  const hidden = new Set(heldOut.map((row) => row.top));
  const training = (task.generate({ blocks: 3 }) as VoxelRow[]).filter((row) => !hidden.has(row.top));
  return { training, heldOut };
}

export function toJsonLines(rows: readonly object[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
}
