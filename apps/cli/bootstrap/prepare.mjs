// Turns a fresh clone into something that runs. Node's own modules only: nothing is installed yet.
import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../..', import.meta.url));

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Polymode needs Node 20.19 or newer; this is ${process.versions.node}.`);
  process.exit(1);
}

/** Installs the locked packages when they are missing or older than the lock file, then builds what has changed. */
export async function prepare() {
  if (!upToDate()) {
    // Warnings of packages that name a newer Node than they need would only worry the reader.
    await phase('Installing packages', 'npm', ['ci', '--loglevel=error', '--no-fund', '--no-audit']);
  }
  await phase('Building', process.execPath, [
    join(root, 'node_modules', 'turbo', 'bin', 'turbo'),
    'run',
    'build',
    '--output-logs=errors-only',
  ]);
}

function upToDate() {
  const [installed, locked] = [join(root, 'node_modules', '.package-lock.json'), join(root, 'package-lock.json')];
  return existsSync(installed) && statSync(installed).mtimeMs >= statSync(locked).mtimeMs;
}

/** Runs a command, saying what it is for and how long it took; its output is shown only if it fails. */
export async function phase(name, command, args) {
  const started = Date.now();
  process.stdout.write(`${name}… `);
  const { code, output } = await run(command, args);
  const seconds = ((Date.now() - started) / 1000).toFixed(0);
  process.stdout.write(code === 0 ? `${seconds} s\n` : `failed after ${seconds} s\n`);
  if (code === 0) return;
  process.stdout.write(output);
  process.exit(code);
}

function run(command, args) {
  const env = { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1', DEBIAN_FRONTEND: 'noninteractive' };
  const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks = [];
  child.stdout.on('data', (chunk) => chunks.push(chunk));
  child.stderr.on('data', (chunk) => chunks.push(chunk));
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ code: 1, output: `${error.message}\n` }));
    child.on('close', (code) => resolve({ code: code ?? 1, output: Buffer.concat(chunks).toString() }));
  });
}

/** Runs a script of ours in the foreground and ends with its exit code; Ctrl-C and SIGTERM reach it. */
export function handOver(script, args) {
  const child = spawn(process.execPath, [join(root, script), ...args], { cwd: root, stdio: 'inherit' });
  // A terminal sends Ctrl-C to both of us, a process manager only to this one; a second one does no harm.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  child.on('close', (code, signal) => process.exit(code ?? (signal === null ? 1 : 130)));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await prepare();
