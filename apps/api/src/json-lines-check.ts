import { badRequest } from './errors.js';
import { JsonLinesReader, LineProblems } from './json-lines.js';

/** Looks at the lines of a file for fine-tuning while its bytes go by. */
export class JsonLinesCheck {
  private readonly reader = new JsonLinesReader();
  private readonly problems = new LineProblems();
  private rows = 0;

  push(piece: Uint8Array): void {
    this.look(this.reader.push(piece));
  }

  /**
   * After the last piece.
   *
   * @param param of the request that brought the bytes
   * @throws ApiError 400 that lists the lines which hold no JSON object
   */
  finish(param: string): void {
    this.look(this.reader.finish());
    if (this.problems.count > 0) {
      const message = `Expected file to have JSONL format, where every line is a JSON object. The file has ${this.problems}`;
      throw badRequest(message, param, 'invalid_jsonl');
    }
    if (this.rows === 0) {
      throw badRequest('The file has no lines. Write one JSON object a line.', param, 'invalid_jsonl');
    }
  }

  private look(lines: ReturnType<JsonLinesReader['push']>): void {
    for (const line of lines) {
      this.rows++;
      if ('problem' in line) this.problems.add(line.line, line.problem);
    }
  }
}

/** @throws ApiError 400 */
export function requireJsonLinesName(filename: string, param: string): void {
  if (filename.toLowerCase().endsWith('.jsonl')) return;
  const message = `Invalid file format for fine-tuning: '${filename}'. Upload a file whose name ends in .jsonl.`;
  throw badRequest(message, param, 'invalid_file_format');
}
