// Debian packages that some tests run against: a real Redis, and a Vulkan device in software for WebGPU.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { phase } from './prepare.mjs';

const WANTED = [
  { name: 'redis-server', file: '/usr/bin/redis-server', for: 'the queue on Redis' },
  { name: 'chromium', file: '/usr/lib/chromium/vk_swiftshader_icd.json', for: 'WebGPU without a GPU (SwiftShader)' },
  { name: 'libvulkan1', file: '/usr/lib/x86_64-linux-gnu/libvulkan.so.1', for: 'WebGPU' },
];

/** Installs what is missing where that is possible; elsewhere says which tests will be skipped. */
export async function installTestPackages() {
  const missing = WANTED.filter(({ file, name }) => !existsSync(file) && !hasPackage(name));
  if (missing.length === 0) return;
  const names = missing.map(({ name }) => name);
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
    for (const { name, for: purpose } of missing)
      console.log(`Tests of ${purpose} will be skipped: ${name} is not installed.`);
    return;
  }
  if (!hasLists()) await phase('Reading the Debian package lists', 'apt-get', ['update', '-qq']);
  // RUNLEVEL=1 keeps the packages' own services from starting.
  await phase(`Installing ${names.join(', ')} for the tests`, 'env', [
    'RUNLEVEL=1',
    'apt-get',
    'install',
    '-y',
    '-qq',
    '--no-install-recommends',
    ...names,
  ]);
}

function hasPackage(name) {
  return spawnSync('dpkg', ['-s', name], { stdio: 'ignore' }).status === 0;
}

function hasLists() {
  try {
    return readdirSync('/var/lib/apt/lists').some(
      (name) => name.endsWith('_Packages') || name.endsWith('_Packages.lz4'),
    );
  } catch {
    return false;
  }
}
