// `npm run test:python`: OpenAI's Python package and schemathesis against an embedded stack; not a part of `npm test`.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { phase, prepare, root } from './prepare.mjs';

const folder = join(root, 'apps', 'api', 'test', 'python');
const requirements = join(folder, 'requirements.txt');

await prepare();
const python = await environment();
if (python === null) process.exit(0);
const { startStack } = await import(join(root, 'apps', 'cli', 'dist', 'stack.js'));
const dataDir = mkdtempSync(join(tmpdir(), 'polymode-python-'));
const stack = await startStack({ dataDir, port: 0, env: { POLYMODE_REQUESTS_PER_MINUTE: '0' } });
let failed = false;
try {
  console.log("\nOpenAI's Python package");
  failed = (await run(python, [join(folder, 'flows.py'), stack.baseURL, stack.apiKey])) !== 0;
  console.log('\nschemathesis');
  failed = (await run(python, schemathesis(stack))) !== 0 || failed;
} finally {
  await stack.stop();
  rmSync(dataDir, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);

/** A Python with what is pinned, made once; null where that cannot be. */
async function environment() {
  const base = process.env.POLYMODE_PYTHON ?? 'python3';
  const version = spawnSync(base, ['-c', 'import sys, venv, ensurepip; print(sys.version_info >= (3, 10))'], {
    encoding: 'utf8',
  });
  if (version.status !== 0 || version.stdout.trim() !== 'True') {
    console.log(`Skipped: '${base}' is no Python 3.10 or newer with venv. Name one in POLYMODE_PYTHON.`);
    return null;
  }
  const venv = join(root, '.polymode', 'test-python');
  const inside = join(venv, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
  const made = join(venv, 'made-of.txt');
  const wanted = readFileSync(requirements, 'utf8');
  if (existsSync(made) && readFileSync(made, 'utf8') === wanted) return inside;
  rmSync(venv, { recursive: true, force: true });
  await phase('Making a Python environment', base, ['-m', 'venv', venv]);
  const pip = spawnSync(
    inside,
    ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements],
    {
      encoding: 'utf8',
    },
  );
  if (pip.status !== 0) {
    console.log(
      `Skipped: the packages of ${requirements} cannot be installed here.\n${pip.stderr.trim().slice(-2000)}`,
    );
    return null;
  }
  writeFileSync(made, wanted);
  return inside;
}

/** Each operation of the document by itself and in sequences. What would end the project or key that asks is left to other tests. */
function schemathesis({ baseURL, apiKey }) {
  const checks = [
    'not_a_server_error',
    'status_code_conformance',
    'content_type_conformance',
    'response_schema_conformance',
  ];
  return [
    ...['-m', 'schemathesis.cli', 'run', `${baseURL.replace(/\/v1$/, '')}/openapi.json`, '--url', baseURL],
    ...['--header', `Authorization: Bearer ${apiKey}`, '--checks', checks.join(','), '--seed', '1'],
    ...[
      '--max-examples',
      process.env.POLYMODE_SCHEMATHESIS_EXAMPLES ?? '30',
      '--phases',
      'examples,coverage,fuzzing,stateful',
    ],
    ...['--exclude-operation-id', 'archiveProject', '--exclude-operation-id', 'deleteApiKey', '--no-color'],
  ];
}

function run(command, args) {
  const child = spawn(command, args, { cwd: dataDir, stdio: 'inherit' });
  return new Promise((resolve) => child.on('close', (code) => resolve(code ?? 1)));
}
