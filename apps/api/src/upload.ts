import { CreateFileFields, type FilePurpose } from '@polymode/contracts';
import { type Storage, StorageLimitError, type StoredObject } from '@polymode/storage';
import type { FastifyRequest } from 'fastify';
import { parse as parseFields } from 'qs';
import { ApiError, badRequest } from './errors.js';
import { JsonLinesReader, LineProblems } from './json-lines.js';
import { parseRequest } from './validation.js';

type UploadedPart = Exclude<Awaited<ReturnType<FastifyRequest['file']>>, undefined>;

export interface Upload {
  stored: StoredObject;
  filename: string;
  purpose: FilePurpose;
  /** Seconds after its creation; null: never. */
  expiresAfter: number | null;
}

interface ReceivedFile {
  stored: StoredObject;
  filename: string;
  rows: number;
  problems: LineProblems;
}

/**
 * Streams an uploaded form's file into storage under `key` while looking at its lines, then checks the form's fields, which
 * may come after the file.
 *
 * @throws ApiError, and nothing stays in storage then
 */
export async function receiveUpload(
  request: FastifyRequest,
  storage: Storage,
  key: string,
  maxBytes: number,
): Promise<Upload> {
  const fields: [string, string][] = [];
  let file: ReceivedFile | undefined;
  try {
    for await (const part of multipartOf(request)) {
      if (part.type === 'field') {
        fields.push([part.fieldname, String(part.value)]);
      } else if (part.fieldname === 'file') {
        file = await receiveFile(part, storage, key, maxBytes);
      } else {
        part.file.resume();
        throw badRequest(
          `Unknown file part: '${part.fieldname}'. Send the file as 'file'.`,
          part.fieldname,
          'unknown_parameter',
        );
      }
    }
    return checkUpload(file, fields);
  } catch (error) {
    await storage.delete(key);
    throw error;
  }
}

/** The parts of the form. What the parser says against a form is the client's to mend. */
async function* multipartOf(request: FastifyRequest): ReturnType<FastifyRequest['parts']> {
  const parts = request.parts();
  for (;;) {
    let next: Awaited<ReturnType<typeof parts.next>>;
    try {
      next = await parts.next();
    } catch (error) {
      throw brokenForm(error);
    }
    if (next.done) return;
    yield next.value;
  }
}

function brokenForm(error: unknown): unknown {
  // Limits that the plugin refuses for have a status of their own.
  if (error instanceof Error && 'statusCode' in error) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return badRequest(`The multipart form is broken: ${reason}.`, null, 'invalid_multipart');
}

async function receiveFile(part: UploadedPart, storage: Storage, key: string, maxBytes: number): Promise<ReceivedFile> {
  const reader = new JsonLinesReader();
  const problems = new LineProblems();
  let rows = 0;
  const look = (lines: ReturnType<JsonLinesReader['push']>) => {
    for (const line of lines) {
      rows++;
      if ('problem' in line) problems.add(line.line, line.problem);
    }
  };
  const isJsonLines = part.filename.toLowerCase().endsWith('.jsonl');
  async function* bytes(): AsyncGenerator<Uint8Array> {
    // The stream must outlive a refusal: what the client still sends has to be read before it reads our answer.
    try {
      for await (const piece of part.file.iterator({ destroyOnReturn: false })) {
        if (isJsonLines) look(reader.push(piece));
        yield piece;
      }
    } catch (error) {
      throw brokenForm(error);
    }
    if (isJsonLines) look(reader.finish());
  }
  try {
    const stored = await storage.put(key, bytes(), { maxBytes });
    // Control characters are no part of a name, and the database takes no NUL.
    const filename = part.filename.replace(/[\p{Cc}\p{Surrogate}]/gu, '_');
    return { stored, filename, rows, problems };
  } catch (error) {
    if (!(error instanceof StorageLimitError)) throw error;
    await discard(part.file, maxBytes);
    throw new ApiError(413, {
      message: `The file is larger than the ${maxBytes} bytes that this server accepts. Upload a smaller one.`,
      param: 'file',
      code: 'file_too_large',
    });
  }
}

/** Reads on without keeping anything, to the end of the stream or for another `maxBytes`. */
async function discard(file: UploadedPart['file'], maxBytes: number): Promise<void> {
  let left = maxBytes;
  for await (const piece of file.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
    left -= piece.length;
    if (left < 0) break;
  }
}

function checkUpload(file: ReceivedFile | undefined, fields: [string, string][]): Upload {
  const { purpose, expires_after } = parseRequest(CreateFileFields, nested(fields));
  if (!file) throw badRequest("Missing required parameter: 'file'.", 'file', 'missing_required_parameter');
  if (purpose === 'fine-tune') checkJsonLines(file);
  return { stored: file.stored, filename: file.filename, purpose, expiresAfter: expires_after?.seconds ?? null };
}

function checkJsonLines({ filename, rows, problems }: ReceivedFile): void {
  if (!filename.toLowerCase().endsWith('.jsonl')) {
    const message = `Invalid file format for fine-tuning: '${filename}'. Upload a file whose name ends in .jsonl.`;
    throw badRequest(message, 'file', 'invalid_file_format');
  }
  if (problems.count > 0) {
    const message = `Expected file to have JSONL format, where every line is a JSON object. The file has ${problems}`;
    throw badRequest(message, 'file', 'invalid_jsonl');
  }
  if (rows === 0) throw badRequest('The file has no lines. Write one JSON object a line.', 'file', 'invalid_jsonl');
}

/** `expires_after[seconds]=3600` becomes `{expires_after: {seconds: '3600'}}`. */
function nested(fields: [string, string][]): unknown {
  const query = fields.map((pair) => pair.map(encodeURIComponent).join('=')).join('&');
  return parseFields(query, { depth: 2 });
}
