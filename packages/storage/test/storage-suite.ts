import { createHash, randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { InvalidKeyError, ObjectNotFoundError, type Storage, StorageLimitError } from '@polymode/storage';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

/** What every storage must do. `open` gives an empty one; `stop` clears it away. */
export function testStorage(name: string, open: () => Promise<{ storage: Storage; stop(): Promise<void> }>): void {
  describe(name, () => {
    let storage: Storage;
    let stop: () => Promise<void>;
    beforeEach(async () => {
      ({ storage, stop } = await open());
    });
    afterEach(() => stop());

    const read = async (key: string, range?: { start: number; end: number }) => buffer(await storage.get(key, range));
    const keys = async (prefix: string) => {
      const found: string[] = [];
      for await (const key of storage.list(prefix)) found.push(key);
      return found;
    };
    const put = (key: string, text = key) => storage.put(key, Buffer.from(text));

    it('gives back what was put, with its size and hash', async () => {
      for (const bytes of [Buffer.alloc(0), Buffer.from('hello'), randomBytes(3_000_000)]) {
        const sha256 = createHash('sha256').update(bytes).digest('hex');
        expect(await storage.put('a/b.bin', bytes)).toEqual({ key: 'a/b.bin', bytes: bytes.length, sha256 });
        expect((await read('a/b.bin')).equals(bytes)).toBe(true);
        expect(await storage.stat('a/b.bin')).toEqual({ bytes: bytes.length });
      }
    });

    it('takes a stream of chunks', async () => {
      const chunks = Array.from({ length: 50 }, () => randomBytes(70_000));
      const whole = Buffer.concat(chunks);
      const stored = await storage.put(
        'stream',
        (async function* () {
          yield* chunks;
        })(),
      );
      expect(stored.sha256).toBe(createHash('sha256').update(whole).digest('hex'));
      expect((await read('stream')).equals(whole)).toBe(true);
    });

    it('reads ranges, both ends included', async () => {
      await put('digits', '0123456789');
      expect((await read('digits', { start: 2, end: 4 })).toString()).toBe('234');
      expect((await read('digits', { start: 9, end: 9 })).toString()).toBe('9');
      expect((await read('digits', { start: 7, end: 1000 })).toString()).toBe('789');
      for (const range of [
        { start: 10, end: 12 },
        { start: 4, end: 3 },
        { start: -1, end: 3 },
        { start: 0.5, end: 3 },
      ]) {
        await expect(storage.get('digits', range)).rejects.toThrow(RangeError);
      }
    });

    it('refuses what is larger than allowed and keeps the older object', async () => {
      await put('limited', 'old');
      const endless = async function* () {
        for (;;) yield Buffer.alloc(1000);
      };
      const refused = storage.put('limited', endless(), { maxBytes: 10_500 });
      await expect(refused).rejects.toThrow(StorageLimitError);
      await expect(refused).rejects.toMatchObject({ key: 'limited', maxBytes: 10_500 });
      await expect(storage.put('new', Buffer.alloc(11), { maxBytes: 10 })).rejects.toThrow(StorageLimitError);
      await storage.put('exact', Buffer.alloc(10), { maxBytes: 10 });
      expect((await read('limited')).toString()).toBe('old');
      expect(await keys('')).toEqual(['exact', 'limited']);
    });

    it('stores nothing when the data breaks off', async () => {
      const broken = async function* () {
        yield Buffer.from('half');
        throw new Error('the client went away');
      };
      await expect(storage.put('broken', broken())).rejects.toThrow('the client went away');
      expect(await storage.stat('broken')).toBeNull();
      expect(await keys('')).toEqual([]);
    });

    it('replaces an object as a whole, under readers and against other writers', async () => {
      const versions = Array.from({ length: 8 }, (_, n) => Buffer.alloc(200_000 + n, n));
      await storage.put('k', versions[0]!);
      const reading = await storage.get('k');
      await Promise.all(versions.map((version) => storage.put('k', version)));
      expect((await buffer(reading)).equals(versions[0]!)).toBe(true);
      const last = await read('k');
      expect(versions.some((version) => version.equals(last))).toBe(true);
    });

    it('says that there is nothing', async () => {
      await put('a/b');
      for (const key of ['none', 'a', 'a/b/c']) {
        await expect(storage.get(key)).rejects.toThrow(ObjectNotFoundError);
        expect(await storage.stat(key)).toBeNull();
        await storage.delete(key);
      }
      expect(await keys('none')).toEqual([]);
      await storage.deletePrefix('none');
      expect(await keys('')).toEqual(['a/b']);
    });

    it('lists keys in order, and deletes one or a folder of them', async () => {
      for (const key of ['j/2/w', 'j/10/w', 'j/2/a/b', 'j2/x', 'j/2.bak', 'J', '@=+~_-.x']) await put(key);
      expect(await keys('')).toEqual(['@=+~_-.x', 'J', 'j/10/w', 'j/2.bak', 'j/2/a/b', 'j/2/w', 'j2/x']);
      expect(await keys('j/2')).toEqual(['j/2/a/b', 'j/2/w']);
      await storage.deletePrefix('j/2');
      expect(await keys('j')).toEqual(['j/10/w', 'j/2.bak']);
      await storage.delete('j/10/w');
      await storage.deletePrefix('j/2.bak');
      expect(await keys('')).toEqual(['@=+~_-.x', 'J', 'j2/x']);
      await put('j/2', 'a key now, where there was a folder');
      expect(await keys('')).toContain('j/2');
    });

    it('survives many at once in folders that come and go', async () => {
      await Promise.all(
        Array.from({ length: 60 }, async (_, n) => {
          const key = `busy/${n % 3}/deep/${n}`;
          await put(key);
          if (n % 2 === 0) await storage.delete(key);
        }),
      );
      const odd = Array.from({ length: 60 }, (_, n) => `busy/${n % 3}/deep/${n}`).filter((_, n) => n % 2 === 1);
      expect(await keys('busy')).toEqual(odd.toSorted());
    });

    it.each([
      '',
      '/',
      '/etc/passwd',
      '../up',
      'a/../../up',
      'a/./b',
      '..',
      'a//b',
      'a/',
      'a\\..\\b',
      'nul\0byte',
      'sp ace',
      'ünicode',
      'a%2e%2e',
      'C:x',
      'x'.repeat(201),
      'abc/'.repeat(300),
    ])('refuses the key %j everywhere', async (key) => {
      await expect(put(key)).rejects.toThrow(InvalidKeyError);
      await expect(storage.get(key)).rejects.toThrow(InvalidKeyError);
      await expect(storage.stat(key)).rejects.toThrow(InvalidKeyError);
      await expect(storage.delete(key)).rejects.toThrow(InvalidKeyError);
      await expect(storage.deletePrefix(key)).rejects.toThrow(InvalidKeyError);
      if (key !== '') await expect(keys(key)).rejects.toThrow(InvalidKeyError);
    });
  });
}
