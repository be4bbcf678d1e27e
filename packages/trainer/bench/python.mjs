import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * A Python that has what the peers need: POLYMODE_BENCH_PYTHON, or python3.
 *
 * @returns {{ python: string | null, reason: string }} why there is none, or how its packages differ from the pinned ones
 */
export function findPython(requirements) {
  const python = process.env.POLYMODE_BENCH_PYTHON ?? 'python3';
  const pinned = readFileSync(requirements, 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split('=='));
  const code = `
import importlib.metadata as m, json, sys
def version(name):
    try: return m.version(name)
    except m.PackageNotFoundError: return None
print(json.dumps({name: version(name) for name in sys.argv[1:]}))`;
  const { status, stdout, error } = spawnSync(python, ['-c', code, ...pinned.map(([name]) => name)], {
    encoding: 'utf8',
  });
  const how = `Make an environment with "pip install -r ${requirements}" and name its Python in POLYMODE_BENCH_PYTHON.`;
  if (status !== 0)
    return { python: null, reason: `${python} does not run${error ? `: ${error.message}` : ''}. ${how}` };
  const found = JSON.parse(stdout);
  const missing = pinned.filter(([name]) => found[name] === null).map(([name]) => name);
  if (missing.length > 0) return { python: null, reason: `${python} lacks ${missing.join(', ')}. ${how}` };
  const other = pinned.filter(([name, version]) => found[name].split('+')[0] !== version);
  return { python, reason: other.map(([name, version]) => `${name} ${found[name]} instead of ${version}`).join(', ') };
}
