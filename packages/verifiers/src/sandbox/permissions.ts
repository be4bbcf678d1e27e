import { realpathSync } from 'node:fs';

/**
 * Flags of Node for a process that runs code of users. It may read the given files and folders, and nothing else: no
 * writing, no child processes, threads or native addons; text cannot become JavaScript.
 *
 * @param readable absolute paths
 */
export function sandboxFlags(readable: readonly string[], heapMb: number): string[] {
  // Node 20 knows the permission model by the first name; the second is the one that stays.
  const stable = process.allowedNodeEnvironmentFlags.has('--permission');
  return [
    stable ? '--permission' : '--experimental-permission',
    ...[...new Set(readable.map((path) => realpathSync(path)))].map((path) => `--allow-fs-read=${path}`),
    '--disallow-code-generation-from-strings',
    '--experimental-vm-modules',
    '--no-warnings',
    '--no-addons',
    `--max-old-space-size=${heapMb}`,
  ];
}
