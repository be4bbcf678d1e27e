import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonLinesReader, LineProblems } from './json-lines.js';

function read(bytes: Uint8Array, cuts: number[] = []) {
  const reader = new JsonLinesReader();
  const lines = [];
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    lines.push(...reader.push(bytes.subarray(from, cut)));
    from = cut;
  }
  lines.push(...reader.finish());
  return lines.map((line) => ('problem' in line ? [line.line, line.problem] : [line.line, line.object]));
}

describe('JsonLinesReader', () => {
  it('reads a mark, blank lines, CRLF and a last line without an end', () => {
    const text = '\ufeff{"a":1}\r\n\r\n   \n{"b":"ü"}';
    expect(read(Buffer.from(text))).toEqual([
      [1, { a: 1 }],
      [4, { b: 'ü' }],
    ]);
  });

  it('says what is wrong with a line and how it starts', () => {
    expect(read(Buffer.from('[1]\nnull\n{"a":}\n'))).toEqual([
      [1, 'is not a JSON object (the line starts with: [1])'],
      [2, 'is not a JSON object (the line starts with: null)'],
      [3, expect.stringMatching(/^is not JSON: .*\(the line starts with: \{"a":\}\)$/)],
    ]);
    expect(read(Buffer.from([0x22, 0xc3, 0x22, 0x0a]))).toEqual([[1, 'is not UTF-8 text']]);
  });

  it('reads the same lines however the bytes are cut', () => {
    const row = fc.oneof(
      fc.dictionary(fc.string(), fc.jsonValue()).map((value) => JSON.stringify(value)),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(row), fc.array(fc.nat(400)), (rows, cuts) => {
        const bytes = Buffer.from(rows.join('\n'));
        const sorted = cuts.filter((cut) => cut <= bytes.length).sort((a, b) => a - b);
        expect(read(bytes, sorted)).toEqual(read(bytes));
      }),
    );
  });

  it('reads back every object that JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.array(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue())), (objects) => {
        const lines = read(Buffer.from(objects.map((object) => `${JSON.stringify(object)}\n`).join('')));
        const expected = objects.map((object, i) => [i + 1, JSON.parse(JSON.stringify(object))]);
        expect(lines).toEqual(expected);
      }),
    );
  });

  it('counts a line that is too long without keeping it', () => {
    const reader = new JsonLinesReader();
    const piece = new Uint8Array(1024 * 1024).fill(0x20);
    for (let i = 0; i < 9; i++) expect([...reader.push(piece)]).toEqual([]);
    expect([...reader.push(Buffer.from('\n{"a":1}\n'))]).toMatchObject([
      { line: 1, problem: 'is longer than 8388608 bytes' },
      { line: 2, object: { a: 1 } },
    ]);
  });
});

describe('LineProblems', () => {
  it('counts lines, not problems', () => {
    const problems = new LineProblems();
    problems.add(3, 'is bad');
    problems.add(3, 'is worse');
    expect(String(problems)).toBe('1 invalid line:\nLine 3 is bad.\nLine 3 is worse.');
  });
});
