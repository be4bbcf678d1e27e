import type { Storage } from '@polymode/storage';

/** Rows of a stored JSONL file, one at a time. @param lines gets the line of each row, counted from 1 */
export async function* storedRows<Row>(storage: Storage, storageKey: string, lines: number[]): AsyncGenerator<Row> {
  const stream = (await storage.get(storageKey)).setEncoding('utf8');
  let line = 0;
  let rest = '';
  const row = (text: string): Row | null => {
    line++;
    const json = line === 1 ? text.replace(/^\uFEFF/, '') : text;
    if (json.trim() === '') return null;
    lines.push(line);
    return JSON.parse(json) as Row;
  };
  for await (const piece of stream as AsyncIterable<string>) {
    const complete = (rest + piece).split('\n');
    rest = complete.pop()!;
    for (const text of complete) {
      const read = row(text);
      if (read !== null) yield read;
    }
  }
  const last = row(rest);
  if (last !== null) yield last;
}
