import { CreateFileFields, type FilePurpose, MAX_PART_BYTES } from '@polymode/contracts';
import { type Storage, StorageLimitError, type StoredObject } from '@polymode/storage';
import type { FastifyRequest } from 'fastify';
import { parse as parseFields } from 'qs';
import { ApiError, badRequest } from './errors.js';
import { JsonLinesCheck, requireJsonLinesName } from './json-lines-check.js';
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
  /** Of a file whose name ends in .jsonl. */
  check: JsonLinesCheck | null;
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
  // Whether they matter is known when the form has ended: its purpose may come after the file.
  const check = part.filename.toLowerCase().endsWith('.jsonl') ? new JsonLinesCheck() : null;
  const stored = await receiveBytes(part, storage, key, maxBytes, (piece) => check?.push(piece));
  // Control characters are no part of a name, and the database takes no NUL.
  const filename = part.filename.replace(/[\p{Cc}\p{Surrogate}]/gu, '_');
  return { stored, filename, check };
}

/** @throws ApiError 413 when there are more than `maxBytes`; the caller deletes what was stored then */
async function receiveBytes(
  part: UploadedPart,
  storage: Storage,
  key: string,
  maxBytes: number,
  see: (piece: Uint8Array) => void,
): Promise<StoredObject> {
  async function* bytes(): AsyncGenerator<Uint8Array> {
    // The stream must outlive a refusal: what the client still sends has to be read before it reads our answer.
    try {
      for await (const piece of part.file.iterator({ destroyOnReturn: false })) {
        see(piece);
        yield piece;
      }
    } catch (error) {
      throw brokenForm(error);
    }
  }
  try {
    return await storage.put(key, bytes(), { maxBytes });
  } catch (error) {
    if (!(error instanceof StorageLimitError)) throw error;
    await discard(part.file, maxBytes);
    throw new ApiError(413, {
      message: `The file is larger than the ${maxBytes} bytes that this server accepts. Upload a smaller one.`,
      param: part.fieldname,
      code: 'file_too_large',
    });
  }
}

/**
 * Streams a form's one file, `data`, into storage under `key`.
 *
 * @throws ApiError, and nothing stays in storage then
 */
export async function receivePart(request: FastifyRequest, storage: Storage, key: string): Promise<StoredObject> {
  let stored: StoredObject | undefined;
  try {
    for await (const part of multipartOf(request)) {
      if (part.type === 'file' && part.fieldname === 'data') {
        stored = await receiveBytes(part, storage, key, MAX_PART_BYTES, () => {});
        continue;
      }
      if (part.type === 'file') part.file.resume();
      const message = `Unknown parameter: '${part.fieldname}'. Send the part's bytes as the file 'data'.`;
      throw badRequest(message, part.fieldname, 'unknown_parameter');
    }
    if (!stored) throw badRequest("Missing required parameter: 'data'.", 'data', 'missing_required_parameter');
    if (stored.bytes === 0) throw badRequest('The part is empty.', 'data', 'invalid_value');
    return stored;
  } catch (error) {
    await storage.delete(key);
    throw error;
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
  if (purpose === 'fine-tune') {
    requireJsonLinesName(file.filename, 'file');
    file.check?.finish('file');
  }
  return { stored: file.stored, filename: file.filename, purpose, expiresAfter: expires_after?.seconds ?? null };
}

/** `expires_after[seconds]=3600` becomes `{expires_after: {seconds: '3600'}}`. */
function nested(fields: [string, string][]): unknown {
  const query = fields.map((pair) => pair.map(encodeURIComponent).join('=')).join('&');
  return parseFields(query, { depth: 2 });
}
