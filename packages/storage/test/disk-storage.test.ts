import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidKeyError, openStorage } from '@polymode/storage';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { testStorage } from './storage-suite.js';

testStorage('local disk', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'polymode-storage-'));
  return { storage: openStorage({ dir }), stop: () => rm(dir, { recursive: true }) };
});

describe('local disk only', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'polymode-storage-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  it('tells where an object lies', async () => {
    const storage = openStorage({ dir });
    await storage.put('a/b', Buffer.from('x'));
    expect(await readFile(storage.localPath?.('a/b') ?? '', 'utf8')).toBe('x');
    expect(storage.localPath?.('a')).toBeNull();
    expect(storage.localPath?.('none')).toBeNull();
    expect(() => storage.localPath?.('../../etc/passwd')).toThrow(InvalidKeyError);
  });

  it('a key and a folder of the same name exclude each other', async () => {
    const storage = openStorage({ dir });
    await storage.put('a/b', Buffer.from('x'));
    await expect(storage.put('a', Buffer.from('y'))).rejects.toThrow(/folder of other objects/);
    await expect(storage.put('a/b/c', Buffer.from('y'))).rejects.toThrow(/an object already/);
    expect(await readdir(join(dir, 'incoming'))).toEqual([]);
  });

  it('a killed writer leaves no object, and the next opening clears up what it left', async () => {
    const script = `
      import { openStorage } from '@polymode/storage';
      const storage = openStorage({ dir: process.argv[1] });
      await storage.put('done', Buffer.from('whole'));
      await storage.put('torn', (async function* () {
        yield Buffer.alloc(100_000);
        process.stdout.write('half written');
        await new Promise((resolve) => setTimeout(resolve, 600_000));
      })());`;
    const writer = spawn(process.execPath, ['--input-type=module', '-e', script, dir], {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(writer.stdout, 'data');
    openStorage({ dir }); // leaves alone what a living process is writing
    expect(await readdir(join(dir, 'incoming'))).toHaveLength(1);
    writer.kill('SIGKILL');
    await once(writer, 'exit');
    const storage = openStorage({ dir });
    expect(await readdir(join(dir, 'incoming'))).toEqual([]);
    expect(await storage.stat('torn')).toBeNull();
    expect(await storage.stat('done')).toEqual({ bytes: 5 });
  });

  it('opening also clears up after our own number in an earlier life, and after other machines in a day', async () => {
    openStorage({ dir });
    const incoming = join(dir, 'incoming');
    const age = async (name: string, hours: number) => {
      await writeFile(join(incoming, name), 'x');
      const time = new Date(Date.now() - hours * 3_600_000);
      await utimes(join(incoming, name), time, time);
    };
    await age(`${hostname()}_${process.pid}_earlier`, 5);
    await age(`${hostname()}_${process.pid}_now`, 0);
    await age('another-machine_1_fresh', 5);
    await age('another-machine_1_old', 30);
    openStorage({ dir });
    expect((await readdir(incoming)).toSorted()).toEqual(
      [`${hostname()}_${process.pid}_now`, 'another-machine_1_fresh'].toSorted(),
    );
  });
});
