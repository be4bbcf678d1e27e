import { openDiskStorage } from './disk-storage.js';
import type { Storage } from './storage.js';

export {
  type ByteRange,
  checkKey,
  InvalidKeyError,
  ObjectNotFoundError,
  type Storage,
  StorageLimitError,
  type StoredObject,
} from './storage.js';

export interface StorageConfig {
  /** Folder of the local disk, made when missing. */
  dir: string;
}

/** The storage that a configuration names. */
export function openStorage(config: StorageConfig): Storage {
  return openDiskStorage(config.dir);
}
