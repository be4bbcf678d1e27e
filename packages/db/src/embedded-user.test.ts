import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chooseUser, type RunAs } from './embedded-user.js';

const asRoot = process.platform === 'linux' && process.getuid?.() === 0;

describe.skipIf(!asRoot)('chooseUser as root', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'polymode-user-')); // closed to all but its owner
  });
  afterEach(() => rm(folder, { recursive: true }));

  const run = ({ prefix, spawnAs }: RunAs, ...command: string[]) => {
    const [file = '', ...args] = [...prefix, ...command];
    return execFileSync(file, args, { ...spawnAs, cwd: '/', encoding: 'utf8' }).trim();
  };

  it('takes an ordinary user, who can run programs in folders that are closed to it', async () => {
    const program = join(folder, 'program');
    await writeFile(program, '#!/bin/sh\nid -u\n');
    await chmod(program, 0o755);
    const user = await chooseUser(join(folder, 'cluster'), [folder]);
    const uid = Number(run(user, 'id', '-u'));
    expect(uid).toBeGreaterThan(0);
    expect(uid).toBe(user.owner?.uid);
    expect(run(user, program)).toBe(String(uid));
    run(user, 'test', '-x', program); // throws when it is not
    await chmod(folder, 0o711);
    expect((await chooseUser(join(folder, 'cluster'), [folder])).prefix).toEqual([]);
  });

  it('keeps to the user that an existing cluster belongs to', async () => {
    const cluster = join(folder, 'cluster');
    await mkdir(cluster);
    await chown(cluster, 12345, 12345);
    await chmod(folder, 0o711);
    expect((await stat(cluster)).uid).toBe(12345);
    expect(run(await chooseUser(cluster, [folder]), 'id', '-u')).toBe('12345');
  });
});

describe.skipIf(asRoot || process.platform === 'win32')('chooseUser as an ordinary user', () => {
  it('changes nothing', async () => {
    expect(await chooseUser('/nowhere', [])).toEqual({ prefix: [], spawnAs: {}, owner: null });
  });
});
