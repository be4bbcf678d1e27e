import { gridLines, makeStructure, type Structure } from './structure.js';

const SKIPPED = /^(?:Note:|Reasoning:|Explanation:)/;

/** Inside a layer, a line with any of these ends the answer: the model has begun to explain itself. */
const END_OF_ANSWER = [
  'therefore',
  'because',
  'since',
  'thus',
  'hence',
  'reasoning:',
  'explanation:',
  'note:',
  'this means',
  'this structure',
  'the structure',
  'i chose',
  'i created',
];

/** Characters; longer lines inside a layer are prose, whatever is in them. A row of the largest grid fits. */
const LONGEST_ROW = 100;

/**
 * Reads `Structure:`, then `Layer 1:` and its rows, `Layer 2:` and so on. Lines that are no rows of integers are prose
 * and skipped; a layer out of order, or a line that begins an explanation, ends the answer.
 *
 * @returns null when there is no layer, or when one has other than N rows of N bits
 */
export function parseStructure(text: string, grid: number): Structure | null {
  const lines = text.split('\n').map((line) => line.trim());
  let start = lines.findIndex((line) => line.includes('Structure:'));
  if (start < 0) start = lines.findIndex((line) => line.startsWith('Layer 1:'));
  if (start < 0) return null;

  const layers = readLayers(lines.slice(start));
  while (layers.length > 0 && layers[layers.length - 1]!.length === 0) layers.pop();
  if (layers.length === 0) return null;
  const bits: string[] = [];
  for (const rows of layers) {
    if (rows.length !== grid) return null;
    if (rows.some((row) => row.length !== grid || row.some((value) => value !== 0 && value !== 1))) return null;
    bits.push(rows.flat().join(''));
  }
  return makeStructure(grid, bits);
}

/** Rows of integers of every layer, as far as the answer goes. */
function readLayers(lines: readonly string[]): number[][][] {
  const layers: number[][][] = [];
  for (const line of lines) {
    if (line === '' || SKIPPED.test(line)) continue;
    if (line.startsWith('Layer ')) {
      const number = /^Layer\s+(\d+)/.exec(line)?.[1];
      if (number === undefined) continue;
      if (Number(number) !== layers.length + 1) break;
      layers.push([]);
      continue;
    }
    const layer = layers[layers.length - 1];
    if (layer === undefined) continue;
    const lower = line.toLowerCase();
    if (END_OF_ANSWER.some((words) => lower.includes(words))) break;
    if (line.length > LONGEST_ROW) continue;
    const row = parseRow(line);
    if (row !== null) layer.push(row);
  }
  return layers;
}

/** null when the line is prose. Separators are commas if there are any, else bars, else white space. */
function parseRow(line: string): number[] | null {
  const inner = line.replace(/^\[+/, '').replace(/\]+$/, '');
  const separator = inner.includes(',') ? ',' : inner.includes('|') ? '|' : /\s+/;
  const tokens = inner
    .split(separator)
    .map((token) => token.trim())
    .filter((token) => token !== '');
  if (tokens.length === 0 || !tokens.every((token) => /^[+-]?\d+$/.test(token))) return null;
  // + 0 makes a zero of −0.
  return tokens.map((token) => Number(token) + 0);
}

/** The answer in the form that the prompts ask for; no newline at the end. */
export function renderStructure({ grid, layers }: Structure): string {
  return ['Structure:', ...layers.flatMap((layer, i) => [`Layer ${i + 1}:`, ...gridLines(layer, grid)])].join('\n');
}
