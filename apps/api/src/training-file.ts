import { hash } from 'node:crypto';
import type { FileRecord } from '@polymode/db';
import type { Storage } from '@polymode/storage';
import { badRequest } from './errors.js';
import { JsonLinesReader, LineProblems } from './json-lines.js';

export type FileRole = 'training_file' | 'validation_file';

/** How many rows a job's files may have. */
export interface RowBounds {
  /** Of the training file. */
  readonly least: number;
  readonly most: Readonly<Record<FileRole, number>>;
}

export interface CheckedFile {
  rows: number;
  /** Digest of each distinct row's bytes, to find rows that two files share. */
  digests: Set<string>;
}

/**
 * Reads a file and checks each of its rows.
 *
 * @param rowProblems what is wrong with one row, each to follow the words "Line 3"
 * @throws ApiError 400 with code `invalid_training_file` (or `invalid_validation_file`) that lists the wrong lines, or
 *   `invalid_n_examples` when there are too few or too many
 */
export async function checkTrainingFile(
  storage: Storage,
  file: FileRecord,
  role: FileRole,
  rowProblems: (row: Record<string, unknown>) => string[],
  bounds: RowBounds,
): Promise<CheckedFile> {
  const reader = new JsonLinesReader();
  const problems = new LineProblems();
  const digests = new Set<string>();
  let rows = 0;
  const check = (lines: ReturnType<JsonLinesReader['push']>) => {
    for (const line of lines) {
      rows++;
      if ('problem' in line) {
        problems.add(line.line, line.problem);
        continue;
      }
      for (const problem of rowProblems(line.object)) problems.add(line.line, problem);
      digests.add(hash('sha256', line.bytes, 'base64'));
    }
  };
  for await (const piece of await storage.get(file.storageKey)) check(reader.push(piece));
  check(reader.finish());

  const label = role === 'training_file' ? 'Training file' : 'Validation file';
  if (problems.count > 0) {
    throw badRequest(`${label} ${file.id} has ${problems}`, role, `invalid_${role}`);
  }
  const least = role === 'training_file' ? bounds.least : 1;
  const most = bounds.most[role];
  if (rows < least) {
    const message = `${label} has ${rows} example(s), but must have at least ${least} example${least === 1 ? '' : 's'}`;
    throw badRequest(message, role, 'invalid_n_examples');
  }
  if (rows > most) {
    const message = `${label} has ${rows} example(s), but may have at most ${most} examples`;
    throw badRequest(message, role, 'invalid_n_examples');
  }
  return { rows, digests };
}
