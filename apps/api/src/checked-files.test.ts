import { describe, expect, it } from 'vitest';
import { CheckedFiles } from './checked-files.js';

const file = (rows: number) => ({ rows, digests: new Set<string>() });

describe('checked files', () => {
  it('are checked once for a question, and again for another', async () => {
    const files = new CheckedFiles();
    let checks = 0;
    const find = (key: string, asked: string) =>
      files.find(key, asked, async () => {
        checks++;
        return file(3);
      });
    const first = await find('a', 'x');
    expect(await find('a', 'x')).toBe(first);
    expect(checks).toBe(1);
    await find('a', 'y');
    await find('b', 'x');
    expect(checks).toBe(3);
  });

  it('that are wrong are not remembered', async () => {
    const files = new CheckedFiles();
    await expect(files.find('a', 'x', () => Promise.reject(new Error('wrong')))).rejects.toThrow('wrong');
    expect((await files.find('a', 'x', async () => file(2))).rows).toBe(2);
  });

  it('give way to newer ones, those used longest ago first', async () => {
    const files = new CheckedFiles(10);
    const checked: string[] = [];
    const find = (key: string, rows: number) =>
      files.find(key, '', async () => {
        checked.push(key);
        return file(rows);
      });
    await find('a', 4);
    await find('b', 4);
    await find('a', 4);
    await find('c', 4);
    await find('a', 4);
    await find('b', 4);
    expect(checked).toEqual(['a', 'b', 'c', 'b']);
    // One that is larger than all that may be kept is not kept.
    await find('d', 11);
    await find('d', 11);
    expect(checked.slice(4)).toEqual(['d', 'd']);
  });
});
