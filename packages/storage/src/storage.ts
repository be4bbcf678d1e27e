import type { Readable } from 'node:stream';

export interface StoredObject {
  key: string;
  bytes: number;
  /** Of the whole object, lower-case hexadecimal. */
  sha256: string;
}

/** Bytes `start` to `end`, counted from 0, both included. */
export interface ByteRange {
  start: number;
  /** May lie beyond the last byte: then the range ends there. */
  end: number;
}

/**
 * Where the bytes of files and checkpoints live.
 *
 * Keys are relative paths with `/` between their parts, such as `checkpoints/ftjob-1/step-8/model/config.json`. A part has
 * letters, digits and `._-+=@~` only, is not `.` or `..`, and has at most 200 characters; a key has at most 1024. Every
 * function throws {@link InvalidKeyError} for any other key. A key cannot be the folder of another: `a` and `a/b` exclude
 * each other.
 *
 * What `put` has returned for survives a crash of the process and of the machine. What it has not returned for is either
 * wholly there or not at all. Objects do not change in place: putting a key again replaces the whole object, and a reader
 * who has begun on the old one reads it to its end.
 */
export interface Storage {
  /**
   * Stores an object, replacing one of the same key.
   *
   * @param options.maxBytes largest size allowed
   * @throws StorageLimitError when the data is longer than `maxBytes`; nothing is stored then, and an older object stays.
   *   An error that the data's own iterator throws comes through, with the same effect.
   */
  put(
    key: string,
    data: Uint8Array | AsyncIterable<Uint8Array>,
    options?: { maxBytes?: number | undefined },
  ): Promise<StoredObject>;
  /**
   * The object's bytes, or some of them.
   *
   * @throws ObjectNotFoundError when there is no such object
   * @throws RangeError when the range begins at or after the end of the object, or ends before it begins
   */
  get(key: string, range?: ByteRange): Promise<Readable>;
  /** @returns null when there is no such object */
  stat(key: string): Promise<{ bytes: number } | null>;
  /** Nothing happens when there is no such object. */
  delete(key: string): Promise<void>;
  /**
   * Deletes all objects under a folder, and the object of just that key. `a/b` takes `a/b/c` and leaves `a/bc`.
   * A crash may leave some of them.
   */
  deletePrefix(prefix: string): Promise<void>;
  /**
   * Keys under a folder, in the order of their UTF-8 bytes; of all objects for `''`. Nothing for a folder that does not exist.
   */
  list(prefix: string): AsyncIterable<string>;
  /** A path to read the object at, when its bytes are on a disk of this machine; null when there is no such object. */
  localPath?(key: string): string | null;
}

export class ObjectNotFoundError extends Error {
  override readonly name = 'ObjectNotFoundError';
  constructor(readonly key: string) {
    super(`Nothing is stored under '${key}'.`);
  }
}

export class StorageLimitError extends Error {
  override readonly name = 'StorageLimitError';
  constructor(
    readonly key: string,
    readonly maxBytes: number,
  ) {
    super(`'${key}' is larger than the ${maxBytes} bytes allowed.`);
  }
}

export class InvalidKeyError extends Error {
  override readonly name = 'InvalidKeyError';
  constructor(
    readonly key: string,
    reason: string,
  ) {
    super(`'${key}' cannot be a storage key: ${reason}.`);
  }
}

/** @throws InvalidKeyError */
export function checkKey(key: string): void {
  if (key.length === 0) throw new InvalidKeyError(key, 'it is empty');
  if (key.length > 1024) throw new InvalidKeyError(`${key.slice(0, 60)}…`, 'it has more than 1024 characters');
  for (const part of key.split('/')) {
    if (part === '') throw new InvalidKeyError(key, 'it has an empty part');
    if (part === '.' || part === '..') throw new InvalidKeyError(key, `'${part}' is not allowed as a part`);
    if (part.length > 200) throw new InvalidKeyError(key, 'a part has more than 200 characters');
    if (!/^[A-Za-z0-9._\-+=@~]+$/.test(part)) {
      throw new InvalidKeyError(key, `'${part}' has characters other than letters, digits and ._-+=@~`);
    }
  }
}
