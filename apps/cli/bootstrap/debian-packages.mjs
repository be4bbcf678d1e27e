// Debian packages that some tests run against: a real Redis, and a Vulkan device in software for WebGPU.
import { existsSync, readdirSync } from 'node:fs';
import { phase } from './prepare.mjs';

const WANTED = [
  { name: 'redis-server', files: ['/usr/bin/redis-server'], for: 'the queue on Redis' },
  // The file is in chromium-common, which Debian's chromium depends on.
  {
    name: 'chromium',
    files: ['/usr/lib/chromium/vk_swiftshader_icd.json'],
    for: 'WebGPU without a GPU (SwiftShader)',
  },
  {
    name: 'libvulkan1',
    files: ['/usr/lib/x86_64-linux-gnu/libvulkan.so.1', '/usr/lib/aarch64-linux-gnu/libvulkan.so.1'],
    for: 'WebGPU',
  },
];

/** Installs what is missing where that is possible; elsewhere says which tests will be skipped, and why. */
export async function installTestPackages() {
  const missing = findMissing();
  if (missing.length === 0) return;
  const obstacle = !existsSync('/usr/bin/apt-get')
    ? 'there is no apt-get to install it with'
    : process.getuid?.() !== 0
      ? 'only root can install it'
      : undefined;
  if (obstacle !== undefined) return announceSkips(missing, obstacle);
  const names = missing.map(({ name }) => name);
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
  // Ubuntu's chromium is a pointer to a snap and brings no SwiftShader.
  announceSkips(findMissing(), "this system's package does not bring the file");
}

/** Looks for the files, not the package names: dpkg still knows a package that was removed but left its settings. */
function findMissing() {
  return WANTED.filter(({ files }) => !files.some((file) => existsSync(file)));
}

function announceSkips(missing, reason) {
  for (const { name, files, for: purpose } of missing)
    console.log(`Tests of ${purpose} will be skipped: ${files[0]} (package ${name}) is missing, and ${reason}.`);
}

function hasLists() {
  try {
    return readdirSync('/var/lib/apt/lists').some((name) => /_Packages(\.\w+)?$/.test(name));
  } catch {
    return false;
  }
}
