import { randomBytes } from 'node:crypto';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** A prefix and 24 letters and digits, about 142 random bits. */
export function newId(prefix: 'file-' | 'ftjob-'): string {
  let id: string = prefix;
  while (id.length < prefix.length + 24) {
    // 248 = 4 · 62: bytes below it fall on every letter equally often.
    for (const byte of randomBytes(32)) if (byte < 248 && id.length < prefix.length + 24) id += alphabet[byte % 62];
  }
  return id;
}

/** Whole seconds since 1970, the API's way to tell time. */
export function toSeconds(time: Date): number {
  return Math.floor(time.getTime() / 1000);
}
