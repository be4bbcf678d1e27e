import { createHash, randomBytes } from 'node:crypto';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

export type IdPrefix = 'call_' | 'chatcmpl-' | 'cmpl-' | 'file-' | 'ftjob-' | 'upload_' | 'part_';

/** A prefix and 24 letters and digits, about 142 random bits. */
export function newId(prefix: IdPrefix): string {
  return withPrefix(prefix, () => randomBytes(32));
}

/** The same for the same seed. */
export function idOf(prefix: IdPrefix, seed: string): string {
  let round = 0;
  return withPrefix(prefix, () => createHash('sha256').update(`${prefix}${round++}\n${seed}`).digest());
}

function withPrefix(prefix: string, bytes: () => Uint8Array): string {
  let id = prefix;
  while (id.length < prefix.length + 24) {
    // 248 = 4 · 62: bytes below it fall on every letter equally often.
    for (const byte of bytes()) if (byte < 248 && id.length < prefix.length + 24) id += alphabet[byte % 62];
  }
  return id;
}

/** Whole seconds since 1970, the API's way to tell time. */
export function toSeconds(time: Date): number {
  return Math.floor(time.getTime() / 1000);
}
