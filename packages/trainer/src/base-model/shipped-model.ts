import { fileURLToPath } from 'node:url';

/** Where the base model that ships with the project lies. */
export const SHIPPED_MODEL = fileURLToPath(new URL('../../../policy/models/polymode-tiny', import.meta.url));
